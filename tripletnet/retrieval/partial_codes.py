"""Codes that are made block by block and can be taken up again after a stop."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import PathLike, read_json, require_room, write_json

_SECONDS_BETWEEN_SAVES = 5.0
_CODES, _STATE = "codes.f32", "state.json"


class PartialCodes:
    """A matrix of codes that grows, in memory or in a folder.

    Use it in a ``with`` statement, which saves what is there when it is left, also by an error.

    Parameters
    ----------
    folder : str or Path, optional
        Where to keep the codes; those of the same images by the same encoder that lie there are
        taken over. Default: in memory.
    shape : (int, int)
        How many codes of how many numbers there will be.
    parts : sequence of str
        What the codes depend on: the encoder's fingerprint and the images' digests.

    Attributes
    ----------
    codes : ndarray of float32, shape `shape`
        Memory-mapped if there is a folder.
    done : int
        How many of them are made.

    Raises
    ------
    InputError
        If the folder cannot be written, or has no room for all of them.
    """

    def __init__(
        self, folder: Optional[PathLike], shape: tuple[int, int], parts: Sequence[str]
    ) -> None:
        self.done = 0
        self._state: Optional[Path] = None
        if folder is None:
            self.codes = np.empty(shape, np.float32)
            return
        place = Path(folder)
        self._key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        self._state = place / _STATE
        codes = place / _CODES
        try:
            place.mkdir(parents=True, exist_ok=True)
            self.done = self._stored(codes, shape)
            if not self.done:  # what it tells of is about to be written over
                self._state.unlink(missing_ok=True)
            _reserve(codes, 4 * math.prod(shape), 4 * self.done * shape[1])
            self.codes = np.memmap(codes, np.float32, "r+", shape=shape)
        except OSError as error:
            if not self.done:
                self.remove(place)
            remedy = ": free some room there, or give another place" * (error.errno == errno.ENOSPC)
            raise InputError(f"{place}: cannot be written ({error.strerror}){remedy}") from None
        self._saved = time.monotonic()

    def _stored(self, codes: Path, shape: tuple[int, int]) -> int:
        """Return how many codes of these images are in the folder."""
        assert self._state is not None
        try:
            state = read_json(self._state)
            if state["key"] == self._key and codes.stat().st_size == 4 * shape[0] * shape[1]:
                return int(state["done"])
        except (InputError, OSError, KeyError, TypeError):
            pass  # nothing that can be taken over
        return 0

    def add(self, codes: np.ndarray) -> None:
        """Append codes, (n, D); every few seconds they are brought to the disk."""
        self.codes[self.done : self.done + len(codes)] = codes
        self.done += len(codes)
        if self._state is not None and time.monotonic() - self._saved > _SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self) -> None:
        if isinstance(self.codes, np.memmap) and self._state is not None:
            self.codes.flush()
            write_json(self._state, {"key": self._key, "done": self.done})
            self._saved = time.monotonic()

    @staticmethod
    def remove(folder: PathLike) -> None:
        """Remove the codes that were kept in a folder, and the folder if nothing else is in it."""
        for name in (_CODES, _STATE):
            Path(folder, name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            Path(folder).rmdir()

    def __enter__(self) -> PartialCodes:
        return self

    def __exit__(self, *error: Any) -> None:
        self._save()


def _reserve(path: Path, size: int, there: int) -> None:
    """Make a file of `size` bytes that the disk has room for, and keep the first `there` of it.

    A full disk ends a process that writes into a file mapped into memory, without an error.
    """
    with path.open("r+b" if there else "wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except (AttributeError, OSError) as error:  # macOS has no such function
            if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            require_room(path.parent, size - there)
            file.truncate(size)
