"""The distance up to which two codes mean one picture, and what it is worth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from tripletnet.errors import InputError

#: The share of pictures that are taken to have an altered copy in the index.
PREVALENCE = 0.1


@dataclass(frozen=True)
class DuplicateThreshold:
    """The distance up to which two pictures count as near-duplicates, and what it is worth.

    Attributes
    ----------
    distance : float
        Squared Euclidean; the largest measured one that keeps to `wanted_precision`.
    wanted_precision, precision : float
        Of what is found, the share that is right, if :data:`PREVALENCE` of the pictures have an
        altered copy: PREVALENCE * recall / (PREVALENCE * recall + wrong).
    recall : float
        The share of altered pictures that lie within the distance of their original.
    recalls : dict of str to float
        The same for each way of altering.
    wrong : float
        The share of altered pictures within whose distance lies a picture that is not their
        original.
    pictures : int
        How many pictures were altered, each in all ways.
    look_alikes : int
        How many of them have a picture in the index that looks the same already, which does not
        count as wrong.
    unreadable : int
        How many more were drawn and could not be read, or have changed since.
    index_size : int
        How many pictures the index has: among more of them something else is found more often.
    """

    distance: float
    wanted_precision: float
    precision: float
    recall: float
    recalls: dict[str, float]
    wrong: float
    pictures: int
    look_alikes: int
    unreadable: int
    index_size: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {recall:.0%}" for name, recall in self.recalls.items())
        lost = f" ({self.unreadable} more are gone or have changed)" if self.unreadable else ""
        return (
            f"calibrated on {self.pictures} of {self.index_size:,} pictures{lost}, altered: a "
            f"squared distance of {self.distance:.4f} finds {self.recall:.0%} of them again "
            f"({found}), and something else for {self.wrong:.2%}, about "
            f"{self.wrong * self.index_size:,.0f} pictures of this index; precision "
            f"{self.precision:.1%} if one picture in {round(1 / PREVALENCE)} has an altered copy"
        )


def choose_duplicate_threshold(
    same: np.ndarray,
    other: np.ndarray,
    names: list[str],
    *,
    precision: float,
    index_size: int,
    look_alikes: int = 0,
    unreadable: int = 0,
) -> DuplicateThreshold:
    """Choose the largest distance that keeps to a precision.

    Parameters
    ----------
    same, other : ndarray of float, shape (N, A)
        For N pictures, altered in A ways, the distance from the original and from the nearest
        other picture.
    names : list of str
        The ways.
    precision, index_size, look_alikes, unreadable
        See :class:`DuplicateThreshold`.

    Raises
    ------
    InputError
        If no distance keeps to it.

    Examples
    --------
    >>> same, other = np.array([[0.1], [0.2], [0.3]]), np.array([[0.25], [0.4], [0.6]])
    >>> choose_duplicate_threshold(same, other, ["crop"], precision=0.9, index_size=9).distance
    0.2
    """
    tried = np.unique(same)
    recall = np.searchsorted(np.sort(same, axis=None), tried, "right") / same.size
    wrong = np.searchsorted(np.sort(other, axis=None), tried, "right") / other.size
    reached = PREVALENCE * recall / (PREVALENCE * recall + wrong)
    good = np.flatnonzero(reached >= precision)
    if not len(good):
        raise InputError(
            f"precision: no distance keeps to {precision:g} on altered pictures of this index, the "
            f"best is {reached.max():.4g}: ask for less, or give --max-distance"
        )
    chosen = good[-1]
    recalls = (same <= tried[chosen]).mean(axis=0)
    return DuplicateThreshold(
        distance=float(tried[chosen]),
        wanted_precision=precision,
        precision=float(reached[chosen]),
        recall=float(recall[chosen]),
        recalls={name: float(value) for name, value in zip(names, recalls)},
        wrong=float(wrong[chosen]),
        pictures=len(same),
        look_alikes=look_alikes,
        unreadable=unreadable,
        index_size=index_size,
    )
