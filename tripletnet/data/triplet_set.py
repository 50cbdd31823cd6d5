"""Triplets of images: nearer to the anchor is the one that is the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tripletnet.data.judged import JudgedSet


@dataclass(frozen=True)
class TripletSet(JudgedSet):
    """Triplets of images: each row is an anchor, what is the same as it, and what is different."""

    supervision: ClassVar[str] = "triplets"
    images_each: ClassVar[int] = 3
    columns: ClassVar[tuple[str, ...]] = ("anchor", "same", "diff")

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return anchors, sames and diffs, (3 n, H, W, 3) uint8, and labels that say nothing."""
        rows = self.rows[indices].T.ravel()
        return self.images.take(rows), np.zeros(len(rows), np.int64)

    @staticmethod
    def contradictions(contents: np.ndarray, truths: np.ndarray) -> np.ndarray:
        """Tell in which rows the diff is a copy of another one, (R,) bool."""
        return (contents[:, :2] == contents[:, 2:]).any(axis=1)
