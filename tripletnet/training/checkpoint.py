"""The state of a run on disk, so that it can go on exactly where it stopped."""

from __future__ import annotations

import json
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import DAMAGED_ARCHIVE, PathLike, write_arrays
from tripletnet.run_files import CHECKPOINTS


@dataclass(frozen=True)
class TrainingState:
    """All that changes while a run goes on.

    Attributes
    ----------
    step : int
        How many steps are done. Batches, augmentation and dropout follow from it and the seed.
    arrays : dict of str to ndarray
        The weights, and what the optimiser keeps for each of them.
    told : dict
        What each callback keeps, for JSON.
    """

    step: int
    arrays: dict[str, np.ndarray]
    told: dict[str, Any]


class Checkpoints:
    """Save the state of a run from time to time; the last two are kept.

    Parameters
    ----------
    folder : str or Path
        Where the files ``checkpoint-STEP.npz`` lie.
    minutes : float
        How often to save; 0: after each step.

    Raises
    ------
    InputError
        If `minutes` is negative or not finite: the run would never be saved.
    """

    def __init__(self, folder: PathLike, minutes: float = 5.0) -> None:
        if not 0 <= minutes < math.inf:
            raise InputError(
                f"minutes between checkpoints is {minutes}: give a finite number, 0 or more"
            )
        self.folder = Path(folder)
        self._seconds = 60.0 * minutes
        self._last = time.monotonic()

    def due(self) -> bool:
        """Tell whether it is time to save."""
        return time.monotonic() - self._last >= self._seconds

    def save(self, state: TrainingState) -> Path:
        """Write `state`, whole or not at all, and remove all but the last two."""
        path = self.folder / CHECKPOINTS.replace("*", f"{state.step:09d}")
        about = {"step": state.step, "told": state.told, "arrays": list(state.arrays)}
        text = json.dumps(about).encode()
        write_arrays(path, {"about": np.frombuffer(text, dtype=np.uint8), **state.arrays})
        self.keep(2)
        self._last = time.monotonic()
        return path

    def load(self) -> Optional[TrainingState]:
        """Return the newest state that is whole; None if there is no checkpoint.

        Raises
        ------
        InputError
            If there are checkpoints but none can be read.

        Warns
        -----
        RuntimeWarning
            Names each damaged file that was passed over for the one before it.
        """
        damaged = []
        for path in self._files():
            try:
                with np.load(path, allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files}
                about = json.loads(arrays.pop("about").tobytes())
                if list(arrays) != about["arrays"]:
                    raise ValueError("arrays are missing")
            except DAMAGED_ARCHIVE as error:
                damaged.append(f"{path} ({error})")
                continue
            for line in damaged:
                warnings.warn(
                    f"damaged checkpoint {line}: going on from {path.name}, the one before it",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return TrainingState(about["step"], arrays, about["told"])
        if damaged:
            raise InputError(
                f"{self.folder}: no checkpoint can be read: {'; '.join(damaged)}; start the run "
                "again in another folder"
            )
        return None

    def keep(self, newest: int) -> None:
        """Remove all checkpoints but the newest ones."""
        for path in self._files()[newest:]:
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(CHECKPOINTS), reverse=True)
