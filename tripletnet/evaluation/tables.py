"""The tables of a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

import numpy as np

from tripletnet.evaluation.comparison import Comparison
from tripletnet.evaluation.html import bar, escape, table
from tripletnet.evaluation.judgement import Judgement
from tripletnet.evaluation.pairs import Rates


def figures_table(judgement: Judgement) -> str:
    """Return all figures with their formulas, those of known and of held-out classes apart."""
    parts = {"known classes": judgement.test}
    if judgement.held_out is not None:
        parts["held-out classes"] = judgement.held_out
    rows: list[tuple[str, list[float], str]] = []
    probe, control = judgement.probe, judgement.control
    if probe is not None:
        meaning = (
            f"linear, C = {probe.C:g}, fitted on {probe.fitted_on:,} codes: share of "
            f"{probe.scored_on:,} test images named rightly"
        )
        rows.append(("SVM probe", [probe.accuracy], meaning))
    if control is not None:
        meaning = "the same layers trained as a classifier on as many images: named rightly"
        rows.append(("Control, softmax", [control.accuracy], meaning))
        meaning = "an SVM on the control's features: named rightly"
        rows.append(("Control, SVM probe", [control.probe_accuracy], meaning))
    retrieval = [part.retrieval for part in parts.values()]
    for k in judgement.test.retrieval.recall_at:
        values = [metrics.recall_at.get(k, math.nan) for metrics in retrieval]
        rows.append((f"Recall@{k}", values, f"share of queries with a hit among the first {k}"))
    for k in judgement.test.retrieval.precision_at:
        values = [metrics.precision_at.get(k, math.nan) for metrics in retrieval]
        rows.append((f"Precision@{k}", values, f"hits among the first {k}, over {k}"))
    for name, field, meaning in (
        ("R-precision", "r_precision", "hits among the first R, over R"),
        ("MAP@R", "map_at_r", "sum of precision@i over the hits i among the first R, over R"),
        ("mAP", "map", "sum of precision@i over all hits i in the full ranking, over R"),
    ):
        rows.append((name, [getattr(metrics, field) for metrics in retrieval], meaning))
    for name, field, meaning in (
        ("ROC-AUC", "roc_auc", "how often a pair of one class is nearer than a pair of two"),
        ("NMI", "nmi", "mutual information of k-means clusters and classes, over mean entropy"),
    ):
        rows.append((name, [getattr(part, field) for part in parts.values()], meaning))

    cells = [(name, *_bars(values, len(parts)), escape(meaning)) for name, values, meaning in rows]
    queries = [f"{metrics.queries:,}" for metrics in retrieval]
    cells.append(("Queries", *queries, "images that are not alone in their class"))
    return table(("", *parts, "what it is"), cells, "formulas", markup=True)


def _bars(values: Sequence[float], columns: int) -> list[str]:
    return [bar(value) for value in [*values, *[math.nan] * (columns - len(values))]]


def rates_table(judgement: Judgement) -> str:
    """Return what the threshold comes to on the pairs of each part; nothing if there is none."""
    threshold = judgement.threshold
    if threshold is None:
        return ""
    chosen = Rates(threshold.precision, threshold.recall, threshold.false_positive_rate)
    rates = {"validation (chosen on)": chosen, "test": judgement.test.at_threshold}
    if judgement.held_out is not None:
        rates["held-out classes"] = judgement.held_out.at_threshold
    rows = [
        (part, bar(rate.precision), bar(rate.recall), bar(rate.false_positive_rate))
        for part, rate in rates.items()
        if rate is not None
    ]
    return table(("pairs", "precision", "recall", "false-positive rate"), rows, markup=True)


def class_table(part: Comparison, classes: Sequence[str], confusion: Optional[np.ndarray]) -> str:
    """Return the figures of each class, the weakest first.

    Parameters
    ----------
    part : Comparison
        What the retrieval figures are of.
    classes : sequence of str
        The names that labels are indices into.
    confusion : ndarray of int, shape (C, C), optional
        Of the SVM probe: row: true class; column: predicted class.
    """
    header = ["class", "images", "Recall@1", "R-precision", "mAP"]
    header += [] if confusion is None else ["SVM probe"]
    rows = []
    for label, metrics in part.per_class.items():
        figures = [metrics.recall_at[1], metrics.r_precision, metrics.map]
        if confusion is not None:
            scored = confusion[label].sum()
            figures.append(confusion[label, label] / scored if scored else math.nan)
        size = f"{metrics.queries + metrics.left_out:,}"
        rows.append((figures, (classes[label], size, *map(bar, figures))))
    rows.sort(key=lambda row: np.nan_to_num(row[0], nan=2.0).tolist())
    return table(header, [cells for _, cells in rows], markup=True)


def confusions_table(confusion: np.ndarray, classes: Sequence[str], limit: int = 12) -> str:
    """Return which classes are most often taken for which others; nothing if none is."""
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    rows = [
        (
            f"{classes[true]} taken for {classes[taken]}",
            f"{wrong[true, taken]:,} of {confusion[true].sum():,}",
        )
        for true, taken in zip(*np.unravel_index(order, wrong.shape))
        if wrong[true, taken]
    ]
    return table(("", "test images"), rows) if rows else ""
