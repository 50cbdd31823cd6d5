"""All figures of some codes at once: what a report tells."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from tripletnet.codes import check_classes
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.evaluation.comparison import Comparison, compare_all
from tripletnet.evaluation.pairs import pair_distances
from tripletnet.evaluation.parts import Codes, halves
from tripletnet.evaluation.probe import SVMProbe
from tripletnet.evaluation.threshold import (
    DEFAULT_TARGET,
    DEFAULT_VALUE,
    Threshold,
    check_target,
    choose_threshold,
)
from tripletnet.registry import DISTANCES


@dataclass(frozen=True)
class ProbeFigures:
    """What an SVM on codes comes to.

    Attributes
    ----------
    accuracy : float
        The share of the scored codes whose class it names rightly.
    largest_class : float
        What naming the largest class every time would come to.
    C : float
        The SVM's penalty, chosen on a part of the codes that it was fitted on.
    fitted_on, scored_on : int
        How many codes.
    confusion : ndarray of int64, shape (C, C)
        Row: true class; column: predicted class.
    """

    accuracy: float
    largest_class: float
    C: float
    fitted_on: int
    scored_on: int
    confusion: np.ndarray


@dataclass(frozen=True)
class Control:
    """The control: the same layers trained end to end as a classifier, on as many images.

    Attributes
    ----------
    accuracy : float
        Of its softmax on the test images.
    probe_accuracy : float
        Of an SVM on its features.
    """

    accuracy: float
    probe_accuracy: float


@dataclass(frozen=True)
class Judgement:
    """All figures of some codes.

    Attributes
    ----------
    dataset : str
        What the images are called.
    classes : tuple of str
        The names that labels are indices into.
    test : Comparison
        The test codes, compared with each other.
    held_out : Comparison or None
        The codes of classes that were kept out of training, compared with each other.
    probe : ProbeFigures or None
        None if it cannot be fitted; `notes` says why.
    threshold : Threshold or None
        None if there is none; `notes` says why.
    control : Control or None
        None if it was not asked for.
    notes : tuple of str
        What was split off or left out, a sentence each.
    """

    dataset: str
    classes: tuple[str, ...]
    test: Comparison
    held_out: Optional[Comparison]
    probe: Optional[ProbeFigures]
    threshold: Optional[Threshold]
    control: Optional[Control]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the figures as a dictionary for JSON: fractions from 0 to 1, None if unknown."""
        figures: dict[str, Any] = {
            "dataset": self.dataset,
            "code_size": self.test.codes.codes.shape[1],
            "unit_length": self.test.unit_length,
            "distance": self.test.pairs.distance.label,
            **self.test.to_json(self.classes),
        }
        if self.probe is not None:
            probe = dataclasses.asdict(self.probe)
            probe["confusion"] = self.probe.confusion.tolist()
            figures.update({f"probe_{name}": value for name, value in probe.items()})
        if self.control is not None:
            figures["control_accuracy"] = self.control.accuracy
            figures["control_probe_accuracy"] = self.control.probe_accuracy
        if self.held_out is not None:
            figures["held_out"] = self.held_out.to_json(self.classes)
        if self.threshold is not None:
            figures["threshold"] = self.threshold.to_json()
        return {**figures, "classes": list(self.classes), "notes": list(self.notes)}


def judge(
    test: Codes,
    classes: Sequence[str],
    *,
    train: Optional[Codes] = None,
    validation: Optional[Codes] = None,
    held_out: Optional[Codes] = None,
    control: Optional[Control] = None,
    dataset: str = "codes",
    target: str = DEFAULT_TARGET,
    value: float = DEFAULT_VALUE,
    distance: Union[str, Distance] = "squared",
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Judgement:
    """Judge codes by an SVM, by what is nearest to each, and by the distances of pairs.

    Parameters
    ----------
    test : Codes
        What is scored, and nothing else is.
    classes : sequence of str
        The names that all labels are indices into.
    train : Codes, optional
        What the SVM is fitted on. Without them it is fitted on a random half of the test codes
        and scored on the other half, with an even share of each class in both.
    validation : Codes, optional
        What the threshold is chosen on. Without them it is chosen on that first half of the test
        codes and tried on the other.
    held_out : Codes, optional
        Codes of classes that the encoder has not learnt, searched among each other.
    control : Control, optional
        The control's figures, to be shown beside the SVM's.
    dataset : str
        What the images are called.
    target, value
        What the threshold is for, see
        :func:`tripletnet.evaluation.threshold.choose_threshold`.
    distance : str or Distance
        How far two codes are apart: ``squared``, ``euclidean`` or ``cosine``. The SVM goes by the
        codes as they are.
    seed : int
        Decides the halves, samples of pairs and the queries that are shown.
    notes : sequence of str
        What the caller left out already, to be told with the rest.

    Raises
    ------
    InputError
        If the test codes are none, are of one class only, or no class has two of them, or if the
        threshold is wanted for what makes no sense, or there is no such distance.
    """
    check_target(target, value)
    measure = DISTANCES.choose(distance)
    if len(test):
        check_classes(np.asarray(classes)[np.unique(test.labels)])
    told = list(notes)
    train, validation = train or None, validation or None  # none at all may be there as well
    first, second = halves(test.labels, seed)
    cut = [name for name, part in (("SVM", train), ("threshold", validation)) if part is None]
    if cut:
        told.append(
            f"There were no other codes for the {' and the '.join(cut)}: "
            f"{'it was' if len(cut) == 1 else 'they were'} made on a random half of the test codes "
            f"({len(first):,}, stratified by class, seed {seed}) and scored on the other half "
            f"({len(second):,}). All other figures are of all {len(test):,} test codes."
        )
    tried = test if validation else test.subset(second)
    threshold = _threshold(validation or test.subset(first), target, value, measure, seed, told)
    if threshold is not None and not tried.has_pairs:
        told.append(
            "How the threshold does on other codes is not told: in the half that it was not chosen "
            "on, no class has two codes, or there is one class."
        )
    found = compare_all(test, threshold, seed, tried, measure)
    unseen = None
    if held_out is not None and len(held_out):
        try:
            unseen = compare_all(held_out, threshold, seed, distance=measure)
        except InputError as error:
            told.append(f"The held-out classes could not be judged: {error}.")
    for name, part in (("test", found), ("held-out", unseen)):
        if part is not None and part.left_out:
            told.append(
                f"{part.left_out:,} of {len(part.codes):,} {name} codes are alone in their class: "
                "they are in the others' lists but are no queries themselves."
            )
    if not found.unit_length:
        told.append(
            "The codes are not of unit length. They were taken as they are: distances are their "
            f"{measure.label} distances, and nothing was normalised."
        )
    probe = _probe(
        train or test.subset(first),
        test if train else test.subset(second),
        len(classes),
        seed,
        told,
    )
    return Judgement(dataset, tuple(classes), found, unseen, probe, threshold, control, tuple(told))


def _threshold(
    codes: Codes, target: str, value: float, measure: Distance, seed: int, told: list[str]
) -> Optional[Threshold]:
    try:
        pairs = pair_distances(codes.codes, codes.labels, seed, distance=measure)
        return choose_threshold(pairs, target, value)
    except InputError as error:
        told.append(f"There is no threshold: {error}.")
        return None


def _probe(
    train: Codes, test: Codes, classes: int, seed: int, told: list[str]
) -> Optional[ProbeFigures]:
    try:
        probe = SVMProbe(random_state=seed).fit(train.codes, train.labels)
    except InputError as error:
        told.append(f"The SVM could not be fitted: {error}.")
        return None
    unknown = int((~np.isin(test.labels, probe.classes_)).sum())
    if unknown:
        told.append(
            f"{unknown:,} of {len(test):,} test codes are of classes that the SVM was not fitted "
            "on; they count as wrong."
        )
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (test.labels, probe.predict(test.codes)), 1)
    return ProbeFigures(
        accuracy=float(np.trace(confusion) / len(test)),
        largest_class=float(confusion.sum(axis=1).max() / len(test)),
        C=float(probe.C_),
        fitted_on=len(train),
        scored_on=len(test),
        confusion=confusion,
    )
