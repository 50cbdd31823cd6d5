"""Groups of pictures, a row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from matplotlib.figure import Figure

_KEEP, _OTHER, _TEXT = "#1a9641", "#999999", "#444444"
_WIDTH, _HEIGHT = 1.45, 1.75  # of a tile, in inches
_NO_LETTER = "\N{REPLACEMENT CHARACTER}"
_LETTERS = 24  # of a path, in a line below a tile


@dataclass(frozen=True)
class Tile:
    """A picture of a contact sheet.

    Attributes
    ----------
    picture : ndarray of uint8, shape (H, W, 3), or None
        RGB, of any size; None where there is none to be shown.
    path : str
        Shortened in the middle where it is too long.
    note : str
        A second line, such as the distance.
    keep : bool
        Whether it has the solid green frame.
    """

    picture: Optional[np.ndarray]
    path: str
    note: str
    keep: bool = False


def contact_sheet(
    groups: Sequence[Sequence[Tile]], title: str, hidden: Sequence[int] = ()
) -> Figure:
    """Draw each group as a row of pictures.

    Parameters
    ----------
    groups : sequence of sequences of Tile
        What to show, at least one group.
    title : str
        Says what these are.
    hidden : sequence of int, optional
        How many more members each group has than are shown.
    """
    columns = max(map(len, groups))
    figure = Figure(figsize=(_WIDTH * max(columns, 3) + 0.4, _HEIGHT * len(groups) + 0.5))
    width, height = figure.get_figwidth(), figure.get_figheight()
    for row, tiles in enumerate(groups):
        bottom = height - 0.5 - _HEIGHT * (row + 1)
        for column, tile in enumerate(tiles):
            box = (0.4 + _WIDTH * column, bottom + 0.45, _WIDTH - 0.12, _HEIGHT - 0.5)
            place = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
            _draw(figure.add_axes(place), tile)
        more = hidden[row] if hidden else 0
        label = f"{row + 1}" + (f"  and {more} more" if more else "")
        figure.text(
            0.2 / width,
            (bottom + 0.45 + (_HEIGHT - 0.5) / 2) / height,
            label,
            rotation=90,
            ha="center",
            va="center",
            fontsize=8,
            color=_TEXT,
        )
    top = 1 - 0.25 / height
    figure.text(0.4 / width, top, title, va="center", fontsize=9, parse_math=False)
    return figure


def shorten(path: str, letters: int = _LETTERS) -> str:
    """Return `path` with its middle left out where it is longer than `letters`.

    What cannot be shown, as line breaks and bytes that are no letters, becomes the sign for that.

    Examples
    --------
    >>> shorten("holidays/2019/beach/IMG_0042.jpg", 20)
    'holidays…MG_0042.jpg'
    """
    path = "".join(letter if letter.isprintable() else _NO_LETTER for letter in path)
    if len(path) <= letters:
        return path
    tail = (letters - 1) * 3 // 5
    return f"{path[: letters - 1 - tail]}…{path[-tail:]}"


def _draw(axes: Any, tile: Tile) -> None:
    if tile.picture is None:
        axes.text(0.5, 0.5, "not readable", ha="center", va="center", fontsize=7, color=_TEXT)
    else:
        axes.imshow(tile.picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    # what a path holds is no formula
    axes.set_xlabel(
        f"{shorten(tile.path)}\n{tile.note}",
        fontsize=6.5,
        color=_KEEP if tile.keep else _TEXT,
        labelpad=2,
        parse_math=False,
    )
    for side in axes.spines.values():
        side.set(color=_KEEP if tile.keep else _OTHER, linewidth=2.5 if tile.keep else 0.8)
