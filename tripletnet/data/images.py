"""Labelled images: the one form in which every source hands its data on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Optional

import numpy as np


@dataclass(frozen=True)
class ImageSet:
    """Images of one size with a class each.

    Parameters
    ----------
    name : str
        What the images are called in figures and pictures, for example ``"CIFAR-10"``.
    pixels : ndarray of uint8, shape (M, H, W, 3)
        RGB, upright. May be memory-mapped and may hold more images than this set.
    labels : ndarray of int64, shape (N,)
        Index into `classes` for each image of the set.
    classes : sequence of str
        The names of the classes.
    rows : ndarray of int64, shape (N,), optional
        Which rows of `pixels` belong to the set, in its order. Default: all of them.
    paths : sequence of str, optional
        Where each image of the set came from, for sources made of files.
    digests : sequence of str, optional
        The content hash of each image of the set, for sources that know it.
    """

    name: str
    pixels: np.ndarray
    labels: np.ndarray
    classes: Sequence[str]
    rows: np.ndarray = field(default=None)  # type: ignore[arg-type]
    paths: Optional[Sequence[str]] = None
    digests: Optional[Sequence[str]] = None

    supervision: ClassVar[str] = "classes"
    images_each: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[3] != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels must be (M, H, W, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}"
            )
        if self.rows is None:
            object.__setattr__(self, "rows", np.arange(len(self.pixels)))
        labels = np.asarray(self.labels)
        if not len(labels):
            labels = labels.astype(np.int64)
        object.__setattr__(self, "labels", labels)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise ValueError(f"labels must be (N,) integers, got {labels.shape} {labels.dtype}")
        count = len(self.classes)
        if count and len(labels) and not 0 <= labels.min() <= labels.max() < count:
            raise ValueError(
                f"labels must be from 0 to {count - 1}, the places of {count} classes, got "
                f"{labels.min()} to {labels.max()}"
            )
        if len(self.rows) != len(self.labels):
            raise ValueError(f"{len(self.rows)} images but {len(self.labels)} labels")
        for name in ("paths", "digests"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.labels):
                raise ValueError(f"{len(self.labels)} images but {len(values)} {name}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of every image."""
        return int(self.pixels.shape[1]), int(self.pixels.shape[2])

    @property
    def label_count(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images at `indices` and their labels: see `tripletnet.data.examples`."""
        return self.take(indices), self.labels[indices]

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Return a copy of the images at `indices` of this set, (n, H, W, 3) uint8."""
        return self.pixels[self.rows[indices]]

    def subset(self, indices: np.ndarray) -> ImageSet:
        """Return the images at `indices` as a set of their own that shares the pixels."""
        # NumPy takes an empty list for floats; a mask becomes places
        indices = np.asarray(indices, None if len(indices) else np.int64)
        indices = np.arange(len(self))[indices]

        def pick(values: Optional[Sequence[str]]) -> Optional[Sequence[str]]:
            return None if values is None else [values[i] for i in indices]

        return ImageSet(
            self.name,
            self.pixels,
            self.labels[indices],
            self.classes,
            self.rows[indices],
            pick(self.paths),
            pick(self.digests),
        )

    def identity(self) -> dict[str, object]:
        """Return what tells this set from another, for JSON: name, number, classes, SHA-256."""
        digest = hashlib.sha256(np.ascontiguousarray(self.labels, dtype="<i8").tobytes())
        if self.digests is not None:
            digest.update("\n".join(self.digests).encode())
        else:
            for start in range(0, len(self), 4096):
                digest.update(self.take(np.arange(start, min(start + 4096, len(self)))).tobytes())
        return {
            "dataset": self.name,
            "size": len(self),
            "classes": list(self.classes),
            "sha256": digest.hexdigest(),
        }


@dataclass(frozen=True)
class Splits:
    """A data set in its parts: learnt from, chosen on, and judged on."""

    train: ImageSet
    test: ImageSet
    validation: Optional[ImageSet] = None

    @property
    def name(self) -> str:
        """What the data set is called in figures and pictures."""
        return self.train.name
