"""How good is the ranking that codes give? Precision, recall and average precision.

For each query all other codes are ranked by their distance. Let R be the number
of them that are of the query's class, and r_1 < ... < r_R the places of these in the ranking,
counted from 1. Every figure follows from the places:

============  =====================================================================
Precision@k   hits in the first k, over k: #{r_i <= k} / k
Recall@k      whether there is a hit in the first k: 1 if r_1 <= k, else 0
R-precision   hits in the first R, over R: #{r_i <= R} / R
MAP@R         sum of the precision at each hit of the first R, over R: sum_{r_i <= R} (i / r_i) / R
mAP           the same over the whole ranking, over R: sum_i (i / r_i) / R
============  =====================================================================

A query is never in its own ranking. Equal distances are ranked by the lower index. Queries with
R = 0 have no figures; they are left out of the averages and counted.

References
----------
Musgrave, Belongie, Lim. "A metric learning reality check." ECCV 2020 (R-precision and MAP@R).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from tripletnet.codes import (
    check_classes,
    check_codes,
    check_labels,
    check_rows,
    check_widths,
)
from tripletnet.codes.distances import Distance
from tripletnet.codes.nearest import LAST, RankingKeys, scan
from tripletnet.errors import InputError
from tripletnet.registry import DISTANCES


@dataclass(frozen=True)
class RetrievalMetrics:
    """Averages over queries, fractions from 0 to 1.

    Parameters
    ----------
    precision_at : dict
        Precision@k for each k.
    recall_at : dict
        Recall@k for each k.
    r_precision, map_at_r, map : float
        R-precision, MAP@R, mAP. See the module for all formulas.
    queries : int
        How many queries the averages are over. Without any the figures are NaN.
    left_out : int
        How many queries had no other code of their class (R = 0).
    """

    precision_at: dict[int, float]
    recall_at: dict[int, float]
    r_precision: float
    map_at_r: float
    map: float
    queries: int
    left_out: int

    def as_dict(self) -> dict[str, Any]:
        """Return all figures by name, ``precision_at_1`` and so on, None for NaN, for JSON."""
        figures = {f"precision_at_{k}": value for k, value in self.precision_at.items()}
        figures.update({f"recall_at_{k}": value for k, value in self.recall_at.items()})
        figures.update(r_precision=self.r_precision, map_at_r=self.map_at_r, map=self.map)
        return {
            **{name: None if math.isnan(value) else value for name, value in figures.items()},
            "queries": self.queries,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class QueryMetrics:
    """The figures of each query; NaN where no other code is of the query's class.

    Parameters
    ----------
    labels : ndarray, shape (Q,)
        The queries' labels.
    relevant : ndarray of int64, shape (Q,)
        R, the number of other codes of the query's class.
    hits_at : dict of ndarray of float64, shape (Q,)
        Hits in the first k, for each k.
    r_precision : ndarray of float64, shape (Q,)
        Hits in the first R, over R.
    average_precision_at_r, average_precision : ndarray of float64, shape (Q,)
        Precision at each hit, of the first R or of all, summed and over R.
    """

    labels: np.ndarray
    relevant: np.ndarray
    hits_at: dict[int, np.ndarray]
    r_precision: np.ndarray
    average_precision_at_r: np.ndarray
    average_precision: np.ndarray

    def mean(self, chosen: Any = slice(None)) -> RetrievalMetrics:
        """Return the averages over the queries, or over `chosen` ones (indices or a mask)."""
        counts = self.relevant[chosen] > 0

        def average(figures: np.ndarray) -> float:
            figures = figures[chosen][counts]
            return float(figures.mean()) if len(figures) else math.nan

        return RetrievalMetrics(
            precision_at={k: average(hits / k) for k, hits in self.hits_at.items()},
            recall_at={k: average(hits > 0) for k, hits in self.hits_at.items()},
            r_precision=average(self.r_precision),
            map_at_r=average(self.average_precision_at_r),
            map=average(self.average_precision),
            queries=int(counts.sum()),
            left_out=int((~counts).sum()),
        )

    def per_class(self) -> dict[Any, RetrievalMetrics]:
        """Return the averages over the queries of each class, by its label."""
        return {label: self.mean(self.labels == label) for label in np.unique(self.labels).tolist()}


def query_metrics(
    codes: np.ndarray,
    labels: np.ndarray,
    *,
    ks: Sequence[int] = (1, 10),
    queries: Optional[np.ndarray] = None,
    gallery_codes: Optional[np.ndarray] = None,
    gallery_labels: Optional[np.ndarray] = None,
    distance: Union[str, Distance] = "squared",
) -> QueryMetrics:
    """Return the figures of each query. See :func:`retrieval_metrics`, which averages them."""
    measure = DISTANCES.choose(distance)
    codes = measure.prepared(check_codes(codes))
    labels = check_labels(labels, len(codes))
    rows = np.arange(len(codes)) if queries is None else check_rows(queries, len(codes), "queries")
    asked, asked_labels = (codes, labels) if queries is None else (codes[rows], labels[rows])
    if (gallery_codes is None) != (gallery_labels is None):
        raise InputError("gallery_codes and gallery_labels: give both or neither")
    among = gallery_codes is None  # the queries are among the codes that are ranked
    if gallery_codes is not None and gallery_labels is not None:
        codes = measure.prepared(check_codes(gallery_codes, "gallery_codes"), "gallery_codes")
        labels = check_labels(gallery_labels, len(codes), "gallery_labels")
        check_widths(codes, asked)
    ks = _check_ks(ks, len(codes) - among)

    classes, index = check_classes(np.concatenate([labels, asked_labels]))
    label, asked_label = index[: len(labels)], index[len(labels) :]
    sizes = np.bincount(label, minlength=len(classes))
    members = np.split(np.argsort(label, kind="stable"), sizes.cumsum()[:-1])
    relevant = sizes[asked_label] - among
    if not relevant.any():
        raise InputError("labels: no query shares its class with another code; nothing to rank by")

    hits_at, (r_precision, at_r, precision) = (
        np.full((n, len(asked)), np.nan) for n in (len(ks), 3)
    )

    def visit(first: int, distances: np.ndarray, ranking: RankingKeys) -> None:
        query = first + np.flatnonzero(relevant[first : first + len(distances)])
        if not len(query):
            return
        if len(query) < len(distances):
            distances = distances[query - first]
        keys = ranking.of(distances)
        # the key's lowest bit is free: it marks hits and never decides, as no two indices are equal
        for row, own_label in zip(keys, asked_label[query]):
            row[members[own_label]] += np.uint64(1)
        if among:
            keys[np.arange(len(keys)), rows[query]] = LAST
        ranking.sort(keys, distances)
        hit = (keys.astype(np.uint8) & 1).view(bool)
        hits_at[:, query] = [hit[:, :k].sum(axis=1) for k in ks]
        # of all hits, query by query: whose they are, how many come before, and the place
        count = relevant[query]
        whose = np.repeat(np.arange(len(query)), count)
        before = np.arange(len(whose)) - (count.cumsum() - count)[whose]
        place = np.flatnonzero(hit) - whose * hit.shape[1] + 1
        precisions = (before + 1) / place
        in_r = place <= count[whose]
        r_precision[query] = np.bincount(whose, in_r) / count
        at_r[query] = np.bincount(whose, precisions * in_r) / count
        precision[query] = np.bincount(whose, precisions) / count

    scan(asked, codes, visit)
    return QueryMetrics(
        labels=asked_labels,
        relevant=relevant,
        hits_at=dict(zip(ks, hits_at)),
        r_precision=r_precision,
        average_precision_at_r=at_r,
        average_precision=precision,
    )


def _check_ks(ks: Sequence[int], ranked: int) -> list[int]:
    """Return the ks of P@k as Python's numbers; InputError if they are none, or beyond `ranked`."""
    try:
        values = np.asarray(ks)
    except ValueError:  # lists of several lengths
        values = np.empty(0)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iu":
        raise InputError(f"ks: {ks!r} must be a list of whole numbers, such as (1, 10)")
    if values.min() < 1 or values.max() > ranked:
        raise InputError(f"ks: {ks!r} must be from 1 to {ranked}, as many as are ranked")
    numbers: list[int] = values.tolist()
    return numbers


def retrieval_metrics(
    codes: np.ndarray,
    labels: np.ndarray,
    *,
    ks: Sequence[int] = (1, 10),
    queries: Optional[np.ndarray] = None,
    gallery_codes: Optional[np.ndarray] = None,
    gallery_labels: Optional[np.ndarray] = None,
    distance: Union[str, Distance] = "squared",
) -> RetrievalMetrics:
    """Rank codes for each query and return the average figures.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        Codes. Each is a query and all others are ranked for it, unless `queries` or a gallery say
        otherwise.
    labels : ndarray of int or str, shape (N,)
        Their classes.
    ks : sequence of int
        For which k to give Precision@k and Recall@k.
    queries : ndarray of int, optional
        Indices of the codes that are queries. Default: all.
    gallery_codes : ndarray of float32, shape (M, D), optional
        Rank these instead, as other images than the queries'.
    gallery_labels : ndarray of int or str, shape (M,), optional
        The classes of the gallery.
    distance : str or Distance
        What they are ranked by: ``squared``, ``euclidean`` or ``cosine``. The first two rank alike,
        and so does the third where all codes are of unit length.

    Raises
    ------
    InputError
        If codes and labels do not fit together, are not finite, hold one class only, no query has
        another code of its class, there are fewer than k codes to rank, or there is no such
        distance.

    Notes
    -----
    Memory is bounded: beside the codes, blocks of distances of 128 MB and a few numbers for each
    query. The work is Q N D multiplications and Q sorts of N.

    Examples
    --------
    Five codes on a line. For the first, of class a, the others follow as b a a b: R = 2 at the
    places 2 and 3. So Precision@1 = 0, R-precision = 1/2, MAP@R = (1/2) / 2 = 0.25 and
    mAP = (1/2 + 2/3) / 2 = 0.5833.

    >>> codes = np.array([[0], [1], [2], [3], [4]], dtype=np.float32)
    >>> metrics = retrieval_metrics(codes, list("abaab"), ks=[1, 3], queries=[0])
    >>> metrics.precision_at[1], metrics.recall_at[3], metrics.r_precision, metrics.map_at_r
    (0.0, 1.0, 0.5, 0.25)
    >>> round(metrics.map, 4)
    0.5833
    """
    return query_metrics(
        codes,
        labels,
        ks=ks,
        queries=queries,
        gallery_codes=gallery_codes,
        gallery_labels=gallery_labels,
        distance=distance,
    ).mean()
