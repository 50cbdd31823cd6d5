"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tripletnet.plots.output import plain

Rows = Sequence[Mapping[str, float]]

_LOSS, _SAME, _DIFF, _SHARE, _SPREAD, _RECALL, _NORM, _RATE = (
    "#333333", "#1a9641", "#d7191c", "#e08214", "#7570b3", "#1f78b4", "#333333", "#777777",
)  # fmt: skip


def training_curves(history: Rows, title: str, validation: Rows = ()) -> Figure:
    """Draw how a run went: loss, distances of pairs, shares, and norm beside the learning rate.

    Parameters
    ----------
    history : sequence of rows
        See :class:`tripletnet.training.callbacks.History`; what its rows do not have is not drawn.
    title : str
        Says what was trained on.
    validation : sequence of rows
        ``images`` and one measure, by its name, of each measurement on what is held out.
    """
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    (losses, distances), (shares, norms) = figure.subplots(2, 2, sharex=True)
    _line(losses, history, "loss", _LOSS, "loss")
    losses.set(title="loss", ylim=(0, None))

    _line(distances, history, "diff_distance", _DIFF, "different pairs", linestyle="--")
    _line(distances, history, "same_distance", _SAME, "same pairs")
    distances.set(title="mean distance of pairs", ylim=(0, None))

    _line(shares, history, "active_triplets", _SHARE, "active triplets")
    _line(shares, history, "spread", _SPREAD, "spread of codes (0: collapsed)", linestyle="--")
    for measure in [name for name in (validation[0] if validation else ()) if name != "images"]:
        label = f"{measure.replace('_', ' ')} on validation"
        _line(shares, validation, measure, _RECALL, label, marker=".")
    shares.set(title="shares", ylim=(-0.02, 1.02))

    _line(norms, history, "norm", _NORM, "norm")
    norms.set(title="norm of codes and learning rate", ylim=(0, None))
    norms.set_ylabel("norm before normalisation", fontsize=9)
    rates = norms.twinx()
    _line(rates, history, "learning_rate", _RATE, "learning rate", linestyle=":")
    rates.set_ylim(0, None)
    rates.set_ylabel("learning rate (dotted)", fontsize=9, color=_RATE)
    rates.tick_params(axis="y", colors=_RATE)
    rates.spines[["top"]].set_visible(False)

    for axes in (losses, distances, shares, norms):
        axes.grid(alpha=0.3)
        axes.spines[["top"]].set_visible(False)
    for axes in (losses, distances, shares):
        axes.spines[["right"]].set_visible(False)
    for axes in (distances, shares):
        if axes.lines:
            axes.legend(fontsize=8)
    for axes in (shares, norms):
        axes.set_xlabel("images seen")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter("{x:,.0f}")
    figure.suptitle(plain(title), fontsize=11)
    return figure


def _line(axes: Any, rows: Rows, name: str, colour: str, label: str, **style: Any) -> None:
    """Draw a column of the rows that have it."""
    known = [row for row in rows if name in row]
    if known:
        images, values = [row["images"] for row in known], [row[name] for row in known]
        axes.plot(images, values, color=colour, label=label, **style)
