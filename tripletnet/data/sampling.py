"""Which images make up each batch: index arrays, a pure function of the seed and the step.

Because a batch depends on nothing but the seed and its number, a run that is taken up again
draws exactly what an undisturbed one would have drawn.
"""

from __future__ import annotations

import functools
from typing import Protocol

import numpy as np

from tripletnet.errors import InputError

#: What is drawn evenly: every class as often as any other, or every image.
BALANCES = ("classes", "images")


def draws_images(balance: str) -> bool:
    """Tell whether images, not classes, are drawn evenly.

    Raises
    ------
    InputError
        If there is no such balance; the message lists those that there are.
    """
    if balance not in BALANCES:
        raise InputError(f"balance '{balance}' is not known: use one of {', '.join(BALANCES)}")
    return balance == "images"


class Sampler(Protocol):
    """What draws batches."""

    #: How many examples a batch has.
    batch_size: int

    def indices(self, step: int) -> np.ndarray:
        """Return the examples of batch `step`, (batch_size,) int64."""


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
    """Draw random triplets.

    Anchor and same are two different images of one class, diff is of another class. Anchor class
    and diff class are drawn evenly for each triplet, or in proportion to their images; a class of
    one image serves as diff only.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    triplets : int
        How many triplets a batch has.
    seed : int
        Same seed, same batches.
    balance : {"classes", "images"}
        What is drawn evenly.
    """

    def __init__(
        self, labels: np.ndarray, triplets: int = 128, seed: int = 0, balance: str = "classes"
    ) -> None:
        self._classes = _Classes(labels)
        self._by_size = draws_images(balance)
        self._triplets = triplets
        self._seed = seed
        self.batch_size = 3 * triplets

    def indices(self, step: int) -> np.ndarray:
        """Return anchors, then sames, then diffs of batch `step`, (3 * triplets,) int64."""
        random = np.random.default_rng((self._seed, step))
        classes, count = self._classes, self._triplets
        if self._by_size:
            near = _draw_by_size(random, classes.sizes * (classes.sizes >= 2), count)
            # past the anchor's class, whose images are left out of the count
            others = classes.sizes.sum() - classes.sizes[near]
            far = self._class_past(near, random.integers(0, others))
        else:
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

    def _class_past(self, near: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Return the class of the image at `place` among those that are not of class `near`."""
        starts, sizes = self._classes.starts, self._classes.sizes
        place = np.where(place >= starts[near], place + sizes[near], place)
        return np.searchsorted(starts, place, side="right") - 1


def _draw_by_size(random: np.random.Generator, sizes: np.ndarray, count: int) -> np.ndarray:
    """Return `count` classes, each drawn in proportion to its size."""
    ends = np.cumsum(sizes)
    return np.searchsorted(ends, random.integers(0, ends[-1], count), side="right")


class BalancedSampler:
    """Draw batches of P times K images of one class; every image of every class comes up.

    Each class goes through its images, K at a time, in an order that is drawn anew for each pass.
    Turns are dealt in rounds, in an order that is drawn anew for each round, and the last batch of
    a round is filled up from its beginning, so that no batch holds an image twice.

    Where classes are to come up evenly, a round has one turn of each class; the last turn of a pass
    is filled up from its beginning, and a class with fewer than K images gives those it has. Where
    images are to, a round is a pass over all of them: the last turn of a class gives what is left.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    batch_size : int
        About how many images a batch has: P * K comes as near to it from below as it can; fewer
        where the classes have fewer images.
    classes_per_batch : int, optional
        P, 2 or more. Default: all classes, or as many as leave each of them 4 images; always the
        latter where images come up evenly, and a class may then have several turns in a batch.
    seed : int
        Same seed, same batches.
    balance : {"classes", "images"}
        What comes up evenly.
    """

    def __init__(
        self,
        labels: np.ndarray,
        batch_size: int = 384,
        classes_per_batch: int | None = None,
        seed: int = 0,
        balance: str = "classes",
    ) -> None:
        self._classes = _Classes(labels)
        self._seed = seed
        if batch_size < 4:
            raise InputError(f"batch size is {batch_size}: give 4 or more")
        if classes_per_batch is not None and classes_per_batch < 2:
            raise InputError(f"classes per batch is {classes_per_batch}: give 2 or more")
        sizes = self._classes.sizes
        by_images = draws_images(balance)
        per_batch = classes_per_batch or max(2, batch_size // 4)
        if not by_images:
            per_batch = min(len(sizes), per_batch)
        self._k = max(2, batch_size // per_batch)
        #: How many turns a pass over each class takes, and how many of them fall in a round.
        self._turns = -(-sizes // self._k)
        self._dealt = self._turns if by_images else np.ones_like(sizes)
        #: For each turn of a round: its class, which of the class's turns in the round it is, and
        #: how many images it gives.
        self._class_of = np.repeat(np.arange(len(sizes)), self._dealt)
        self._turn_of = np.concatenate([np.arange(n) for n in self._dealt])
        self._takes = np.minimum(self._k, sizes[self._class_of] - self._k * self._turn_of)
        # no more than a round, so that no image comes up twice in a batch
        self.batch_size = int(min(per_batch * self._k, self._takes.sum()))
        self._batches = -(-int(self._takes.sum()) // self.batch_size)
        # one order a class and one a round are in use at a time; room for those to come
        self._order = functools.lru_cache(maxsize=2 * len(sizes) + 4)(self._draw_order)

    def _draw_order(self, kind: int, number: int, length: int) -> np.ndarray:
        return np.random.default_rng((self._seed, kind, number)).permutation(length)

    def indices(self, step: int) -> np.ndarray:
        """Return the images of batch `step`, class by class, (batch_size,) int64."""
        number, batch = divmod(step, self._batches)
        order = self._order(0, number, len(self._takes))
        ends = np.cumsum(self._takes[order])
        skip = batch * self.batch_size
        first = int(np.searchsorted(ends, skip, side="right"))
        skip -= int(ends[first] - self._takes[order[first]])
        chosen: list[np.ndarray] = []
        missing = self.batch_size
        for turn in np.concatenate([order[first:], order]):
            images = self._images(number, turn)[skip : skip + missing]
            skip = 0
            chosen.append(images)
            missing -= len(images)
            if not missing:
                break
        return np.concatenate(chosen)

    def _images(self, number: int, turn: int) -> np.ndarray:
        """Return the images of a turn of round `number`."""
        cls = self._class_of[turn]
        size = int(self._classes.sizes[cls])
        past = number * self._dealt[cls] + self._turn_of[turn]
        passes, part = divmod(int(past), int(self._turns[cls]))
        order = self._order(1 + int(cls), passes, size)
        start = part * self._k
        within = order[np.arange(start, start + self._takes[turn]) % size]
        return self._classes.members[self._classes.starts[cls] + within]


class UniformSampler:
    """Draw every example once an epoch, in an order drawn anew for each.

    For the control, and for what needs no balance: triplets, pairs, views.

    Parameters
    ----------
    count : int
        How many examples there are.
    batch_size : int
        How many a batch has; the last batch of an epoch goes on into the next epoch.
    seed : int
        Same seed, same batches.
    """

    def __init__(self, count: int, batch_size: int = 384, seed: int = 0) -> None:
        self._count = count
        self._seed = seed
        self.batch_size = batch_size
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def _draw_order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, epoch)).permutation(self._count)

    def indices(self, step: int) -> np.ndarray:
        """Return the examples of batch `step`, (batch_size,) int64."""
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)
        epochs, places = np.divmod(places, self._count)
        parts = [self._order(int(e))[places[epochs == e]] for e in np.unique(epochs)]
        return np.concatenate(parts)
