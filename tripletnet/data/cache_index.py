"""What a cache of decoded images knows of each file: the row that holds it, or why none does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.files import DAMAGED_ARCHIVE, write_arrays

INDEX_NAME = "index.npz"

#: Length of a content hash.
HASH_BYTES = 32


@dataclass
class CacheIndex:
    """The entries of a cache, one for each file.

    Parameters
    ----------
    pixels : str
        The name of the file of pixels.
    end : int
        How many rows of that file have been given away.
    files : sequence of str
        Paths relative to the folder of images.
    stamps : ndarray of int64, shape (N, 2)
        Size in bytes and time of change in nanoseconds of each file.
    rows : ndarray of int64, shape (N,)
        The row of each image, -1 where it could not be decoded.
    hashes : ndarray of uint8, shape (N, 32)
        SHA-256 of each file's content.
    sizes : ndarray of int32, shape (N, 2)
        Width and height of each image in its file, in pixels; zeros where it has no image.
    reasons : dict of int to str
        Why a file could not be decoded, by its position.
    """

    pixels: str
    end: int
    files: Sequence[str]
    stamps: np.ndarray
    rows: np.ndarray
    hashes: np.ndarray
    sizes: np.ndarray
    reasons: dict[int, str]

    @classmethod
    def empty(cls, pixels: str) -> CacheIndex:
        """Return the index of a new cache."""
        stamps, rows = np.empty((0, 2), np.int64), np.empty(0, np.int64)
        hashes, sizes = np.empty((0, HASH_BYTES), np.uint8), np.empty((0, 2), np.int32)
        return cls(pixels, 0, [], stamps, rows, hashes, sizes, {})

    def matched(
        self, files: Sequence[str], stamps: np.ndarray, keep_others: bool = False
    ) -> tuple[CacheIndex, np.ndarray]:
        """Return the entries of `files`, and the positions of those that are new or changed.

        With `keep_others` the entries of all other files follow them.
        """
        known = {name: entry for entry, name in enumerate(self.files)}
        if keep_others:
            listed = set(files)
            others = [entry for name, entry in known.items() if name not in listed]
            files = [*files, *(self.files[entry] for entry in others)]
            stamps = np.concatenate([stamps.reshape(-1, 2), self.stamps[others]])
        entries = np.array([known.get(name, -1) for name in files], np.int64)
        same = entries >= 0
        same[same] = (self.stamps[entries[same]] == stamps[same]).all(axis=1)
        rows = np.full(len(files), -1, np.int64)
        rows[same] = self.rows[entries[same]]
        hashes = np.zeros((len(files), HASH_BYTES), np.uint8)
        hashes[same] = self.hashes[entries[same]]
        sizes = np.zeros((len(files), 2), np.int32)
        sizes[same] = self.sizes[entries[same]]
        reasons = {
            position: self.reasons[entries[position]]
            for position in np.flatnonzero(same & (rows < 0)).tolist()
        }
        index = CacheIndex(self.pixels, self.end, files, stamps, rows, hashes, sizes, reasons)
        return index, np.flatnonzero(~same)

    def save(self, path: Path, positions: np.ndarray) -> None:
        """Write the entries at `positions`, whole or not at all."""
        chosen = positions.tolist()
        reasons = [self.reasons[position] for position in chosen if self.rows[position] < 0]
        about = {"pixels": self.pixels, "end": self.end, "reasons": reasons}
        arrays = {
            "about": _as_array(json.dumps(about)),
            "files": _as_array("\0".join([self.files[position] for position in chosen])),
            "stamps": self.stamps[positions],
            "rows": self.rows[positions],
            "hashes": self.hashes[positions],
            "sizes": self.sizes[positions],
        }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Optional[CacheIndex]:
        """Read an index; None if there is none or it is damaged."""
        try:
            with np.load(path) as arrays:
                about = json.loads(arrays["about"].tobytes())
                names = arrays["files"].tobytes().decode()
                rows = arrays["rows"]
                return cls(
                    about["pixels"],
                    about["end"],
                    names.split("\0") if names else [],
                    arrays["stamps"],
                    rows,
                    arrays["hashes"],
                    arrays["sizes"],
                    dict(zip(np.flatnonzero(rows < 0).tolist(), about["reasons"])),
                )
        except DAMAGED_ARCHIVE:
            return None


def _as_array(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
