"""Pairs of images that are similar, or are not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tripletnet.data.judged import IncompleteRows, JudgedSet


@dataclass(frozen=True)
class PairSet(JudgedSet):
    """Pairs of images, each with the truth whether they are similar."""

    supervision: ClassVar[str] = "pairs"
    images_each: ClassVar[int] = 2
    columns: ClassVar[tuple[str, ...]] = ("a", "b")
    truth_column: ClassVar[str] = "similar"

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return firsts and seconds, (2 n, H, W, 3) uint8, and 1 for each similar pair, (n,)."""
        rows = self.rows[indices].T.ravel()
        return self.images.take(rows), self.truths[indices].astype(np.int64)

    @staticmethod
    def contradictions(contents: np.ndarray, truths: np.ndarray) -> np.ndarray:
        """Tell which pairs are called different and are copies, (R,) bool."""
        return (contents[:, 0] == contents[:, 1]) & (truths == 0)

    def completed(self, seed: int) -> tuple[PairSet, list[str]]:
        """Return these pairs and, where all are similar, as many different ones; and say so.

        Each is an image of a similar pair with one drawn from all others that no pair calls
        similar to it. Copies, told by their digests where there are any, count as one image.

        Raises
        ------
        IncompleteRows
            If no pair is similar, or too few images are left to draw from.
        """
        if not self.truths.any():
            raise IncompleteRows(
                self.name, "no pair is similar, so that nothing shows what is", "add some"
            )
        if not self.truths.all():
            return self, []
        random = np.random.default_rng((seed, len(self)))
        count = np.int64(len(self.images))
        contents = self._contents()
        first, second = contents[self.rows.T]
        linked = np.unique(np.concatenate([first * count + second, second * count + first]))
        drawn = random.integers(count, size=len(self))
        for _ in range(100):
            other = contents[drawn]
            again = np.isin(first * count + other, linked) | (first == other)
            if not again.any():
                different = np.stack([self.rows[:, 0], drawn], 1).astype(np.int32)
                rows = np.concatenate([self.rows, different])
                truths = np.repeat(np.array([1, 0], np.int8), len(self))
                notice = (
                    f"no pair is different: {len(self):,} different pairs were drawn at random "
                    "from pictures that no pair calls similar"
                )
                return replace(self, rows=rows, truths=truths), [notice]
            drawn[again] = random.integers(count, size=int(again.sum()))
        raise IncompleteRows(
            self.name,
            f"all pairs are similar, and among the {count} pictures there are too few others to "
            "draw different pairs from",
            "add pairs with similar 0",
        )

    def _contents(self) -> np.ndarray:
        """Return the position of the first copy of each image, (N,) int64."""
        digests = self.images.digests
        if digests is None:
            return np.arange(len(self.images))
        firsts: dict[str, int] = {}
        return np.array([firsts.setdefault(content, i) for i, content in enumerate(digests)])
