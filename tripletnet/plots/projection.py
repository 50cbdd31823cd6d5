"""Codes as points of the plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from tripletnet.plots.contact_sheet import shorten
from tripletnet.plots.output import any_letters, plain

_MARKERS = "o^sDvP*X"
#: How often names that cover each other are moved at the most.
_ROUNDS = 1000
_WIDTH = 9.0  # inches
#: Longer names, and those of more classes, would cover too much of the map.
_LETTERS, _NAMED = 24, 100


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
    that share a colour differ in the shape of their points. More than 100 have the colours alone,
    and no names.
    """
    present = np.unique(labels)
    number = 10 if len(classes) <= 10 else 20
    colours = colormaps[f"tab{number}"](range(number))
    side = float(np.clip(36_000 / len(points), 9, 36))
    if len(present) > _NAMED:
        figure = Figure(figsize=(_WIDTH, 7.4), layout="constrained")
        axes = figure.subplots()
        x, y = points.T
        axes.scatter(x, y, s=side, c=colours[labels % number], linewidths=0, alpha=0.75)
        _frame(axes, f"{title}; {len(present):,} classes, which share {number} colours")
        return figure
    # Matplotlib keeps what begins with an underscore out of a legend
    names = [f" {name}" if name.startswith("_") else name for name in map(_shown, classes)]
    columns, font = (5, 9) if len(present) <= 10 else (6, 7)
    inches = 0.4 + 0.0085 * font * max(len(names[label]) for label in present)
    columns = max(1, min(columns, int(_WIDTH / inches)))
    rows = -(-len(present) // columns)
    figure = Figure(figsize=(_WIDTH, 7.4 + 0.18 * rows), layout="constrained")
    axes = figure.subplots()
    for label in present:
        own = points[labels == label]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=side,
            color=colours[label % len(colours)],
            marker=_MARKERS[label // len(colours) % len(_MARKERS)],
            linewidths=0,
            alpha=0.75,
            label=names[label],
        )
    middles = []
    for label in present:  # after all points, so that none covers a name
        x, y = np.median(points[labels == label], axis=0)
        name = axes.text(x, y, names[label], ha="center", va="center", weight="bold")
        name.set_fontsize(10 if len(present) <= 12 else 8 if len(present) <= 30 else 6.5)
        name.set_color(tuple(0.6 * colours[label % len(colours), :3]))
        name.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        middles.append(name)
    _frame(axes, title)
    figure.legend(
        loc="outside lower center", ncols=columns, fontsize=font, markerscale=1.5, frameon=False
    )
    with any_letters():
        _part_names(figure, axes, middles)
    return figure


def _frame(axes: Axes, title: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(plain(title), fontsize=11)


def _shown(name: str) -> str:
    return plain(shorten(name, _LETTERS))


def _part_names(figure: Figure, axes: Axes, names: Sequence[Text]) -> None:
    """Move names up and down until none covers another."""
    figure.draw_without_rendering()
    boxes = [name.get_window_extent() for name in names]
    place = np.array([[(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2] for box in boxes])
    size = np.array([[box.width, box.height] for box in boxes])
    for _ in range(_ROUNDS):
        apart = place[:, None] - place
        overlap = (size[:, None] + size) / 2 - np.abs(apart)
        np.fill_diagonal(overlap[..., 1], 0.0)
        push = np.where((overlap > 0).all(axis=2), overlap[..., 1], 0.0)
        if not push.any():
            break
        # names at one height part by their order
        order = np.subtract.outer(np.arange(len(names)), np.arange(len(names)))
        side = np.sign(apart[..., 1] + 1e-6 * order)
        place[:, 1] += 0.3 * (side * push).sum(axis=1)
    for name, position in zip(names, axes.transData.inverted().transform(place)):
        name.set_position(position)
