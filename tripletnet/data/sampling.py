"""Which images make up each batch: index arrays, a pure function of the seed and the step.

Because a batch depends on nothing but the seed and its number, a run that is taken up again
draws exactly what an undisturbed one would have drawn.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np

from tripletnet.errors import InputError


class Sampler(Protocol):
    """What draws batches."""

    #: How many images a batch has.
    batch_size: int

    def indices(self, step: int) -> np.ndarray:
        """Return the images of batch `step`, (batch_size,) int64."""


class _Classes:
    """The images of each class, one class after the other."""

    def __init__(self, labels: np.ndarray) -> None:
        self.members = np.argsort(labels, kind="stable")
        self.names, self.starts, self.sizes = np.unique(
            labels[self.members], return_index=True, return_counts=True
        )
        if len(self.names) < 2:
            raise InputError("training needs images of two classes or more: add another class")
        self.pairable = np.flatnonzero(self.sizes >= 2)
        if not len(self.pairable):
            raise InputError(
                "no class has two images, so that none can be anchor and same: add images"
            )

    def __len__(self) -> int:
        return len(self.names)


class TripletSampler:
    """Draw random triplets, classes evenly.

    Anchor and same are two different images of one class, diff is of another class. Anchor class
    and diff class are drawn evenly for each triplet; a class of one image serves as diff only.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    triplets : int
        How many triplets a batch has.
    seed : int
        Same seed, same batches.
    """

    def __init__(self, labels: np.ndarray, triplets: int = 128, seed: int = 0) -> None:
        self._classes = _Classes(labels)
        self._triplets = triplets
        self._seed = seed
        self.batch_size = 3 * triplets

    def indices(self, step: int) -> np.ndarray:
        """Return anchors, then sames, then diffs of batch `step`, (3 * triplets,) int64."""
        random = np.random.default_rng((self._seed, step))
        classes, count = self._classes, self._triplets
        near = random.choice(classes.pairable, count)
        # one of the others: a step of 1 to n - 1 around the circle of classes
        far = (near + random.integers(1, len(classes), count)) % len(classes)
        anchor = random.integers(0, classes.sizes[near])
        same = (anchor + random.integers(1, classes.sizes[near])) % classes.sizes[near]
        diff = random.integers(0, classes.sizes[far])
        return classes.members[
            np.concatenate(
                [
                    classes.starts[near] + anchor,
                    classes.starts[near] + same,
                    classes.starts[far] + diff,
                ]
            )
        ]


class BalancedSampler:
    """Draw batches of P classes with K images each; every image of every class comes up.

    The classes take turns in an order that is drawn anew for each round. Each class goes through
    its images in an order that is drawn anew for each pass; the last batch of a pass is filled up
    from the pass's beginning. A class with fewer than K images repeats them within a batch.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    batch_size : int
        About how many images a batch has: P * K comes as near to it from below as it can.
    classes_per_batch : int, optional
        P. Default: all classes, or as many as leave each of them 4 images.
    seed : int
        Same seed, same batches.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int = 384,
        classes_per_batch: int | None = None,
        seed: int = 0,
    ) -> None:
        self._classes = _Classes(labels)
        self._seed = seed
        if batch_size < 4:
            raise InputError(f"batch size is {batch_size}: give 4 or more")
        count = len(self._classes)
        self._p = min(count, classes_per_batch or max(2, batch_size // 4))
        self._k = max(2, batch_size // self._p)
        self.batch_size = self._p * self._k
        # A pass over a class is at least one batch long, so that a cache of a few orders a class
        # is enough to draw each order once.
        self._order = functools.lru_cache(maxsize=4 * count)(self._draw_order)

    def _draw_order(self, kind: int, number: int, length: int) -> np.ndarray:
        return np.random.default_rng((self._seed, kind, number)).permutation(length)

    def indices(self, step: int) -> np.ndarray:
        """Return the images of batch `step`, class by class, (P * K,) int64."""
        count = len(self._classes)
        turns = np.arange(step * self._p, (step + 1) * self._p)
        chosen = []
        for turn, place in zip(*np.divmod(turns, count)):
            cls = int(self._order(0, int(turn), count)[place])
            size = int(self._classes.sizes[cls])
            passes, part = divmod(int(turn), -(-size // self._k))
            order = self._order(1 + cls, passes, size)
            within = order[np.arange(part * self._k, (part + 1) * self._k) % size]
            chosen.append(self._classes.members[self._classes.starts[cls] + within])
        return np.concatenate(chosen)


class UniformSampler:
    """Draw every image once an epoch, in an order drawn anew for each: for the control.

    Parameters
    ----------
    count : int
        How many images there are.
    batch_size : int
        How many a batch has; the last batch of an epoch goes on into the next epoch.
    seed : int
        Same seed, same batches.
    """

    def __init__(self, count: int, batch_size: int = 384, seed: int = 0) -> None:
        self._count = count
        self._seed = seed
        self.batch_size = batch_size
        self._order = functools.lru_cache(maxsize=4)(self._draw_order)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, epoch)).permutation(self._count)

    def indices(self, step: int) -> np.ndarray:
        """Return the images of batch `step`, (batch_size,) int64."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(places, self._count)
        parts = [self._order(int(e))[places[epochs == e]] for e in np.unique(epochs)]
        return np.concatenate(parts)
