"""The figures in words: whether these codes are to be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tripletnet.evaluation.judgement import Judgement

#: Recall@1 from which codes are called good, and from which fair.
GOOD, FAIR = 0.95, 0.80
#: Fewer queries than this are called few.
FEW_QUERIES = 200


@dataclass(frozen=True)
class Verdict:
    """What to make of some codes.

    Attributes
    ----------
    grade : {"good", "fair", "poor"}
        By Recall@1: at least 0.95, at least 0.80, or less.
    headline : str
        A sentence.
    reasons : tuple of str
        What speaks for it.
    cautions : tuple of str
        What to beware of.
    """

    grade: str
    headline: str
    reasons: tuple[str, ...]
    cautions: tuple[str, ...]


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the interval that holds the true share with 95 % confidence.

    Parameters
    ----------
    share : float
        Seen among `count` independent trials.
    count : int
        At least 1.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22,
    1927.

    Examples
    --------
    >>> [round(edge, 3) for edge in wilson_interval(0.9, 100)]
    [0.826, 0.945]
    """
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2))
    spread /= 1 + z * z / count
    return max(0.0, middle - spread), min(1.0, middle + spread)


def verdict(judgement: Judgement) -> Verdict:
    """Say in words what the figures mean."""
    test = judgement.test
    recall = test.retrieval.recall_at[1]
    grade = "good" if recall >= GOOD else "fair" if recall >= FAIR else "poor"
    if recall >= GOOD:
        headline = "Yes: what these codes call near is nearly always of the same class."
    elif recall >= FAIR:
        headline = "With care: what these codes call near is mostly of the same class."
    elif wilson_interval(recall, test.retrieval.queries)[0] > test.chance:
        headline = "Not yet: these codes tell something, but what they call near is often wrong."
    else:
        headline = "No: these codes are no better than picking at random."
    return Verdict(grade, headline, tuple(_reasons(judgement)), tuple(_cautions(judgement)))


def _reasons(judgement: Judgement) -> list[str]:
    test, probe, control = judgement.test, judgement.probe, judgement.control
    recall = test.retrieval.recall_at[1]
    low, high = wilson_interval(recall, test.retrieval.queries)
    told = [
        f"The nearest other test image is of the same class for {percent(recall)} of "
        f"{test.retrieval.queries:,} queries (95 % interval {percent(low)} to {percent(high)}; "
        f"picking at random: {percent(test.chance)})."
    ]
    if probe is not None:
        told.append(
            f"A linear SVM on the codes names the class of {percent(probe.accuracy)} of "
            f"{probe.scored_on:,} test images (naming the largest class every time: "
            f"{percent(probe.largest_class)})."
        )
    if probe is not None and control is not None:
        points = 100 * (probe.accuracy - control.accuracy)
        told.append(
            f"The control, the same layers trained as a classifier on as many images, names "
            f"{percent(control.accuracy)}: the codes are {abs(points):.1f} points "
            f"{'better' if points >= 0 else 'worse'}."
        )
    if judgement.threshold is not None and test.at_threshold is not None:
        told.append(
            f"Calling two images the same up to a distance of {judgement.threshold.distance:.4g} "
            f"finds {percent(test.at_threshold.recall)} of the pairs of one class, and wrongly "
            f"joins {percent(test.at_threshold.false_positive_rate)} of the pairs of two."
        )
    if judgement.held_out is not None:
        unseen = judgement.held_out
        told.append(
            f"Among {len(unseen.per_class)} classes that it never learnt, the nearest image is of "
            f"the same class for {percent(unseen.retrieval.recall_at[1])} of "
            f"{unseen.retrieval.queries:,} queries (picking at random: {percent(unseen.chance)})."
        )
    return told


def _cautions(judgement: Judgement) -> list[str]:
    test, threshold, told = judgement.test, judgement.threshold, []
    recall = test.retrieval.recall_at[1]
    if test.retrieval.queries < FEW_QUERIES:
        told.append(
            f"There were only {test.retrieval.queries} queries: the figures are rough, see the "
            "interval."
        )
    scored = {
        label: metrics.recall_at[1] for label, metrics in test.per_class.items() if metrics.queries
    }
    weakest = min(scored, key=lambda label: scored[label])
    if scored[weakest] < recall - 0.1:
        told.append(
            f"Classes differ: the weakest, {judgement.classes[weakest]}, has Recall@1 "
            f"{percent(scored[weakest])}."
        )
    unseen = judgement.held_out
    for part, of in ((test, "test pairs"), (unseen, "pairs of classes that it never learnt")):
        if threshold is None or part is None or part.at_threshold is None:
            continue
        chosen, seen = threshold.false_positive_rate, part.at_threshold.false_positive_rate
        if seen > max(2 * chosen, 0.005):
            told.append(
                f"The threshold wrongly joins {percent(seen)} of the different {of}, where it was "
                f"{percent(chosen)} of the validation pairs that it was chosen on."
            )
    if unseen is not None and unseen.retrieval.recall_at[1] < recall - 0.1:
        told.append("Classes that it never learnt come out clearly worse than those it knows.")
    if test.pairs.same[-1] == 0 == test.pairs.different[-1]:
        told.append("All codes are the same point: the encoder has collapsed.")
    return told


def percent(share: float) -> str:
    """Return a share as a percentage that is 0 or 100 only where the share is."""
    text = f"{100 * share:.1f} %"
    if text == "0.0 %" and share > 0:
        return "under 0.1 %"
    return "over 99.9 %" if text == "100.0 %" and share < 1 else text
