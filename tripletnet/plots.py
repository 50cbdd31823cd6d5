"""Pictures of what was learnt. Every one carries the name of its data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tripletnet.files import PathLike, atomic_path

RIGHT, WRONG, NEUTRAL = "#1a9641", "#d7191c", "#444444"


def save_figure(figure: Figure, path: PathLike, dpi: int = 120) -> None:
    """Write a figure as PNG, whole or not at all."""
    with atomic_path(path) as scratch:
        figure.savefig(scratch, dpi=dpi, format="png")


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
                "solid" if right else (0, (2, 1)),
            )
    figure.suptitle(title, fontsize=11, y=1.0 - 0.12 / figure.get_figheight(), va="top")
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
    axes.set_xlabel(label, fontsize=7, color=colour, labelpad=2)
    for side in axes.spines.values():
        side.set(color=colour, linewidth=2.5, linestyle=style)


def training_curves(histories: Mapping[str, Sequence[Mapping[str, float]]], title: str) -> Figure:
    """Draw the loss of each run, and the share of active triplets and the spread where known.

    Parameters
    ----------
    histories : mapping of str to rows
        See :class:`tripletnet.training.callbacks.History`; the names go into the legend.
    title : str
        Says what was trained on.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, shares = figure.subplots(1, 2)
    for name, rows in histories.items():
        losses.plot([r["images"] for r in rows], [r["loss"] for r in rows], label=name)
        for key, label in (("active", "active triplets"), ("spread", "spread of codes")):
            if rows and key in rows[0]:
                shares.plot([r["images"] for r in rows], [r[key] for r in rows], label=label)
    for axes, label in ((losses, "loss"), (shares, "share")):
        axes.set(xlabel="images seen", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    shares.set_ylim(0.0, 1.05)
    figure.suptitle(title, fontsize=11)
    return figure


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw how often images of each class (rows) are taken for each class (columns).

    Parameters
    ----------
    counts : ndarray of int, shape (C, C)
        Row: true class; column: predicted class.
    classes : sequence of str
        Their names.
    title : str
        Says whose predictions on which images.
    """
    size = len(classes)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = min(16.0, 2.5 + 0.5 * size)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    font = max(3.0, min(9.0, 280.0 / size))
    axes.set_xticks(range(size), classes, rotation=90 if size > 12 else 45, fontsize=font)
    axes.set_yticks(range(size), classes, fontsize=font)
    if size <= 20:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.6 else "black"
                axes.text(
                    column, row, str(count), ha="center", va="center", fontsize=7, color=colour
                )
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, fontsize=11)
    figure.colorbar(picture, ax=axes, shrink=0.8, label="share of the true class")
    return figure
