"""The plots and tables of how cost grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.growth import KINDS, QUICK_CODE_SIZE, axes, name_of
from benchmarks.page import number, results_of
from benchmarks.results import Result
from benchmarks.small_png import save_small

AXES = {
    "batch": "images a batch",
    "code_size": "numbers a code",
    "image_size": "pixels an image is high",
}
_COLOURS = ("#1f78b4", "#e08214", "#1a9641", "#7570b3")
_STYLES = {"train": "-", "encode": "--"}
_NAMES = {"train": "training", "encode": "encoding"}

#: By network and kind: what varies, images/s and megabytes.
Line = list[tuple[int, float, float]]


def lines(results: Sequence[Result], axis: str) -> dict[tuple[str, str], Line]:
    """Return what was measured along one axis."""
    found = {result.name: result for result in results}
    quick = any(result.settings["code_size"] == QUICK_CODE_SIZE for result in results)
    networks = dict.fromkeys(result.settings["network"] for result in results)
    drawn: dict[tuple[str, str], Line] = {}
    for network in networks:
        for kind in KINDS:
            cells = axes(network, kind, quick).get(axis, [])
            measured = [(cell, found[name_of(cell)]) for cell in cells if name_of(cell) in found]
            if measured:
                drawn[network, kind] = [
                    (
                        getattr(cell, axis),
                        float(np.median(result.values(result.first))),
                        float(result.figures["peak_megabytes"]),
                    )
                    for cell, result in measured
                ]
    return drawn


def draw(results: Sequence[Result], path: Path) -> None:
    """Draw speed above memory, against each of the three sizes."""
    figure = Figure(figsize=(9, 5.4), layout="constrained")
    grid = figure.subplots(2, len(AXES), sharey="row", sharex="col")
    networks = list(dict.fromkeys(result.settings["network"] for result in results))
    for column, (axis, label) in enumerate(AXES.items()):
        speed, memory = grid[:, column]
        ticks: set[int] = set()
        for (network, kind), line in lines(results, axis).items():
            sizes, rates, megabytes = zip(*line)
            look: dict[str, Any] = {
                "color": _COLOURS[networks.index(network) % len(_COLOURS)],
                "linestyle": _STYLES[kind],
                "marker": ".",
                "label": f"{network}, {_NAMES[kind]}",
            }
            speed.plot(sizes, rates, **look)
            memory.plot(sizes, megabytes, **look)
            ticks.update(sizes)
        memory.set_xscale("log")
        memory.set_xlabel(label, fontsize=9)
        memory.xaxis.set_major_locator(FixedLocator(sorted(ticks)))
    grid[0, 0].set_ylabel("images/s", fontsize=9)
    grid[1, 0].set_ylabel("peak memory, MB", fontsize=9)
    for axes_ in grid.ravel():
        axes_.set_yscale("log")
        axes_.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for scale in (axes_.xaxis, axes_.yaxis):
            scale.set_minor_locator(NullLocator())
            scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes_.grid(alpha=0.3)
        axes_.tick_params(labelsize=8)
        axes_.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(fontsize=7)
    save_small(figure, path)


def table(results: Sequence[Result], axis: str) -> Optional[str]:
    """Return the Markdown table of one axis: images/s, and the peak memory in MB."""
    drawn = lines(results, axis)
    if not drawn:
        return None
    heading = [AXES[axis], *(f"{network}, {_NAMES[kind]}" for network, kind in drawn)]
    rows = [heading, ["---"] * len(heading)]
    for size in sorted({point[0] for line in drawn.values() for point in line}):
        row = [f"{size:,}"]
        for line in drawn.values():
            at = [f"{number(rate)}; {mb:,.0f} MB" for point, rate, mb in line if point == size]
            row.append(at[0] if at else "")
        rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def section(benchmark: str, results: Sequence[Result], command: str, page: Path) -> str:
    """Return what the page says of how cost grows, and draw its plot."""
    measured = results_of(benchmark, results)
    path = page.parent / "images" / f"{page.stem}-growth.png"
    draw(measured, path)
    tables = [found for axis in AXES if (found := table(measured, axis))]
    told = (
        "Images/s, the median of the turns, and the peak memory of a process that does nothing "
        "else, Python and MXNet included. What does not vary is batches of 384, codes of 1,024 "
        "numbers and images of 32 pixels; images grow in batches of 48."
    )
    picture = f"![Images/s and memory by size](images/{path.name})"
    return "\n\n".join([f"`{command}`", told, picture, *tables])
