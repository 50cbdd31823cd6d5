"""One picture of all contests: how many times as fast tripletnet is as each rival."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.results import Result
from benchmarks.small_png import save_small
from tripletnet.plots.output import plain

_FASTER, _SLOWER = "#1a9641", "#d7191c"
_TICKS = [one * 10**ten for ten in range(-3, 5) for one in (1, 2, 5)]


def draw_ratios(results: Sequence[Result], path: Path) -> Optional[Path]:
    """Draw the medians of the ratios and their ranges on a logarithmic scale, a row each.

    Returns
    -------
    Path or None
        `path`; None if there is no contest with a rival.
    """
    shown = [r for r in results if r.reading != "share" and len(r.samples) > 1]
    if not shown:
        return None
    count = sum(len(result.samples) for result in shown)
    figure = Figure(figsize=(8, 0.6 + 0.2 * count), layout="constrained")
    axes = figure.subplots()
    row, rows, labels = 0, [], []
    for result in shown:
        axes.text(
            0.0, row, plain(result.title.replace("`", "")), fontsize=7.5, weight="bold",
            va="center", transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        row += 1
        for name in list(result.samples)[1:]:
            ratios = result.ratios(name)
            middle = float(np.median(ratios))
            colour = _FASTER if middle >= 1 else _SLOWER
            axes.plot([ratios.min(), ratios.max()], [row, row], color=colour, linewidth=2)
            axes.plot([middle], [row], "o", color=colour, markersize=4)
            rows.append(row)
            labels.append(name)
            row += 1
    axes.axvline(1, color="#555555", linewidth=1)
    axes.set(xscale="log", ylim=(row - 0.4, -0.8), yticks=rows)
    axes.set_yticklabels([plain(label) for label in labels], fontsize=7)
    axes.set_xlabel("tripletnet is so many times as fast", fontsize=8)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right", "left"]].set_visible(False)
    save_small(figure, path)
    return path
