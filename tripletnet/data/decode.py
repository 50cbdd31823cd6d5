"""Decode any picture that people have into upright RGB pixels, or say why that cannot be done."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Optional, Union

import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tripletnet.data.headers import plain_jpeg_size, plain_png_size
from tripletnet.data.opencv import cv2
from tripletnet.data.resize import check_fit, fit_scale, resize_image
from tripletnet.errors import InputError

#: The endings by which a file is taken for an image, in any case.
IMAGE_ENDINGS = frozenset(
    [".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"]
)

#: Images of more pixels are refused before they are decoded (Pillow's own limit).
MAX_PIXELS = 178_956_970

#: Larger files are refused before they are read: BMP, TIFF and WebP cannot be larger.
MAX_BYTES = 1 << 32

_READERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"BM": "BMP",
}
_PLAIN = {"JPEG": plain_jpeg_size, "PNG": plain_png_size}
_PIECE = 1 << 20
_NO_IMAGE = "not a JPEG, PNG, WebP, BMP, TIFF or GIF image"
_NO_MEMORY = "too large for the memory that is free"
_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
)


class ImageError(InputError):
    """An image cannot be used.

    Parameters
    ----------
    reason : str
        What is wrong with it.
    path : str or Path, optional
        Where it lies.
    """

    def __init__(self, reason: str, path: Optional[Union[str, Path]] = None) -> None:
        super().__init__(reason if path is None else f"{path}: {reason}")
        self.reason = reason


class LackOfMemoryError(ImageError):
    """An image cannot be used now, for want of memory; at another time it may be."""


def decode_image(
    source: Union[str, Path, bytes],
    *,
    size: Optional[tuple[int, int]] = None,
    fit: str = "crop",
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Decode an image, upright by its EXIF orientation.

    JPEG, PNG, WebP, BMP, TIFF and GIF are told by their content. Grey, palette and CMYK become
    RGB, 16 bits become 8, alpha is laid over white; of several frames or pages the first counts.

    Parameters
    ----------
    source : str, Path or bytes
        The file, or what is in it.
    size : (int, int), optional
        Height and width to bring the image to. Default: those it has. A JPEG much larger than
        this is decoded at a half, quarter or eighth of its size, which is faster.
    fit : {"crop", "letterbox", "stretch"}
        How to fit it into `size`, see `tripletnet.data.resize.resize_image`.
    max_pixels : int
        Images of more pixels are refused, by their header.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB.

    Raises
    ------
    ImageError
        If the image is unreadable, empty, truncated, damaged, too large or none at all.

    Notes
    -----
    A JPEG whose middle is missing but which ends properly cannot be told from a whole one.
    """
    check_fit(fit)
    try:
        data = source if isinstance(source, bytes) else read_bytes(source)
        with _memory():
            image, _ = _decode(data, size, fit, max_pixels)
            return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    except ImageError as error:
        if isinstance(source, bytes):
            raise
        raise type(error)(error.reason, source) from error.__cause__


def decode_bgr(
    data: bytes,
    size: Optional[tuple[int, int]] = None,
    fit: str = "crop",
    max_pixels: int = MAX_PIXELS,
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode what is in a file as OpenCV has it; for many small images, where each call tells.

    Parameters
    ----------
    data, size, fit, max_pixels
        See `decode_image`.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        BGR, upright.
    (int, int)
        Width and height in the file, before it is turned upright.

    Raises
    ------
    ImageError
        As `decode_image`.
    """
    with _memory():
        return _decode(data, size, fit, max_pixels)


def read_bytes(path: Union[str, Path], size: Optional[int] = None) -> bytes:
    """Read a file.

    Parameters
    ----------
    path : str or Path
        The file.
    size : int, optional
        How many bytes it is thought to hold, which saves asking; all are read in any case.

    Raises
    ------
    ImageError
        If it cannot be read, or is too large.
    """
    try:
        # half the time of open(), which tells for small images
        file = os.open(path, os.O_RDONLY)
        try:
            if size is None:
                size = os.fstat(file).st_size
            if size > MAX_BYTES:
                raise ImageError(f"too large ({size:,} bytes, the limit is {MAX_BYTES:,})", path)
            data = os.read(file, size + 1)
            if len(data) != size:  # it has changed, or is read in pieces
                data = b"".join([data, *iter(lambda: os.read(file, _PIECE), b"")])
        finally:
            os.close(file)
    except MemoryError:
        raise LackOfMemoryError(_NO_MEMORY, path) from None
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})", path) from None
    return data


@contextmanager
def _memory() -> Iterator[None]:
    """Turn a lack of memory into an ImageError."""
    try:
        yield
    except (MemoryError, cv2.error) as error:
        if isinstance(error, cv2.error) and getattr(error, "code", None) != cv2.Error.StsNoMem:
            raise
        raise LackOfMemoryError(_NO_MEMORY) from None


def _decode(
    data: bytes, size: Optional[tuple[int, int]], fit: str, max_pixels: int
) -> tuple[np.ndarray, tuple[int, int]]:
    kind = _kind(data)
    if kind is None:
        raise ImageError(_NO_IMAGE if data else "empty file")
    shape = _PLAIN[kind](data) if kind in _PLAIN else None
    image = None
    if shape is not None:
        _check_pixels(shape, max_pixels)
        image = _decode_plain(data, kind, shape, size, fit)
    if shape is not None and image is not None:
        if size is not None:
            image = resize_image(image, size, fit)
        return image, shape[::-1]
    image, stored = _decode_with_pillow(data, kind, max_pixels)
    if size is not None:
        image = resize_image(image, size, fit)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR), stored


def _kind(data: bytes) -> Optional[str]:
    for beginning, kind in _BEGINNINGS.items():
        if data.startswith(beginning):
            return kind
    return "WebP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _check_pixels(shape: tuple[int, int], max_pixels: int) -> None:
    height, width = shape
    if height * width > max_pixels:
        raise ImageError(f"too many pixels ({width} x {height}, the limit is {max_pixels:,})")


def _decode_plain(
    data: bytes, kind: str, shape: tuple[int, int], size: Optional[tuple[int, int]], fit: str
) -> Optional[np.ndarray]:
    """Return BGR pixels, or None where OpenCV does not say why it failed.

    A JPEG is decoded at the smallest scale that need not grow afterwards.
    """
    flag = cv2.IMREAD_COLOR
    if kind == "JPEG" and size is not None and size != shape:
        # whether the image lies on its side is not known yet
        scale = max(fit_scale(shape, size, fit), fit_scale(shape[::-1], size, fit))
        flag = next((flag for divisor, flag in _REDUCED if scale * divisor <= 1), flag)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error:
        return None


def _decode_with_pillow(
    data: bytes, kind: str, max_pixels: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return RGB pixels, and width and height before they are turned upright."""
    try:
        with _READERS[kind](io.BytesIO(data)) as image:
            stored = image.size
            _check_pixels(stored[::-1], max_pixels)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), kind), stored
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # damaged files make Pillow raise nearly everything
        if isinstance(error, SyntaxError):  # as Pillow has it where a header makes no sense
            raise ImageError(f"{kind} without a readable header") from error
        said = " ".join(str(error).split()) or type(error).__name__
        if said.startswith("out of memory"):
            raise MemoryError from error
        if "truncated" in said.lower():
            raise ImageError(f"truncated {kind}") from error
        raise ImageError(f"{kind} that cannot be decoded ({said})") from error


def _to_rgb(image: Image.Image, kind: str) -> np.ndarray:
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint32) + 128) // 257  # 65,535 becomes 255
        return cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB)
    if image.mode in ("I", "F"):
        raise ImageError("32-bit values have no known range: save it with 8 or 16 bits")
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for Adobe's inverted kind
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return np.array(image.convert("RGB"))
