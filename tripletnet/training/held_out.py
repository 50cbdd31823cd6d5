"""What held-out examples tell of codes, with classes and without: one class here a kind."""

from __future__ import annotations

from typing import Any, Callable, Protocol

import numpy as np

from tripletnet.codes.nearest import nearest
from tripletnet.data.alter import ALTERATIONS, MILD
from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.data.pair_set import PairSet
from tripletnet.data.triplet_set import TripletSet
from tripletnet.data.view_set import ViewSet
from tripletnet.errors import InputError
from tripletnet.evaluation.orderings import (
    as_pairs,
    ordered_right,
    originals_first,
    triplet_distances,
)
from tripletnet.evaluation.pairs import PairDistances, pair_distances, paired_distances
from tripletnet.evaluation.threshold import DEFAULT_VALUE
from tripletnet.evaluation.verification import roc_auc

#: Gives the code of each image of a set, (N, D) float32.
CodesOf = Callable[[ImageSet], np.ndarray]


class HeldOut(Protocol):
    """What held-out examples tell of codes."""

    #: The name of the measure, for tables.
    measure: str
    #: What it is, for people.
    meaning: str
    #: Which false-positive rate a threshold is chosen for by default.
    false_positive_rate: float
    #: Of how many trials the score is a share: what its standard error goes by.
    trials: int

    def score(self, codes_of: CodesOf) -> float:
        """Return how well the codes do, from 0 to 1: the higher the better."""

    def pairs(self, codes_of: CodesOf) -> PairDistances:
        """Return distances of same and of different pairs, for a threshold."""


class HeldOutClasses:
    """Images of the classes that are learnt, and none of those that are learnt from.

    Recall@1 is the share of images whose nearest other held-out image is of their own class;
    images that are alone in their class are left out.
    """

    measure = "recall_at_1"
    meaning = "images whose nearest other one is of their class"
    false_positive_rate = DEFAULT_VALUE

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        counts = np.bincount(images.labels)
        self.trials = int(counts[counts > 1].sum())

    def score(self, codes_of: CodesOf) -> float:
        """Return Recall@1."""
        return recall_at_1(codes_of(self._images), self._images.labels)

    def pairs(self, codes_of: CodesOf) -> PairDistances:
        """Return the distances of all pairs, or of a sample."""
        return pair_distances(codes_of(self._images), self._images.labels)


class HeldOutTriplets:
    """Triplets: the share whose same is nearer to the anchor than their diff."""

    measure = "ordered_right"
    meaning = "triplets ordered right"
    false_positive_rate = DEFAULT_VALUE

    def __init__(self, triplets: TripletSet) -> None:
        self._triplets = triplets
        self.trials = len(triplets)

    def score(self, codes_of: CodesOf) -> float:
        """Return the share of triplets that are ordered right."""
        return ordered_right(*self._distances(codes_of))

    def pairs(self, codes_of: CodesOf) -> PairDistances:
        """Return the distances of anchor and same, and of anchor and diff."""
        return as_pairs(*self._distances(codes_of))

    def _distances(self, codes_of: CodesOf) -> tuple[np.ndarray, np.ndarray]:
        return triplet_distances(codes_of(self._triplets.images), self._triplets.rows)


class HeldOutPairs:
    """Pairs: the area under the ROC curve of telling similar from different ones by distance.

    Raises
    ------
    InputError
        If all pairs are similar, or none is.
    """

    measure = "roc_auc"
    meaning = "ROC-AUC of pairs"
    false_positive_rate = DEFAULT_VALUE

    def __init__(self, pairs: PairSet) -> None:
        similar = int(pairs.truths.sum())
        if not 0 < similar < len(pairs):
            raise InputError(
                f"{pairs.name}: of {len(pairs):,} pairs to validate on {similar:,} are similar: "
                "both kinds are needed to tell them apart"
            )
        self._pairs = pairs
        # the fewer ones bound the error of the area (Birnbaum, Klose 1957)
        self.trials = min(similar, len(pairs) - similar)

    def score(self, codes_of: CodesOf) -> float:
        """Return the ROC-AUC."""
        distances = self.pairs(codes_of)
        return roc_auc(distances.same, distances.different)

    def pairs(self, codes_of: CodesOf) -> PairDistances:
        """Return the distances of the pairs that are similar and of those that are not."""
        codes = codes_of(self._pairs.images)
        distances = paired_distances(codes, *self._pairs.rows.T)
        similar = self._pairs.truths == 1
        return as_pairs(distances[similar], distances[~similar])


class HeldOutViews:
    """Pictures: the share of altered ones whose original is the nearest of all held-out pictures.

    Up to a thousand of them, evenly spread, are altered, each in one of the ways of
    :data:`tripletnet.data.alter.ALTERATIONS` in turn, at mild strengths: the measure does not
    depend on how training alters.

    Raises
    ------
    InputError
        If there is one picture alone.
    """

    measure = "originals_first"
    meaning = "altered pictures whose original comes first"
    # random pictures are what a picture is told from: among 10,000 of them, one is let through
    false_positive_rate = 1e-4

    def __init__(self, views: ViewSet) -> None:
        if len(views) < 2:
            raise InputError(
                f"{views.name}: {len(views)} picture to validate on has no other to be told from: "
                "hold out two or more, or none"
            )
        self._images = views.images
        self._own = _spread(len(views), 1000)
        ways = list(MILD)
        altered = self._images.take(self._own)
        for i, image in enumerate(altered):
            way = ways[i % len(ways)]
            altered[i] = ALTERATIONS[way](image, MILD[way], np.random.default_rng((i, 3)))
        self.trials = len(altered)
        self._altered = ImageSet("altered", altered, np.zeros(len(altered), np.int64), ())

    def score(self, codes_of: CodesOf) -> float:
        """Return the share whose original comes first."""
        codes, altered = codes_of(self._images), codes_of(self._altered)
        return originals_first(codes, altered, self._own)

    def pairs(self, codes_of: CodesOf) -> PairDistances:
        """Return the distances of altered pictures from their own, and from other originals."""
        codes, altered = codes_of(self._images), codes_of(self._altered)
        same = ((altered - codes[self._own]) ** 2).sum(axis=1)
        others = _spread(len(codes), 10_000)
        distances = np.maximum(2 - 2 * (altered @ codes[others].T), 0)
        return as_pairs(same, distances[self._own[:, None] != others])


def _spread(count: int, most: int) -> np.ndarray:
    """Return up to `most` of `count` places, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


_KINDS: dict[str, Callable[[Any], HeldOut]] = {
    "classes": HeldOutClasses,
    "triplets": HeldOutTriplets,
    "pairs": HeldOutPairs,
    "views": HeldOutViews,
}


def held_out(examples: Examples) -> HeldOut:
    """Return what `examples` tell of codes."""
    return _KINDS[examples.supervision](examples)


def recall_at_1(codes: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of codes, (N, D), whose nearest other one has their label, (N,).

    Codes that are alone with their label are left out; 0 if all are.
    """
    _, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    paired = np.flatnonzero(counts[members] > 1)
    if not len(paired):
        return 0.0
    _, found = nearest(codes, codes[paired], k=1, exclude_self=paired)
    return float((labels[found[:, 0]] == labels[paired]).mean())
