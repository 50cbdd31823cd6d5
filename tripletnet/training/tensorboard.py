"""A run in TensorBoard: curves and pictures of its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from PIL import Image

from tripletnet.event_files import event_suffix, own_event_files
from tripletnet.extras import load_tensorboardx
from tripletnet.files import PathLike
from tripletnet.training.callbacks import Callback, History, StepResult
from tripletnet.training.neighbour_grids import NeighbourGrids
from tripletnet.training.validation import Validation

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer


class TensorBoard(Callback):
    """Write history, validation and neighbours as an event file while the run goes on.

    The file is a view of what the run keeps anyway. It is written anew when a run goes on, so that
    no point is missing or doubled, wherever the run was stopped; the wall time of earlier points
    is then that of going on.

    Parameters
    ----------
    folder : str or Path
        This run's own; event files of other runs and of other origin that lie there are left alone.
    history : History
        Its rows become ``training/...`` over the number of images seen. It has to be told about a
        step before this callback is.
    validation : Validation, optional
        Its rows become ``validation/...``.
    grids : NeighbourGrids, optional
        Its pictures become ``neighbours``.

    Raises
    ------
    InputError
        If the extra `tensorboard` is not installed.
    """

    def __init__(
        self,
        folder: PathLike,
        history: History,
        validation: Optional[Validation] = None,
        grids: Optional[NeighbourGrids] = None,
    ) -> None:
        self._library = load_tensorboardx()
        self._folder = Path(folder)
        self._history = history
        self._validation = validation
        self._grids = grids
        self._written = [0, 0, 0]  # rows of history, rows of validation, pictures
        self._writer: Any = None

    def on_start(self, trainer: Trainer) -> None:
        """Begin the event file with all that the run has told before."""
        # without a run folder nothing but `folder` tells one run from another
        run = trainer.checkpoints.folder if trainer.checkpoints else self._folder
        for path in own_event_files(self._folder, run):
            path.unlink()
        self._written = [0, 0, 0]
        # a viewer that is open forgets the points from step 0 on
        self._writer = self._library.SummaryWriter(
            str(self._folder),
            purge_step=0,
            filename_suffix=event_suffix(self._folder, run),
        )
        self._write()

    def on_step(self, trainer: Trainer, result: StepResult) -> None:
        """Write what is new."""
        self._write()

    def on_end(self, trainer: Trainer) -> None:
        """Write what is left and close the file."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        """Write the rows and pictures that have come since, and see to it that they are on disk."""
        history = self._history.rows
        validation = self._validation.rows if self._validation else []
        pictures = self._grids.drawn if self._grids else []
        now = [len(history), len(validation), len(pictures)]
        if now == self._written:
            return
        told, measured, drawn = self._written
        self._write_rows("training", history[told:])
        self._write_rows("validation", validation[measured:])
        for images, path in pictures[drawn:]:
            picture = np.asarray(Image.open(path))
            self._writer.add_image("neighbours", picture, images, dataformats="HWC")
        self._writer.flush()
        self._written = now

    def _write_rows(self, group: str, rows: Sequence[Mapping[str, float]]) -> None:
        for row in rows:
            for name, value in row.items():
                if name != "images":
                    self._writer.add_scalar(f"{group}/{name}", value, int(row["images"]))
