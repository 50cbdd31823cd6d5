"""What watches a run: each hook does nothing by default, and any of them may stop the run."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from tripletnet.files import PathLike, write_text

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer


@dataclass(frozen=True)
class StepResult:
    """What one step of training told.

    Attributes
    ----------
    step : int
        How many steps are done.
    images : int
        How many images have been seen.
    loss : float
        The batch's mean loss.
    learning_rate : float
        The rate that the step used.
    statistics : dict
        What the codes and the loss told besides: docs/training.md says what each is. NaN where a
        batch has no such pair.
    """

    step: int
    images: int
    loss: float
    learning_rate: float
    statistics: dict[str, float]


class Callback:
    """The base of all callbacks."""

    def on_start(self, trainer: Trainer) -> None:
        """Before the first step."""

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """After each step, in order; a step is told about while the next one is computed."""

    def wants_weights(self, trainer: Trainer) -> bool:
        """Tell whether :meth:`on_weights` is to be called now, between two steps."""
        return False

    def on_weights(self, trainer: Trainer) -> None:
        """Look at the network as it is after exactly `trainer.step` steps."""

    def on_end(self, trainer: Trainer) -> None:
        """After the last step, also when the run was stopped or interrupted."""

    def state(self) -> Any:
        """Return what a checkpoint is to keep of this callback, for JSON."""
        return None

    def restore(self, state: Any) -> None:
        """Take back what :meth:`state` gave."""


def is_due(trainer: Trainer, every: int) -> bool:
    """Tell whether the last step was the run's last, or reached a multiple of `every` images."""
    before = trainer.images_seen - trainer.batch_size
    return trainer.step == trainer.steps or trainer.images_seen // every > before // every


class Progress(Callback):
    """A bar on standard error with loss, images/s and time left; none if that is no terminal."""

    def __init__(self, label: str, quiet: bool = False) -> None:
        self._label = label
        self._quiet = quiet
        self._bar: Any = None

    def on_start(self, trainer: Trainer) -> None:
        """Open the bar."""
        self._bar = tqdm(
            total=trainer.steps * trainer.batch_size,
            initial=trainer.step * trainer.batch_size,
            desc=self._label,
            unit=" images",
            unit_scale=True,
            disable=self._quiet or not sys.stderr.isatty(),
        )

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """Move the bar."""
        self._bar.set_postfix_str(f"loss {result.loss:.4f}", refresh=False)
        self._bar.update(trainer.batch_size)

    def on_end(self, trainer: Trainer) -> None:
        """Close the bar."""
        self._bar.close()


class History(Callback):
    """Means over windows of steps, as rows.

    Parameters
    ----------
    rows : int
        Into about how many windows a run is cut.

    Attributes
    ----------
    rows : list of dict
        ``images``, ``loss``, ``learning_rate`` and the loss's statistics of each window.
    """

    def __init__(self, rows: int = 200) -> None:
        self._number = rows
        self._window: list[StepResult] = []
        self.rows: list[dict[str, float]] = []

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """Add to the window; close it when it is full."""
        self._window.append(result)
        # the windows differ by one step at most, and the last one ends with the run
        windows = min(self._number, trainer.steps)
        if result.step * windows // trainer.steps == (result.step - 1) * windows // trainer.steps:
            return
        window, self._window = self._window, []
        row: dict[str, float] = {
            "images": result.images,
            "loss": sum(r.loss for r in window) / len(window),
            "learning_rate": result.learning_rate,
        }
        for name in result.statistics:
            known = [r.statistics[name] for r in window if not math.isnan(r.statistics[name])]
            row[name] = sum(known) / len(known) if known else math.nan
        self.rows.append(row)

    def state(self) -> Any:
        """Return the rows and the open window."""
        return {"rows": self.rows, "window": [asdict(result) for result in self._window]}

    def restore(self, state: Any) -> None:
        """Take the rows and the open window back."""
        self.rows = state["rows"]
        self._window = [StepResult(**result) for result in state["window"]]

    def save(self, path: PathLike) -> None:
        """Write the rows as CSV."""
        write_rows(path, self.rows)


def write_rows(path: PathLike, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows of the same names as CSV, numbers with six digits; nothing if there are none."""
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({n: f"{v:.6g}" if isinstance(v, float) else v for n, v in row.items()})
    write_text(path, text.getvalue())
