"""Decode images in parallel into a cache's file of pixels, so that a crash costs little."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from tripletnet.data.cache_index import HASH_BYTES, INDEX_NAME, CacheIndex
from tripletnet.data.decode import ImageError, read_bytes, stored_size
from tripletnet.data.opencv import cv2
from tripletnet.runtime import usable_cores

# What a thread decodes before it writes: many small images, few large ones.
_CHUNK_IMAGES = 64
_CHUNK_BYTES = 4 << 20

_SECONDS_BETWEEN_SAVES = 30.0
_UNREAD = bytes(HASH_BYTES)


def new_pixels_name() -> str:
    """Return a name for a file of pixels that no other process can have mapped."""
    return f"pixels-{uuid.uuid4().hex[:12]}.u8"


def fill_cache(
    place: Path,
    root: Path,
    index: CacheIndex,
    missing: np.ndarray,
    shape: tuple[int, int, int],
    decode: Callable[[bytes], np.ndarray],
    progress: Optional[Callable[[int, int], None]] = None,
) -> None:
    """Decode the files at the positions `missing`, enter them in `index` and save it.

    Every half minute the pixels are brought to the disk and the index of what is finished is
    saved; a run that is killed loses no more than that. What cannot be read is not saved, so that
    it is tried again.

    Parameters
    ----------
    place : Path
        The folder of the cache.
    root : Path
        The folder that the files of `index` are relative to.
    index : CacheIndex
        The entries of all files; those at `missing` are filled in.
    missing : ndarray of int64, shape (n,)
        Positions in `index`.
    shape : (int, int, 3)
        The shape of every image.
    decode : callable
        Turns the content of a file into an image of that shape, or raises ImageError.
    progress : callable, optional
        Called with how many of how many images have been decoded.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    row_bytes = math.prod(shape)
    _require_room(place, len(missing) * row_bytes)
    if 2 * np.count_nonzero(index.rows >= 0) < index.end:
        _write_anew(place, index, shape)
    finished = np.ones(len(index.files), bool)
    finished[missing] = False
    first = index.end
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // row_bytes))
    starts = range(0, len(missing), step)
    pixels = place / index.pixels
    pixels.touch()
    with pixels.open("r+b") as file:

        def work(start: int) -> tuple[bytes, np.ndarray, dict[int, str]]:
            positions = missing[start : start + step].tolist()
            block = np.zeros((len(positions), *shape), np.uint8)
            sizes = np.zeros((len(positions), 2), np.int32)
            hashes = []
            reasons = {}
            for image, size, position in zip(block, sizes, positions):
                digest = _UNREAD
                try:
                    data = read_bytes(f"{root}/{index.files[position]}")
                    digest = hashlib.sha256(data).digest()
                    image[...] = decode(data)
                    size[...] = stored_size(data)
                except ImageError as error:
                    reasons[position] = error.reason
                hashes.append(digest)
            _write(file.fileno(), block, (first + start) * row_bytes)
            return b"".join(hashes), sizes, reasons

        def save() -> None:
            os.fsync(file.fileno())
            index.save(place / INDEX_NAME, np.flatnonzero(finished))

        saved = time.monotonic()
        with _one_opencv_thread(), ThreadPoolExecutor(usable_cores()) as pool:
            for start, (hashes, sizes, reasons) in zip(starts, pool.map(work, starts)):
                positions = missing[start : start + step]
                index.hashes[positions] = np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES)
                index.sizes[positions] = sizes
                index.rows[positions] = range(index.end, index.end + len(positions))
                index.rows[np.array(list(reasons), np.int64)] = -1
                index.reasons.update(reasons)
                index.end += len(positions)
                finished[positions] = index.hashes[positions].any(axis=1)
                if progress is not None:
                    progress(index.end - first, len(missing))
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    save()
                    saved = time.monotonic()
        save()


def _require_room(place: Path, wanted: int) -> None:
    free = shutil.disk_usage(place).free
    if wanted > free:
        raise OSError(
            errno.ENOSPC, f"{wanted / 1e9:.2f} GB are needed and {free / 1e9:.2f} GB are free"
        )


def _write(file: int, block: np.ndarray, offset: int) -> None:
    rest = block.data.cast("B")
    while rest:
        written = os.pwrite(file, rest, offset)
        rest = rest[written:]
        offset += written


def _write_anew(place: Path, index: CacheIndex, shape: tuple[int, int, int]) -> None:
    """Copy the rows in use to a new file of pixels: most of the old one is not needed any more."""
    rows = index.rows[index.rows >= 0]
    name = new_pixels_name()
    with (place / name).open("wb") as file:
        if len(rows):
            old = np.memmap(place / index.pixels, np.uint8, "r", shape=(index.end, *shape))
            for start in range(0, len(rows), _CHUNK_IMAGES):
                file.write(old[rows[start : start + _CHUNK_IMAGES]].tobytes())
    index.rows[index.rows >= 0] = np.arange(len(rows))
    index.pixels, index.end = name, len(rows)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own inside ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
