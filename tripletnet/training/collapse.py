"""Codes that have all become the same point: what it looks like, and what to do."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Optional

from tripletnet.training.callbacks import Callback, StepResult

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer

#: From so many times its first value on, a norm tells of steps that were too long.
GROWN = 10.0


class CollapseWatch(Callback):
    """Warn, once, when all codes have become the same point, and say what has led there.

    Parameters
    ----------
    spread : float
        Below it the codes count as collapsed. Spread is half the mean squared distance of two
        codes of a batch: 1 for codes all over the sphere, 0 for one point.
    patience : int
        For how many steps in a row.

    Warns
    -----
    RuntimeWarning
        With the loss's own advice, where it has one, and the learning rate as the cause where the
        norm of the codes before normalisation is `GROWN` times what it was in the first step.
    """

    def __init__(self, spread: float = 3e-3, patience: int = 20) -> None:
        self._spread = spread
        self._patience = patience
        self._bad = 0
        self._first_norm: Optional[float] = None

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """Count the steps whose codes lie at one point."""
        spread, norm = (result.statistics.get(name) for name in ("spread", "norm"))
        if self._first_norm is None:
            self._first_norm = norm
        if spread is None or spread >= self._spread:
            self._bad = 0
            return
        self._bad += 1
        if self._bad == self._patience:
            advice = trainer.loss.collapse_advice
            warnings.warn(
                f"the codes have collapsed: after {result.images} images all of them are nearly "
                f"the same point (spread {spread:.1e}) and the loss is stuck at {result.loss:.3f}; "
                f"start again with {f'{advice}, or with ' if advice else ''}a learning rate well "
                f"below {trainer.config.learning_rate:.3g}{self._evidence(norm)}",
                RuntimeWarning,
                stacklevel=2,
            )

    def state(self) -> Any:
        """Return what has been seen so far."""
        return {"bad": self._bad, "first_norm": self._first_norm}

    def restore(self, state: Any) -> None:
        """Take it back."""
        self._bad, self._first_norm = state["bad"], state["first_norm"]

    def _evidence(self, norm: Optional[float]) -> str:
        """Tell of steps that were too long, where the norm says so."""
        first = self._first_norm
        if norm is None or not first or norm < GROWN * first:
            return ""
        return (
            f": steps were so long that the norm before normalisation has gone from {first:.3g} "
            f"to {norm:.3g}"
        )
