"""Distances of pairs of images, and what a threshold on them comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
from matplotlib.figure import Figure

from tripletnet.plots.output import plain

SAME, DIFFERENT, PRECISION, NEUTRAL = "#0072b2", "#d55e00", "#009e73", "#444444"


def distance_histogram(
    same: np.ndarray,
    different: np.ndarray,
    threshold: Optional[float],
    title: str,
    unit: str = "squared Euclidean",
) -> Figure:
    """Draw how the distances of same and of different pairs are spread.

    Parameters
    ----------
    same, different : ndarray of float
        Distances of pairs of one class, and of two classes.
    threshold : float, optional
        Up to where a pair counts as the same.
    title : str
        Says of which images.
    unit : str
        Which distance it is.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    highest = max(float(same.max()), float(different.max()), 1e-12)
    bins = np.linspace(0.0, highest, 81)
    for distances, colour, name in (
        (same, SAME, "pairs of one class"),
        (different, DIFFERENT, "pairs of two classes"),
    ):
        shares = np.histogram(distances, bins)[0] / len(distances)
        axes.stairs(100 * shares, bins, fill=True, color=colour, alpha=0.35)
        axes.stairs(100 * shares, bins, color=colour, linewidth=1.6, label=name)
    if threshold is not None:
        _mark_threshold(axes, threshold)
    axes.set(xlabel=f"{unit} distance", ylabel="% of the pairs of its kind")
    axes.set_xlim(0.0, highest)
    axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title(plain(title), fontsize=11)
    return figure


def threshold_curve(
    curve: Mapping[str, Sequence[float]],
    threshold: float,
    title: str,
    unit: str = "squared Euclidean",
) -> Figure:
    """Draw precision, recall and false-positive rate over the distance.

    Parameters
    ----------
    curve : mapping
        See :class:`tripletnet.evaluation.threshold.Threshold`.
    threshold : float
        The distance that was chosen.
    title : str
        Says of which images.
    unit : str
        Which distance it is.
    """
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, colour, style in (
        ("precision", PRECISION, "-."),
        ("recall", SAME, "-"),
        ("false_positive_rate", DIFFERENT, "--"),
    ):
        shares = 100 * np.asarray(curve[name])
        label = name.replace("_positive", "-positive").replace("_", " ")
        axes.plot(curve["distance"], shares, style, color=colour, label=label)
    _mark_threshold(axes, threshold)
    axes.set(xlabel=f"{unit} distance up to which a pair counts as the same", ylabel="%")
    axes.set_ylim(0.0, 102.0)
    axes.set_xlim(left=0.0)
    axes.grid(alpha=0.3)
    axes.legend()
    axes.set_title(plain(title), fontsize=11)
    return figure


def _mark_threshold(axes: Any, threshold: float) -> None:
    axes.axvline(threshold, color=NEUTRAL, linewidth=1.4, linestyle=":")
    axes.annotate(
        f"threshold {threshold:.3g}",
        (threshold, 0.97),
        xycoords=("data", "axes fraction"),
        xytext=(5, 0),
        textcoords="offset points",
        va="top",
        fontsize=9,
        color=NEUTRAL,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1},
    )
