"""Changes of an image that leave it what it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tripletnet.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Random flips and shifts, each image its own.

    Parameters
    ----------
    flip : bool
        Mirror half of the images left to right. Not for images whose meaning that changes, such
        as writing.
    shift : int
        Move by up to so many pixels in each direction; what comes in from outside repeats the
        border.
    """

    flip: bool = True
    shift: int = 4

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise InputError(f"shift is {self.shift}: give 0 or more pixels")

    def __call__(self, images: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return altered copies of `images`, (N, H, W, 3) uint8."""
        count, height, width, _ = images.shape
        if self.shift:
            by = random.integers(-self.shift, self.shift + 1, (2, count, 1))
            rows = np.clip(np.arange(height) + by[0], 0, height - 1)
            columns = np.clip(np.arange(width) + by[1], 0, width - 1)
        else:
            rows = np.broadcast_to(np.arange(height), (count, height))
            columns = np.broadcast_to(np.arange(width), (count, width))
        if self.flip:
            mirrored = random.random(count) < 0.5
            columns = np.where(mirrored[:, None], columns[:, ::-1], columns)
        rows = np.arange(count)[:, None] * height + rows
        places = rows[:, :, None] * width + columns[:, None, :]
        # a pixel as one item of three bytes: a third of the work of indexing channels
        pixels = np.ascontiguousarray(images).reshape(-1, 3).view("V3")[:, 0]
        return pixels[places].view(np.uint8).reshape(images.shape)
