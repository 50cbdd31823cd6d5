"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from tripletnet.plots.contact_sheet import shorten
from tripletnet.plots.output import plain

#: Longer names would leave the matrix no room.
_LETTERS = 28


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
    side = min(12.0, 3.5 + 0.45 * size)
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    # the square root lifts the few confusions above white
    picture = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0))
    font = max(3.0, min(9.0, 0.75 * 72 * (side - 2) / size))
    names = [plain(shorten(name, _LETTERS)) for name in classes]
    axes.set_xticks(
        range(size),
        names,
        rotation=90 if size > 12 else 45,
        ha="right",
        va="center",
        rotation_mode="anchor",
        fontsize=font,
    )
    axes.set_yticks(range(size), names, fontsize=font)
    axes.set_xticks(np.arange(size) - 0.5, minor=True)
    axes.set_yticks(np.arange(size) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    number = min(8.0, 0.5 * 72 * (side - 2) / size)
    if number >= 3.5:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.35 else "black"
                axes.text(
                    column, row, str(count), ha="center", va="center", fontsize=number, color=colour
                )
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(plain(title), fontsize=11)
    figure.colorbar(picture, ax=axes, shrink=0.6, aspect=40, label="share of the true class")
    return figure
