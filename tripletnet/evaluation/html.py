"""The pieces that a report in HTML is made of. All text that goes in is escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["bar", "escape", "image", "paragraph", "section", "table"]


def image(kind: str, data: bytes, alternative: str, style: str = "chart") -> str:
    """Return a picture that lies in the page itself.

    Parameters
    ----------
    kind : str
        Of file, as ``"image/png"``.
    data : bytes
        The file.
    alternative : str
        What it shows, for those who cannot see it.
    style : str
        Its class in the style sheet.
    """
    text = base64.b64encode(data).decode("ascii")
    return f'<img class="{style}" src="data:{kind};base64,{text}" alt="{escape(alternative)}">'


def paragraph(text: str, style: str = "") -> str:
    """Return a paragraph of plain text."""
    return f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], style: str = "", markup: bool = False
) -> str:
    """Return a table; its first column names the rows.

    Parameters
    ----------
    header, rows : sequences of str
        The cells, as plain text.
    style : str
        Its class in the style sheet.
    markup : bool
        The cells after the first of each row are HTML already.
    """

    def row(cells: Sequence[str]) -> str:
        values = [cell if markup else escape(cell) for cell in cells[1:]]
        return f"<tr><th>{escape(cells[0])}</th>{''.join(f'<td>{v}</td>' for v in values)}</tr>"

    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(row(cells) for cells in rows)
    return (
        f'<table class="{style}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        "\n</table>"
    )


def bar(share: float) -> str:
    """Return a share from 0 to 1 as a bar with its percentage; a dash where it is NaN."""
    if math.isnan(share):
        return "&ndash;"
    return (
        f'<span class="bar"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="share">{100 * share:.1f} %</span>'
    )


def section(name: str, title: str, *content: str) -> str:
    """Return a part of the page, with a name that a link can go to."""
    inner = "\n".join(part for part in content if part)
    return f'<section id="{name}">\n<h2>{escape(title)}</h2>\n{inner}\n</section>'
