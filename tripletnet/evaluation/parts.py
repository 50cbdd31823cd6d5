"""Labelled codes, and how they are cut into parts of which one is never scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np

#: Gives the pictures, (H, W, 3) uint8 each or None, of the codes at some indices.
Pictures = Callable[[np.ndarray], Iterable[Optional[np.ndarray]]]


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes and what is known of each.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        One code a row, as they are: nothing is normalised.
    labels : ndarray of int, shape (N,)
        Index into a list of classes.
    paths : sequence of str, optional
        Where each came from.
    pictures : callable, optional
        Takes indices, ndarray of int (n,), and gives n pictures: ndarrays of uint8, (H, W, 3),
        or None where there is none.
    """

    codes: np.ndarray
    labels: np.ndarray
    paths: Optional[Sequence[str]] = None
    pictures: Optional[Pictures] = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_pairs(self) -> bool:
        """Whether there are pairs of one class and pairs of two."""
        sizes = np.bincount(self.labels)
        return bool((sizes > 1).any() and np.count_nonzero(sizes) > 1)

    def subset(self, indices: np.ndarray) -> Codes:
        """Return a copy of the codes at `indices`, without paths and pictures."""
        return Codes(self.codes[indices], self.labels[indices])


def halves(labels: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Cut items into two random halves with an even share of each class in both.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Their classes. Of an odd number the first half gets one more.
    seed : int
        Decides which.

    Returns
    -------
    first, second : ndarray of int64
        Indices, ascending.

    Examples
    --------
    >>> first, second = halves(np.array([0, 0, 0, 1, 1, 2]))
    >>> len(first), len(second)
    (4, 2)
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[place % 2 == 0]), np.sort(order[place % 2 == 1])
