"""Codes as points of the plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

_MARKERS = "o^sDvP*X"


def projection(
    points: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str
) -> Figure:
    """Draw codes in two dimensions, coloured by class, with each class's name in its middle.

    Parameters
    ----------
    points : ndarray of float, shape (N, 2)
        Where each code lies in the plane.
    labels : ndarray of int, shape (N,)
        Index into `classes` of each.
    classes : sequence of str
        Their names.
    title : str
        Says which codes, brought to the plane by what.

    Notes
    -----
    Up to ten classes have a colour each, up to twenty a colour of twenty; beyond that classes
    that share a colour differ in the shape of their points.
    """
    figure = Figure(figsize=(9, 8.2 + 0.18 * -(-len(classes) // 6)), layout="constrained")
    axes = figure.subplots()
    present = np.unique(labels)
    map_ = colormaps["tab10" if len(classes) <= 10 else "tab20"]
    size = float(np.clip(12_000 / max(1, len(points)), 6, 30))
    outline = [withStroke(linewidth=2.5, foreground="white")]
    font = 10 if len(present) <= 12 else 8 if len(present) <= 30 else 6.5
    for label in present:
        own = points[labels == label]
        colour = map_(int(label) % map_.N)
        marker = _MARKERS[int(label) // map_.N % len(_MARKERS)]
        axes.scatter(
            *own.T, s=size, color=colour, marker=marker, linewidths=0, alpha=0.75,
            label=classes[label],
        )  # fmt: skip
    for label in present:  # after all points, so that none covers a name
        middle = np.median(points[labels == label], axis=0)
        axes.text(
            *middle, classes[label], ha="center", va="center", fontsize=font, weight="bold",
            color=tuple(0.6 * c for c in map_(int(label) % map_.N)[:3]), path_effects=outline,
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=11)
    figure.legend(
        loc="outside lower center", ncols=6, fontsize=7 if len(present) > 12 else 9,
        markerscale=1.5, frameon=False,
    )  # fmt: skip
    return figure
