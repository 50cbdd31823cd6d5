"""What was found for some queries, as a grid of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tripletnet.plots.output import plain

RIGHT, WRONG, NEUTRAL = "#1a9641", "#d7191c", "#444444"


def retrieval_grid(
    queries: np.ndarray,
    neighbours: np.ndarray,
    query_names: Sequence[str],
    neighbour_names: Sequence[Sequence[str]],
    distances: np.ndarray,
    title: str,
) -> Figure:
    """Draw each query at the left of its row and its neighbours, nearest first, to the right.

    A neighbour of the query's class has a solid green frame, any other a dashed red one.

    Parameters
    ----------
    queries : ndarray of uint8, shape (Q, H, W, 3)
        The images that were searched for.
    neighbours : ndarray of uint8, shape (Q, K, H, W, 3)
        What was found.
    query_names : sequence of str
        The class of each query.
    neighbour_names : sequence of sequences of str
        The class of each neighbour.
    distances : ndarray of float, shape (Q, K)
        Squared Euclidean distance of the codes.
    title : str
        Says which images these are.
    """
    count, found = distances.shape
    figure = Figure(figsize=(1.0 + 0.95 * (found + 1), 0.8 + 1.18 * count))
    grid = figure.subplots(count, found + 1, squeeze=False)
    for row in range(count):
        _show(grid[row, 0], queries[row], query_names[row], NEUTRAL, "solid")
        for column in range(found):
            name = neighbour_names[row][column]
            right = name == query_names[row]
            _show(
                grid[row, column + 1],
                neighbours[row, column],
                f"{name}\n{distances[row, column]:.2f}",
                RIGHT if right else WRONG,
                "solid" if right else (0, (3, 1.5)),
            )
    figure.suptitle(plain(title), fontsize=11, y=1.0 - 0.12 / figure.get_figheight(), va="top")
    figure.text(
        0.5,
        0.1 / figure.get_figheight(),
        "left: the query; below each neighbour: its class and squared Euclidean distance",
        ha="center",
        fontsize=8,
        color=NEUTRAL,
    )
    figure.subplots_adjust(
        left=0.02,
        right=0.98,
        top=1.0 - 0.45 / figure.get_figheight(),
        bottom=0.7 / figure.get_figheight(),
        wspace=0.12,
        hspace=0.55,
    )
    return figure


def _show(axes: Any, image: np.ndarray, label: str, colour: str, style: Any) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel(plain(label), fontsize=7, color=colour, labelpad=2)
    for side in axes.spines.values():
        side.set(color=colour, linewidth=2.5, linestyle=style, capstyle="butt")
