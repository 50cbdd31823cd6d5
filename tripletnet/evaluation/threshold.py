"""The distance up to which two images count as the same, chosen on pairs of validation codes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance, SquaredEuclidean
from tripletnet.errors import InputError
from tripletnet.evaluation.pairs import PairDistances

#: What a threshold can be chosen for.
TARGETS = ("false_positive_rate", "precision", "recall")
#: What it is chosen for by default. Unlike precision, the false-positive rate does not depend on
#: how many classes there are and how full they are, so it holds for another collection too.
DEFAULT_TARGET, DEFAULT_VALUE = "false_positive_rate", 0.01

_CURVE_POINTS = 200


@dataclass(frozen=True)
class Threshold:
    """The distance up to which two images count as the same.

    Attributes
    ----------
    distance : float
        Pairs at this distance or a smaller one count as the same.
    target : {"false_positive_rate", "precision", "recall"}
        What it was chosen for.
    value : float
        The value wanted.
    precision, recall, false_positive_rate : float
        What it comes to on the pairs that it was chosen on, see
        :class:`tripletnet.evaluation.pairs.Rates`.
    same_pairs, different_pairs : int
        How many pairs there were to choose on.
    sampled : bool
        Whether a sample of these pairs was measured instead of all.
    curve : dict of str to list of float
        ``distance``, ascending, and ``precision``, ``recall`` and ``false_positive_rate`` there,
        at about 200 distances.
    unit : str
        Which distance it is.
    """

    distance: float
    target: str
    value: float
    precision: float
    recall: float
    false_positive_rate: float
    same_pairs: int
    different_pairs: int
    sampled: bool
    curve: dict[str, list[float]]
    unit: str = SquaredEuclidean.label

    def squared(self, distance: Distance) -> Threshold:
        """Return it in squared Euclidean distances, if it is one of `distance`."""
        curve = {**self.curve, "distance": [distance.to_squared(d) for d in self.curve["distance"]]}
        reach = distance.to_squared(self.distance)
        return dataclasses.replace(self, distance=reach, curve=curve, unit=SquaredEuclidean.label)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary for JSON."""
        return dataclasses.asdict(self)


def check_target(target: str, value: float) -> None:
    """Raise InputError unless a threshold can be chosen for such a target."""
    if target not in TARGETS:
        raise InputError(
            f"threshold target '{target}' is not known: use one of {', '.join(TARGETS)}"
        )
    if not (0 <= value < 1 if target == "false_positive_rate" else 0 < value <= 1):
        raise InputError(f"threshold: {target} of {value} makes no sense: give a share, as 0.01")


def choose_threshold(
    pairs: PairDistances, target: str = DEFAULT_TARGET, value: float = DEFAULT_VALUE
) -> Threshold:
    """Choose the distance up to which two images count as the same.

    Parameters
    ----------
    pairs : PairDistances
        Distances of validation pairs, see :func:`tripletnet.evaluation.pairs.pair_distances`; the
        threshold is of the same distance.
    target : {"false_positive_rate", "precision", "recall"}
        What is wanted.
    value : float
        How much of it. For the false-positive rate and for precision the largest distance is
        taken that keeps to it, for recall the smallest one that reaches it.

    Raises
    ------
    InputError
        If the target is not known, the value is none that it can have, no distance gives it, or
        there are no pairs of one kind.

    Notes
    -----
    Only distances that occur among the pairs are tried. Precision is that of all pairs of the
    validation codes: it falls where same pairs are rarer, as they are among more classes.

    Examples
    --------
    >>> same, different = np.array([0.1, 0.2, 0.6]), np.array([0.5, 0.8, 0.9, 1.0])
    >>> pairs = PairDistances(same, different, 3, 4)
    >>> choose_threshold(pairs, "precision", 0.75).distance
    0.6
    """
    check_target(target, value)
    for kind, found in (("the same", pairs.same), ("different", pairs.different)):
        if not len(found):
            raise InputError(
                f"no validation pair is {kind}, so no distance tells same from different: hold out "
                "more images"
            )
    distances = np.unique(np.concatenate([pairs.same, pairs.different]))
    precision, recall, wrong = pairs.curve(distances)
    if target == "recall":
        good = recall >= value
        chosen = int(np.argmax(good))
    else:
        good = wrong <= value if target == "false_positive_rate" else precision >= value
        chosen = len(good) - 1 - int(np.argmax(good[::-1]))
    if not good.any():
        best = wrong.min() if target == "false_positive_rate" else precision.max()
        raise InputError(
            f"no distance gives a {target.replace('_', ' ')} of {value:g} on the "
            f"validation pairs, the best is {best:.4g}: ask for that"
        )
    some = _curve_points(pairs)
    columns = ("distance", "precision", "recall", "false_positive_rate")
    curve = {
        name: [float(f"{number:.6g}") for number in numbers]
        for name, numbers in zip(columns, (some, *pairs.curve(some)))
    }
    return Threshold(
        float(distances[chosen]),
        target,
        value,
        float(precision[chosen]),
        float(recall[chosen]),
        float(wrong[chosen]),
        pairs.same_pairs,
        pairs.different_pairs,
        pairs.sampled,
        curve,
        pairs.distance.label,
    )


def _curve_points(pairs: PairDistances) -> np.ndarray:
    """Return distances at even steps of the recall and of the false-positive rate."""
    shares = np.linspace(0, 1, _CURVE_POINTS // 2)
    kinds = (pairs.same, pairs.different)
    return np.unique(np.concatenate([np.quantile(kind, shares, method="higher") for kind in kinds]))
