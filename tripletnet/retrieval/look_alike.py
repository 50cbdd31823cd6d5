"""Whether two pictures show the same, by their grey thumbnails."""

from __future__ import annotations

from typing import Optional

import numpy as np

from tripletnet.data.opencv import cv2

_SIDE = 16
_CORRELATION = 0.9


def thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8, in grey at 16 x 16, smoothed, of mean 0 and length 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1)
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def look_alike(own: np.ndarray, other: Optional[np.ndarray]) -> bool:
    """Return whether one of some thumbnails, (n, 16, 16), shows the same as another, (16, 16).

    It does where the correlation of their pixels is 0.9 or more, mirrored or not; None is not
    known and shows nothing.
    """
    if other is None:
        return False
    ways_round = np.stack([other, other[:, ::-1]])
    return float(np.einsum("aij,bij->ab", own, ways_round).max()) >= _CORRELATION
