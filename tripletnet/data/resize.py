"""Bring an image to a given height and width."""

from __future__ import annotations

import numpy as np

from tripletnet.data.opencv import cv2
from tripletnet.errors import InputError

#: The ways to fit an image into a shape that is not its own.
FITS = ("crop", "letterbox", "stretch")

_GREY = 128


def check_fit(fit: str) -> None:
    """Raise InputError if `fit` is none of `FITS`."""
    if fit not in FITS:
        raise InputError(f"fit '{fit}' is not known: use one of {', '.join(FITS)}")


def fit_scale(shape: tuple[int, int], size: tuple[int, int], fit: str) -> float:
    """Return the factor by which an image of `shape` grows, the larger of its axes' for stretch.

    Parameters
    ----------
    shape, size : (int, int)
        Height and width that the image has and shall have.
    fit : {"crop", "letterbox", "stretch"}
        See `resize_image`.
    """
    factors = (size[0] / shape[0], size[1] / shape[1])
    return min(factors) if fit == "letterbox" else max(factors)


def resize_image(image: np.ndarray, size: tuple[int, int], fit: str = "crop") -> np.ndarray:
    """Return `image` at `size`, averaging areas where it shrinks and interpolating where it grows.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    size : (int, int)
        Height and width of the result.
    fit : {"crop", "letterbox", "stretch"}
        ``crop`` keeps the proportions and cuts off what is too long, on both sides alike;
        ``letterbox`` keeps the proportions and fills what is too short with mid grey (128);
        ``stretch`` gives the proportions up.

    Returns
    -------
    ndarray of uint8, shape (size[0], size[1], 3)
        May share memory with `image`.
    """
    height, width = image.shape[:2]
    if (height, width) == size:
        return image
    scale = fit_scale((height, width), size, fit)
    if fit == "crop":
        kept_height = min(height, max(1, round(size[0] / scale)))
        kept_width = min(width, max(1, round(size[1] / scale)))
        top, left = (height - kept_height) // 2, (width - kept_width) // 2
        image = image[top : top + kept_height, left : left + kept_width]
    inner = size
    if fit == "letterbox":
        inner = (
            min(size[0], max(1, round(height * scale))),
            min(size[1], max(1, round(width * scale))),
        )
    if image.shape[:2] != inner:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(image, (inner[1], inner[0]), interpolation=how)
    if inner == size:
        return image
    framed = np.full((*size, 3), _GREY, np.uint8)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    framed[top : top + inner[0], left : left + inner[1]] = image
    return framed
