"""OpenCV, imported in one place so that a missing system library is named with its remedy."""

from __future__ import annotations

from tripletnet.errors import InputError

try:
    import cv2
except ImportError as error:
    raise InputError(
        f"OpenCV cannot be loaded ({error}): install opencv-python and the system libraries that "
        "it needs (Debian and Ubuntu: apt-get install libgl1 libglib2.0-0)"
    ) from error

__all__ = ["cv2"]
