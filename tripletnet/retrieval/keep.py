"""Which picture of a group of near-duplicates to keep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from tripletnet.data.opencv import cv2

_SHARPNESS_SIDE = 256


def sharpness(image: np.ndarray) -> float:
    """Return the variance of the Laplacian of the grey picture at 256 x 256 pixels.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        RGB.

    References
    ----------
    Pech-Pacheco et al. "Diatom autofocusing in brightfield microscopy." ICPR 2000.
    """
    side = _SHARPNESS_SIDE
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if min(grey.shape) > side else cv2.INTER_LINEAR
    grey = cv2.resize(grey, (side, side), interpolation=how)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def choose_keep(
    paths: Sequence[str],
    pixels: Sequence[int],
    sharpnesses: Sequence[Optional[float]],
    links: Optional[Sequence[bool]] = None,
) -> Optional[int]:
    """Return which picture of a group to keep: the largest, then the sharpest, then the first.

    Of equals a link comes last: without what it points to it is nothing.

    Parameters
    ----------
    paths : sequence of str
        Where the pictures lie.
    pixels : sequence of int
        How many pixels each has.
    sharpnesses : sequence of float or None
        See :func:`sharpness`; None for a picture that could not be read, which is not kept.
    links : sequence of bool, optional
        Which are symbolic links; default: none.

    Returns
    -------
    int or None
        Its place among them; None if none could be read.

    Examples
    --------
    >>> choose_keep(["b", "a", "c"], [64, 64, 16], [3.0, 3.0, 9.0])
    1
    """
    readable = [n for n, value in enumerate(sharpnesses) if value is not None]

    def rank(n: int) -> tuple[int, float, bool, str]:
        is_link = links is not None and links[n]
        return -pixels[n], -(sharpnesses[n] or 0), is_link, paths[n]

    return min(readable, key=rank, default=None)
