"""Figures and pictures as files and as bytes."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from tripletnet.data.opencv import cv2
from tripletnet.files import PathLike, atomic_path


def plain(text: str) -> str:
    """Return a name for Matplotlib to show letter by letter: no dollar sign begins a formula."""
    return text.replace("$", r"\$")


@contextlib.contextmanager
def any_letters() -> Iterator[None]:
    """Draw names that hold letters which no font at hand has, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def save_figure(figure: Figure, path: PathLike, dpi: int = 120) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as scratch, any_letters():
        figure.savefig(scratch, dpi=dpi, format="png")


def save_picture(picture: np.ndarray, path: PathLike) -> None:
    """Write an RGB picture, (H, W, 3) uint8, as PNG, whole or not at all."""
    with atomic_path(path) as scratch:
        Image.fromarray(picture).save(scratch, format="png")


def figure_png(figure: Figure, dpi: int = 144) -> bytes:
    """Return a figure as PNG."""
    stream = io.BytesIO()
    with any_letters():
        figure.savefig(stream, dpi=dpi, format="png")
    return stream.getvalue()


def picture_data(picture: np.ndarray, side: int = 96) -> tuple[str, bytes]:
    """Return a small version of a picture: the kind of image file that suits it, and its bytes.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        RGB.
    side : int
        The most pixels it may be high or wide; smaller pictures stay as they are.

    Returns
    -------
    str
        ``"image/png"``, which is exact, for the smallest pictures, else ``"image/jpeg"``.
    bytes
        The file.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    kind, options = (
        ("png", []) if max(height, width) <= 48 else ("jpeg", [cv2.IMWRITE_JPEG_QUALITY, 90])
    )
    _, data = cv2.imencode(f".{kind}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    return f"image/{kind}", data.tobytes()
