"""Pictures without labels: what is similar is two views of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tripletnet.data.images import ImageSet


@dataclass(frozen=True)
class ViewSet:
    """Pictures of which each is drawn twice; augmentation makes two views of that.

    Parameters
    ----------
    images : ImageSet
        Different pictures; their labels are not looked at.
    """

    images: ImageSet

    supervision: ClassVar[str] = "views"
    images_each: ClassVar[int] = 2
    classes: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def name(self) -> str:
        """What the data are called in figures and pictures."""
        return self.images.name

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of every image."""
        return self.images.image_shape

    @property
    def label_count(self) -> int:
        """How many pictures there are: each is a label of its own."""
        return len(self.images)

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return pictures and the same again, (2 n, H, W, 3) uint8, and which they are, (2 n,)."""
        twice = np.concatenate([indices, indices])
        return self.images.take(twice), twice

    def identity(self) -> dict[str, object]:
        """Return what tells these pictures from others, for JSON."""
        named = self.images.identity()
        return {**{key: named[key] for key in ("dataset", "size", "sha256")}, "views": 2}
