"""Decode images in parallel into a cache's file of pixels, so that a crash costs little."""

from __future__ import annotations

import contextlib
import math
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Callable, Optional

import numpy as np

from tripletnet.data.cache_index import HASH_BYTES, INDEX_NAME, CacheIndex
from tripletnet.data.decode import ImageError, LackOfMemoryError, read_bytes
from tripletnet.data.opencv import cv2
from tripletnet.files import require_room
from tripletnet.processor import usable_cores

# What a thread decodes before it writes: many small images, few large ones.
_CHUNK_IMAGES = 64
_CHUNK_BYTES = 4 << 20

# Threads take turns to run Python, some 10 microseconds an image, and lose as much by handing it
# over: a second one only pays where reading and decoding, which let others run, take much longer.
_SECONDS_A_THREAD = 30e-6
_TIMED_IMAGES = 16
_TIMED_SECONDS = 0.01

# How much is written before the disk is asked to take it, beside the decoding.
_FLUSH_BYTES = 8 << 20

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
    decode: Callable[[bytes], tuple[np.ndarray, tuple[int, int]]],
    progress: Optional[Callable[[int, int], None]] = None,
) -> None:
    """Decode the files at the positions `missing`, enter them in `index` and save it.

    Every half minute the pixels are brought to the disk and the index of what is finished is
    saved; a run that is killed loses no more than that. What cannot be read, or for which there is
    too little memory, is not saved, so that it is tried again.

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
        Turns the content of a file into an image of that shape and its size in the file, as
        `tripletnet.data.decode.decode_bgr` does, or raises ImageError.
    progress : callable, optional
        Called with how many of how many images have been decoded.

    Raises
    ------
    OSError
        If the cache cannot be written.
    """
    row_bytes = math.prod(shape)
    require_room(place, len(missing) * row_bytes)
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

        def read(position: int) -> bytes:
            return read_bytes(f"{root}/{index.files[position]}", int(index.stamps[position, 0]))

        def work(start: int) -> tuple[bytes, list[tuple[int, int]], dict[int, str]]:
            positions = missing[start : start + step]
            block = np.zeros((len(positions), *shape), np.uint8)
            hashes, sizes, reasons = [], [], {}
            for image, position in zip(block, positions.tolist()):
                digest, size = _UNREAD, (0, 0)
                try:
                    data = read(position)
                    digest = sha256(data).digest()
                    image[...], size = decode(data)
                except ImageError as error:
                    reasons[position] = error.reason
                    if isinstance(error, LackOfMemoryError):
                        digest = _UNREAD  # so that it is tried again
                hashes.append(digest)
                sizes.append(size)
            tall = block.reshape(-1, *shape[1:])  # all images of the block, one below the other
            cv2.cvtColor(tall, cv2.COLOR_BGR2RGB, dst=tall)
            _write(file.fileno(), block, (first + start) * row_bytes)
            return b"".join(hashes), sizes, reasons

        def save() -> None:
            os.fsync(file.fileno())
            index.save(place / INDEX_NAME, np.flatnonzero(finished))

        saved, flushed = time.monotonic(), first
        flushes: list[Future[None]] = []
        with _one_opencv_thread(), contextlib.ExitStack() as pools:
            threads = _threads_that_pay(lambda position: decode(read(position)), missing)
            pool = pools.enter_context(ThreadPoolExecutor(threads))
            disk = pools.enter_context(ThreadPoolExecutor(1))
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
                if (index.end - flushed) * row_bytes > _FLUSH_BYTES:
                    flushes.append(disk.submit(os.fsync, file.fileno()))
                    flushed = index.end
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    save()
                    saved = time.monotonic()
        for flush in flushes:
            flush.result()
        save()


def _threads_that_pay(decode: Callable[[int], object], positions: np.ndarray) -> int:
    """Return how many threads to decode in, by the time that some of the images take."""
    taken = []
    for position in positions[:: max(1, len(positions) // _TIMED_IMAGES)].tolist():
        start = time.perf_counter()
        with contextlib.suppress(ImageError):
            decode(position)
        taken.append(time.perf_counter() - start)
        if sum(taken) > _TIMED_SECONDS:
            break
    return min(usable_cores(), max(1, int(np.median(taken) / _SECONDS_A_THREAD)))


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


@contextlib.contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own inside ours."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
