"""Queries and what is nearest to them, as rows of pictures in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from tripletnet.evaluation.comparison import Neighbours
from tripletnet.evaluation.html import escape, image
from tripletnet.evaluation.parts import Codes
from tripletnet.plots import picture_data


def neighbour_grid(codes: Codes, shown: Neighbours, classes: Sequence[str]) -> str:
    """Return a row for each query: the query, then its neighbours, nearest first.

    Parameters
    ----------
    codes : Codes
        What the indices of `shown` are of. Without pictures the tiles have their text only.
    shown : Neighbours
        The queries and what was found.
    classes : sequence of str
        The names that labels are indices into.
    """
    wanted = np.unique(np.concatenate([shown.queries, shown.found.ravel()]))
    given = [None] * len(wanted) if codes.pictures is None else codes.pictures(wanted)
    pictures = dict(zip(wanted.tolist(), given))

    def tile(index: int, style: str, distance: str = "") -> str:
        path = None if codes.paths is None else codes.paths[index]
        title = f' title="{escape(path)}"' if path else ""
        name = escape(classes[codes.labels[index]])
        return (
            f'<figure class="{style}"{title}>{_picture(pictures[index], name)}'
            f"<figcaption>{name}{distance}</figcaption></figure>"
        )

    rows = []
    for query, found, distances in zip(shown.queries, shown.found, shown.distances):
        tiles = [tile(int(query), "query")]
        for index, distance in zip(found, distances):
            right = codes.labels[index] == codes.labels[query]
            style = "right" if right else "wrong"
            tiles.append(tile(int(index), style, f"<br>{distance:.3f}"))
        rows.append(f'<div class="row">{"".join(tiles)}</div>')
    return "\n".join(rows)


def _picture(picture: Optional[np.ndarray], name: str) -> str:
    if picture is None:
        return '<div class="picture nothing"></div>'
    kind, data = picture_data(picture)
    return image(kind, data, name, "picture" if kind == "image/png" else "picture photo")
