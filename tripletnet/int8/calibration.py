"""The images of a run that its encoder in int8 is calibrated and judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.files import DAMAGED_ARCHIVE, PathLike, write_arrays
from tripletnet.run_files import CALIBRATION

#: At most so many images, and so many bytes of pixels, but some in any case.
_MOST, _BYTES, _LEAST = 512, 2**23, 32


@dataclass(frozen=True)
class Calibration:
    """Images to calibrate on.

    Attributes
    ----------
    pixels : ndarray of uint8, shape (N, H, W, 3)
        At the encoder's size.
    labels : ndarray of int64, shape (N,), or None
        Their classes, if they have any.
    """

    pixels: np.ndarray
    labels: Optional[np.ndarray] = None

    def image_set(self) -> ImageSet:
        """Return the images as a set, all of one class if they have none."""
        labels = np.zeros(len(self.pixels), np.int64) if self.labels is None else self.labels
        return ImageSet("calibration", self.pixels, labels, ())


def calibration_size(side: int) -> int:
    """Return how many images of `side` pixels a side are enough to calibrate on."""
    return max(_LEAST, min(_MOST, _BYTES // (3 * side * side)))


def evenly(labels: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Return up to `most` places of `labels`, (N,), as evenly among the classes as they allow.

    Two or more of a class, where it has them: what is alone in its class has nothing to find.
    """
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(labels))
    _, members, counts = np.unique(labels[shuffled], return_inverse=True, return_counts=True)
    each = max(2, most // len(counts)) if len(counts) else 0
    order = np.argsort(members, kind="stable")
    places_in_class = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranks = random.permutation(len(counts))[members[order]]
    # the first `each` of every class, class after class; then what else there is
    rows = order[np.lexsort((places_in_class, ranks, places_in_class >= each))]
    return np.sort(shuffled[rows[:most]])


def choose_calibration(examples: Examples) -> Calibration:
    """Return images of `examples` to calibrate on: of those with several images the first ones."""
    count = calibration_size(max(examples.image_shape))
    if isinstance(examples, ImageSet):
        rows = evenly(examples.labels, count)
        return Calibration(examples.take(rows), examples.labels[rows])
    rows = np.linspace(0, len(examples) - 1, min(count, len(examples))).astype(np.int64)
    pixels, _ = examples.draw(rows)
    return Calibration(pixels[: len(rows)])


def save_calibration(folder: PathLike, calibration: Calibration) -> None:
    """Write the images into a run folder."""
    arrays = {"pixels": calibration.pixels}
    if calibration.labels is not None:
        arrays["labels"] = np.asarray(calibration.labels, np.int64)
    write_arrays(Path(folder) / CALIBRATION, arrays)


def load_calibration(folder: PathLike, side: int) -> Optional[Calibration]:
    """Read the images of a run folder; None if it has none.

    Raises
    ------
    InputError
        If the file is damaged, or its images are not of `side` x `side` pixels.
    """
    path = Path(folder) / CALIBRATION
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            pixels = stored["pixels"]
            labels = stored["labels"] if "labels" in stored.files else None
    except DAMAGED_ARCHIVE as error:
        raise InputError(f"{path}: damaged ({type(error).__name__})") from None
    if pixels.dtype != np.uint8 or pixels.shape[1:] != (side, side, 3) or not len(pixels):
        raise InputError(
            f"{path}: holds {pixels.dtype} of shape {pixels.shape}, and this run takes uint8 "
            f"(N, {side}, {side}, 3)"
        )
    if labels is not None and labels.shape != (len(pixels),):
        raise InputError(f"{path}: {len(pixels)} images and labels of shape {labels.shape}")
    return Calibration(pixels, labels)
