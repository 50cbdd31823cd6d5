"""Event files for TensorBoard: which run each of them is of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tripletnet.errors import InputError

if TYPE_CHECKING:
    from tripletnet.files import PathLike

_PATTERN, _SUFFIX = "events.out.tfevents.*", ".tripletnet"
#: The names of all our event files.
EVENT_FILES = _PATTERN + _SUFFIX


def event_suffix(folder: PathLike, run: PathLike) -> str:
    """Return how the names of the event files end that the run in `run` writes into `folder`.

    It follows from the way that leads from one to the other, so that both can be moved together.
    """
    way = os.path.relpath(Path(run).resolve(), Path(folder).resolve())
    return f".{hashlib.sha256(os.fsencode(way)).hexdigest()[:16]}{_SUFFIX}"


def own_event_files(folder: PathLike, run: PathLike) -> list[Path]:
    """Return the event files in `folder` that the run in `run` has written."""
    return list(Path(folder).glob(_PATTERN + event_suffix(folder, run)))


def refuse_other_event_files(folder: PathLike, run: PathLike) -> None:
    """Raise InputError if another run than that in `run` has written event files into `folder`."""
    own = own_event_files(folder, run)
    for path in sorted(Path(folder).glob(EVENT_FILES)):
        if path not in own:
            raise InputError(
                f"{path}: is of another run than {run}, of the same name: give --tensorboard "
                "another folder, or remove the file"
            )
