"""Judge the network on what it does not learn from, and keep the best weights."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.runs import save_parameters
from tripletnet.training.callbacks import Callback, is_due, write_rows
from tripletnet.training.held_out import HeldOut

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer


class Validation(Callback):
    """Measure from time to time how well the codes do on what is held out.

    Parameters
    ----------
    held_out : HeldOut
        What to measure on; see :func:`tripletnet.training.held_out.held_out`.
    best : str or Path
        Where to keep the weights so far, see the notes.
    every : int
        After how many training images to measure; also after the last.
    patience : int, optional
        Stop after so many measurements in a row without a better one; never by default.
    table : str or Path, optional
        A CSV file for the measurements, written anew after each.

    Attributes
    ----------
    rows : list of dict
        ``images`` and the measure, by its name, of each measurement.

    Notes
    -----
    The weights that are kept are the latest whose measure is within one standard error of the
    highest: what is held out cannot tell them apart, and the later ones, at a lower learning rate,
    have learnt longer.

    References
    ----------
    L. Breiman, J. Friedman, R. Olshen, C. Stone, "Classification and Regression Trees", 1984 (the
    one-standard-error rule).
    """

    def __init__(
        self,
        held_out: HeldOut,
        best: PathLike,
        every: int,
        patience: Optional[int] = None,
        table: Optional[PathLike] = None,
    ) -> None:
        if patience is not None and patience < 1:
            raise InputError(f"patience is {patience}: give 1 or more")
        if patience is not None and held_out.trials < 2:
            raise InputError(
                "patience: too little is held out to tell which weights are better: leave it out, "
                "or hold out more"
            )
        self._held_out = held_out
        self._every = every
        self._patience = patience
        self._table = table
        self._worse = 0
        self.best = Path(best)
        self.rows: list[dict[str, float]] = []

    def wants_weights(self, trainer: Trainer) -> bool:
        """Tell whether it is time to measure."""
        return is_due(trainer, self._every)

    def on_weights(self, trainer: Trainer) -> None:
        """Measure; keep the weights if none are better; stop if there were long no better ones."""
        measure = self._held_out.measure
        value = self._held_out.score(trainer.codes_of)
        before = max((row[measure] for row in self.rows), default=-1.0)
        if value >= before - standard_error(max(value, before), self._held_out.trials):
            save_parameters(trainer.network, self.best)
        if value > before:
            self._worse = 0
        else:
            self._worse += 1
            if self._patience is not None and self._worse >= self._patience:
                trainer.stop()
        self.rows.append({"images": trainer.images_seen, measure: value})
        if self._table is not None:
            write_rows(self._table, self.rows)

    def state(self) -> Any:
        """Return the measurements."""
        return {"rows": self.rows, "worse": self._worse}

    def restore(self, state: Any) -> None:
        """Take the measurements back.

        Raises
        ------
        InputError
            If the weights that were kept are gone or damaged.
        """
        self.rows, self._worse = state["rows"], state["worse"]
        trouble = ""
        if self.rows and not self.best.exists():
            trouble = "no such file"
        elif self.rows:
            try:
                mx.nd.load(str(self.best))
            except mx.MXNetError:
                trouble = "damaged"
        if trouble:
            raise InputError(
                f"{self.best}: {trouble}, and it held the weights that are kept: start the run "
                "again in another folder"
            )


def standard_error(share: float, trials: int) -> float:
    """Return the standard error of a share, from 0 to 1, seen among so many trials."""
    return math.sqrt(share * (1.0 - share) / max(1, trials))
