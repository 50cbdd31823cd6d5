"""What a miner is: codes and labels in, the triplets to learn from out."""

from __future__ import annotations

from typing import Any, NamedTuple, Union

import numpy as np

from tripletnet.codes.distances import Distance


class Triplets(NamedTuple):
    """Triplets as a list: rows of the batch, three int64 arrays of shape (T,)."""

    anchor: np.ndarray
    same: np.ndarray
    diff: np.ndarray

    def number(self) -> int:
        """Return how many triplets there are."""
        return len(self.anchor)

    def pair_counts(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return in how many triplets each pair is, same and different, (size, size) int64."""
        return count_pairs(self.anchor, self.same, size), count_pairs(self.anchor, self.diff, size)


class PairMasks(NamedTuple):
    """Triplets as two masks, where a list would be too long: bool, shape (N, N) each.

    All (i, p, n) with ``same[i, p]`` and ``diff[i, n]``. No pair is in both masks.
    """

    same: np.ndarray
    diff: np.ndarray

    def number(self) -> int:
        """Return how many triplets there are."""
        return int((self.same.sum(axis=1) * self.diff.sum(axis=1)).sum())

    def pair_counts(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return in how many triplets each pair is, same and different, (size, size) int64."""
        sames = self.same.sum(axis=1, keepdims=True)
        diffs = self.diff.sum(axis=1, keepdims=True)
        return self.same * diffs, self.diff * sames


Mined = Union[Triplets, PairMasks]


class Miner:
    """Which triplets of a batch to learn from; the base of all miners.

    In every triplet (anchor, same, diff), same is another image of the anchor's class and diff one
    of another class. An image that is alone in its class is never an anchor, and neither is any
    image of a batch of one class.
    """

    #: How batches are drawn for it: see :class:`tripletnet.losses.BatchLoss`.
    sampling = "balanced"

    #: What else to try, beside a lower learning rate, when all codes have become one point.
    collapse_advice = ""

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Mined:
        """Return the triplets to learn from.

        Parameters
        ----------
        codes : NDArray of float32, shape (N, D)
            The batch's codes; nothing is recorded for their gradient.
        labels : ndarray of int, shape (N,)
            The class of each.
        distance : Distance
            The loss's; ``distance.matrix(codes)`` gives the distances as a NumPy array.
        random : numpy.random.Generator
            The only source of chance: it follows from the seed and the step.
        """
        raise NotImplementedError


def pair_masks(labels: np.ndarray) -> PairMasks:
    """Return which pairs of different images are of one class, and which are of two."""
    same = labels[:, None] == labels[None, :]
    diff = ~same
    np.fill_diagonal(same, False)
    return PairMasks(same, diff)


def count_pairs(rows: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """Return how often each (row, column) comes up, (size, size) int64."""
    return np.bincount(rows * size + columns, minlength=size * size).reshape(size, size)
