"""Distances of same and of different pairs of codes: all of them, or a sample that says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

import numpy as np

from tripletnet.codes import check_classes, check_codes, check_labels, near_origin
from tripletnet.codes.distances import Distance, SquaredEuclidean
from tripletnet.errors import InputError
from tripletnet.registry import DISTANCES

#: Up to so many pairs are all measured; of more pairs a sample is drawn.
ALL_PAIRS = 5_000_000
#: How many same pairs, and how many different pairs, a sample has.
SAMPLED_PAIRS = 500_000

_BLOCK = 2048


@dataclass(frozen=True)
class Rates:
    """What calling pairs the same up to some distance comes to.

    Attributes
    ----------
    precision : float
        Same pairs accepted, over all pairs accepted; 1 where none is.
    recall : float
        Same pairs accepted, over all same pairs.
    false_positive_rate : float
        Different pairs accepted, over all different pairs.
    """

    precision: float
    recall: float
    false_positive_rate: float


@dataclass(frozen=True)
class PairDistances:
    """Distances of pairs of codes.

    Attributes
    ----------
    same, different : ndarray of float32, ascending
        The measured distances of pairs of one class, and of pairs of two classes.
    same_pairs, different_pairs : int
        How many such pairs there are; more than were measured where a sample was drawn.
    distance : Distance
        What they were measured with.
    """

    same: np.ndarray
    different: np.ndarray
    same_pairs: int
    different_pairs: int
    distance: Distance = field(default_factory=SquaredEuclidean)

    @property
    def sampled(self) -> bool:
        """Whether these are a sample of the pairs."""
        return len(self.same) + len(self.different) != self.same_pairs + self.different_pairs

    def rates(self, distance: float) -> Rates:
        """Return the rates of calling pairs the same whose distance is `distance` or less."""
        precision, recall, false_positive_rate = self.curve(np.array([distance]))
        return Rates(float(precision[0]), float(recall[0]), float(false_positive_rate[0]))

    def curve(self, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return precision, recall and false-positive rate at each of `distances`.

        Notes
        -----
        A sample draws same and different pairs apart; precision weighs them by how many of each
        there are, so that it is that of all pairs.
        """
        same = np.searchsorted(self.same, distances, side="right")
        different = np.searchsorted(self.different, distances, side="right")
        # weights of exactly 1 where all pairs were measured
        hits = same * (self.same_pairs / len(self.same))
        accepted = hits + different * (self.different_pairs / len(self.different))
        precision = np.divide(hits, accepted, out=np.ones_like(hits), where=accepted > 0)
        return precision, same / len(self.same), different / len(self.different)


def pair_distances(
    codes: np.ndarray,
    labels: np.ndarray,
    seed: int = 0,
    all_pairs: int = ALL_PAIRS,
    sampled_pairs: int = SAMPLED_PAIRS,
    distance: Union[str, Distance] = "squared",
) -> PairDistances:
    """Measure the distances of same and of different pairs.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        The codes, as they are: nothing but the cosine goes by their directions alone.
    labels : ndarray of int or str, shape (N,)
        Their classes.
    seed : int
        Decides the sample.
    all_pairs : int
        Up to so many pairs are all measured.
    sampled_pairs : int
        Of more pairs, so many same and so many different ones are drawn, evenly among the pairs
        and independently of each other.
    distance : str or Distance
        ``squared``, ``euclidean`` or ``cosine``.

    Raises
    ------
    InputError
        If codes and labels do not fit together, all labels are the same, or no two are, or there is
        no such distance.

    Examples
    --------
    >>> codes = np.array([[0, 1], [0, 1], [1, 0]], dtype=np.float32)
    >>> pair_distances(codes, np.array(["a", "a", "b"])).different
    array([2., 2.], dtype=float32)
    """
    measure = DISTANCES.choose(distance)
    codes = measure.prepared(check_codes(codes))
    classes, members = check_classes(check_labels(labels, len(codes)))
    sizes = np.bincount(members)
    total = len(codes) * (len(codes) - 1) // 2
    same_pairs = int((sizes * (sizes - 1) // 2).sum())
    if not same_pairs:
        raise InputError(
            f"labels: no class has two codes, so there is no pair of the same class among "
            f"{len(codes)} codes of {len(classes)} classes"
        )
    if total <= all_pairs:
        same, different = _measure_all(codes, members)
    else:
        random = np.random.default_rng(seed)
        by_class = np.argsort(members, kind="stable")
        same, different = (
            paired_distances(codes, *by_class[draw(sizes, sampled_pairs, random)])
            for draw in (_draw_same, _draw_different)
        )
    same, different = (measure.from_squared(np.sort(squared)) for squared in (same, different))
    return PairDistances(same, different, same_pairs, total - same_pairs, measure)


def _measure_all(codes: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (codes,) = near_origin(codes)
    # rounded from double precision, products of equal codes are equal: ties are ties
    wide = codes.astype(np.float64)
    products = (wide @ wide.T).astype(np.float32)
    squares = products.diagonal()
    distances = squares[:, None] + squares - 2 * products
    np.maximum(distances, 0, out=distances)
    alike = members[:, None] == members
    once = ~np.tri(len(codes), dtype=bool)
    return distances[alike & once], distances[~alike & once]


def paired_distances(codes: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the squared Euclidean distance of codes ``left[i]`` and ``right[i]``, (P,) float32."""
    distances = np.empty(len(left), np.float32)
    for start in range(0, len(left), _BLOCK):
        part = slice(start, start + _BLOCK)
        difference = codes[left[part]] - codes[right[part]]
        np.einsum("ij,ij->i", difference, difference, out=distances[part])
    return distances


def _draw_same(sizes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw pairs of one class, each with the same probability.

    Returns
    -------
    ndarray of int, shape (2, count)
        Places among the codes sorted by class, of classes of these sizes.
    """
    starts = np.cumsum(sizes) - sizes
    drawn = _draw_classes(sizes, sizes - 1, count, random)
    first = random.integers(sizes[drawn])
    second = random.integers(sizes[drawn] - 1)
    second += second >= first  # the second is never the first
    return starts[drawn] + np.stack([first, second])


def _draw_different(sizes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Draw pairs of two classes, each with the same probability, as `_draw_same` does."""
    starts = np.cumsum(sizes) - sizes
    others = sizes.sum() - sizes
    drawn = _draw_classes(sizes, others, count, random)
    left = starts[drawn] + random.integers(sizes[drawn])
    right = random.integers(others[drawn])
    right += sizes[drawn] * (right >= starts[drawn])  # past the class itself
    return np.stack([left, right])


def _draw_classes(
    sizes: np.ndarray, partners: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    """Draw the class of a pair's first code, where each code of a class has so many partners."""
    pairs = sizes * partners.astype(np.float64)
    return random.choice(len(sizes), count, p=pairs / pairs.sum())
