"""What comparing the codes of one part with each other comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

import numpy as np

from tripletnet.codes import of_unit_length
from tripletnet.codes.distances import Distance
from tripletnet.codes.nearest import nearest
from tripletnet.evaluation.metrics import QueryMetrics, RetrievalMetrics, query_metrics
from tripletnet.evaluation.pairs import PairDistances, Rates, pair_distances
from tripletnet.evaluation.parts import Codes
from tripletnet.evaluation.threshold import Threshold
from tripletnet.evaluation.verification import nmi, roc_auc
from tripletnet.registry import DISTANCES

#: The k of Recall@k and Precision@k.
KS = (1, 5, 10)
#: How many queries are shown with their neighbours, and with how many.
SHOWN_QUERIES, SHOWN_NEIGHBOURS = 10, 10
#: How many of the worst queries may be of one class.
WORST_OF_A_CLASS = 2


@dataclass(frozen=True)
class Neighbours:
    """Some queries and the codes nearest to them.

    Attributes
    ----------
    queries : ndarray of int64, shape (Q,)
        Their indices.
    found : ndarray of int64, shape (Q, k)
        The indices of the neighbours, nearest first.
    distances : ndarray of float32, shape (Q, k)
        How far away they are.
    """

    queries: np.ndarray
    found: np.ndarray
    distances: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """What comparing the codes of one part with each other comes to.

    Attributes
    ----------
    codes : Codes
        The part.
    retrieval : RetrievalMetrics
        Each code searched among all others of the part, on average.
    per_class : dict of int to RetrievalMetrics
        The same, of the queries of each class.
    chance : float
        Recall@1 of a search that picks at random.
    nmi : float
        Normalised mutual information of k-means clusters and classes.
    roc_auc : float
        Of telling same from different pairs by distance.
    at_threshold : Rates or None
        What the threshold comes to here, on `pairs`.
    pairs : PairDistances
        Distances of same and of different pairs.
    random, worst : Neighbours
        Of random queries, and of those with the lowest average precision (two of a class at most).
    unit_length : bool
        Whether all codes are of unit length, to 0.001.
    """

    codes: Codes
    retrieval: RetrievalMetrics
    per_class: dict[int, RetrievalMetrics]
    chance: float
    nmi: float
    roc_auc: float
    at_threshold: Optional[Rates]
    pairs: PairDistances
    random: Neighbours
    worst: Neighbours
    unit_length: bool

    @property
    def left_out(self) -> int:
        """How many codes are alone in their class, and no queries therefore."""
        return self.retrieval.left_out

    def to_json(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the figures as a dictionary for JSON, those of classes by their names."""
        return {
            **self.retrieval.as_dict(),
            "chance": self.chance,
            "nmi": self.nmi,
            "roc_auc": self.roc_auc,
            "at_threshold": None if self.at_threshold is None else asdict(self.at_threshold),
            "per_class": {
                classes[label]: metrics.as_dict() for label, metrics in self.per_class.items()
            },
        }


def compare_all(
    codes: Codes,
    threshold: Optional[Threshold],
    seed: int = 0,
    tried: Optional[Codes] = None,
    distance: Union[str, Distance] = "squared",
) -> Comparison:
    """Compare codes with each other.

    Parameters
    ----------
    codes : Codes
        What is compared, N codes of C classes. Beside them this takes some hundred megabytes at
        the most, however many there are.
    threshold : Threshold or None
        The distance to try on their pairs.
    seed : int
        Decides samples and the queries that are shown.
    tried : Codes, optional
        Those of the codes on whose pairs the threshold is tried, if they have pairs of one class
        and of two. Default: all.
    distance : str or Distance
        How far two codes are apart: the threshold's.

    Raises
    ------
    InputError
        If there are not two classes, or no class has two codes.
    """
    measure = DISTANCES.choose(distance)
    pairs = pair_distances(codes.codes, codes.labels, seed, distance=measure)
    others = len(codes) - 1
    ks = [k for k in KS if k <= others]
    queries = query_metrics(codes.codes, codes.labels, ks=ks, distance=measure)
    shown = _shown_queries(queries, seed)
    random, worst = (_neighbours(codes, chosen, measure) for chosen in shown)
    rates = None
    if threshold is not None and (tried is None or tried.has_pairs):
        part = pairs
        if tried is not None and tried is not codes:
            part = pair_distances(tried.codes, tried.labels, seed, distance=measure)
        rates = part.rates(threshold.distance)
    return Comparison(
        codes=codes,
        retrieval=queries.mean(),
        per_class=queries.per_class(),
        chance=float(queries.relevant[queries.relevant > 0].mean() / others),
        nmi=nmi(measure.prepared(codes.codes), codes.labels, seed),
        roc_auc=roc_auc(pairs.same, pairs.different),
        at_threshold=rates,
        pairs=pairs,
        random=random,
        worst=worst,
        unit_length=of_unit_length(codes.codes),
    )


def _shown_queries(queries: QueryMetrics, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose random queries, in the order of their classes, and the worst, worst first."""
    able = np.flatnonzero(queries.relevant > 0)
    number = min(SHOWN_QUERIES, len(able))
    random = np.random.default_rng(seed).choice(able, number, replace=False)
    random = random[np.argsort(queries.labels[random], kind="stable")]
    worst: list[int] = []
    seen: Counter[int] = Counter()
    for query in able[np.argsort(queries.average_precision[able], kind="stable")].tolist():
        # or else the weakest class would fill the picture
        if len(worst) < SHOWN_QUERIES and seen[queries.labels[query]] < WORST_OF_A_CLASS:
            worst.append(query)
            seen[queries.labels[query]] += 1
    return random, np.array(worst)


def _neighbours(codes: Codes, queries: np.ndarray, measure: Distance) -> Neighbours:
    distances, found = nearest(
        codes.codes,
        codes.codes[queries],
        min(SHOWN_NEIGHBOURS, len(codes) - 1),
        exclude_self=queries,
        distance=measure,
    )
    return Neighbours(queries, found, distances)
