"""How training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from tripletnet.plots.output import plain


def training_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    title: str,
    validation: Sequence[Mapping[str, float]] = (),
) -> Figure:
    """Draw the loss of each run, and the share of active triplets and the spread where known.

    Parameters
    ----------
    histories : mapping of str to rows
        See :class:`tripletnet.training.callbacks.History`; the names go into the legend.
    title : str
        Says what was trained on.
    validation : sequence of rows
        ``images`` and one measure, by its name, of each measurement on what is held out.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    losses, shares = figure.subplots(1, 2)
    for name, rows in histories.items():
        losses.plot([r["images"] for r in rows], [r["loss"] for r in rows], label=name)
        for key, label in (("active", "active triplets"), ("spread", "spread of codes")):
            if rows and key in rows[0]:
                shares.plot([r["images"] for r in rows], [r[key] for r in rows], label=label)
    if validation:
        measure = next(name for name in validation[0] if name != "images")
        shares.plot(
            [r["images"] for r in validation],
            [r[measure] for r in validation],
            marker=".",
            label=f"{measure.replace('_', ' ')} on validation",
        )
    for axes, label in ((losses, "loss"), (shares, "share")):
        axes.set(xlabel="images seen", ylabel=label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    shares.set_ylim(0.0, 1.05)
    figure.suptitle(plain(title), fontsize=11)
    return figure
