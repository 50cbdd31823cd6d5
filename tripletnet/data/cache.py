"""Decoded images of one size in a memory-mapped file, so that every picture is decoded once.

A cache belongs to one folder of images and one way of decoding them. It is a file of pixels that
only grows, and an index of which row holds which image. The pixels reach the disk before the index
that names them takes its place, so a crash leaves the cache as it was; a lock keeps two runs from
writing at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Optional

import numpy as np
from filelock import FileLock, Timeout

from tripletnet.data.cache_fill import fill_cache, new_pixels_name
from tripletnet.data.cache_index import HASH_BYTES, INDEX_NAME, CacheIndex
from tripletnet.data.decode import MAX_PIXELS, decode_bgr
from tripletnet.data.resize import check_fit
from tripletnet.errors import InputError
from tripletnet.files import PathLike, cache_folder, read_json, write_json

_FORMAT = 2


@dataclass(frozen=True)
class CachedImages:
    """The images of a list of files.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (M, H, W, 3)
        RGB, memory-mapped and read-only.
    rows : ndarray of int64, shape (N,)
        The row of `pixels` that holds each file's image, -1 where there is none.
    hashes : list of str
        SHA-256 of each file's content, 64 hexadecimal digits; zeros if it could not be read or
        was too large for the memory.
    sizes : ndarray of int32, shape (N, 2)
        Width and height of each image in its file, in pixels; zeros where there is none.
    failures : dict of int to str
        Why a file has no image, by its position in the list.
    """

    pixels: np.ndarray
    rows: np.ndarray
    hashes: list[str]
    sizes: np.ndarray
    failures: dict[int, str]


@dataclass(frozen=True)
class CacheEntry:
    """One cache on the disk: whose images, how decoded, and how much room they take in bytes."""

    root: str
    size: tuple[int, int]
    fit: str
    images: int
    bytes: int
    path: Path


def cached_images(
    root: PathLike,
    files: Sequence[str],
    stamps: np.ndarray,
    *,
    size: tuple[int, int],
    fit: str = "crop",
    max_pixels: int = MAX_PIXELS,
    cache: Optional[PathLike] = None,
    keep_others: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> CachedImages:
    """Return the images of `files`, decoding those that are new or have changed.

    What could not be decoded is remembered with its reason until the file changes; what could not
    be read, or was too large for the memory, is tried again. Entries of files that are no longer
    listed are forgotten.

    Parameters
    ----------
    root : str or Path
        The folder that the files' paths are relative to.
    files : sequence of str
        All files that belong to the cache of `root`.
    stamps : ndarray of int64, shape (N, 2)
        Size in bytes and time of change in nanoseconds of each file.
    size, fit, max_pixels
        See `tripletnet.data.decode.decode_image`.
    cache : str or Path, optional
        Where caches lie. Default: ``images`` in the user's cache folder.
    keep_others : bool
        `files` are only some of the folder's, so what is known of the others stays.
    progress : callable, optional
        Called with how many of how many images have been decoded.

    Raises
    ------
    InputError
        If the cache cannot be written, for want of room or rights.

    Warns
    -----
    UserWarning
        If another run is filling this cache; this one waits for it.
    """
    check_fit(fit)
    settings = {
        "format": _FORMAT,
        "root": str(Path(root).resolve()),
        "size": list(size),
        "fit": fit,
        "max_pixels": max_pixels,
    }
    key = hashlib.blake2b(json.dumps(settings).encode(), digest_size=8).hexdigest()
    place = _caches(cache) / key
    shape = (*size, 3)
    with _locked(place):
        place.mkdir(exist_ok=True)
        write_json(place / "settings.json", settings)
        index, missing = _open(place, shape).matched(files, stamps, keep_others)
        if len(missing):
            decode = partial(decode_bgr, size=size, fit=fit, max_pixels=max_pixels)
            fill_cache(place, Path(root), index, missing, shape, decode, progress)
        _remove_all_but(place, ("settings.json", INDEX_NAME, index.pixels))
        pixels = _map(place / index.pixels, index.end, shape)
    count = len(files)
    digits = index.hashes[:count].tobytes().hex()
    width = 2 * HASH_BYTES
    hashes = [digits[start : start + width] for start in range(0, len(digits), width)]
    failures = {position: why for position, why in index.reasons.items() if position < count}
    return CachedImages(pixels, index.rows[:count], hashes, index.sizes[:count], failures)


def cache_info(cache: Optional[PathLike] = None) -> list[CacheEntry]:
    """Return the caches that there are in `cache`, by default in the user's cache folder."""
    entries = []
    for path in sorted(_caches(cache).glob("*/settings.json")):
        try:
            settings = read_json(path)
            root, (height, width), fit = settings["root"], settings["size"], settings["fit"]
        except (InputError, KeyError, TypeError, ValueError):  # it can still be cleared
            root, (height, width), fit = f"unknown, as {path} is damaged", (0, 0), "unknown"
        index = CacheIndex.load(path.parent / INDEX_NAME)
        images = 0 if index is None else int((index.rows >= 0).sum())
        room = sum(file.stat().st_size for file in path.parent.iterdir())
        entries.append(CacheEntry(root, (height, width), fit, images, room, path.parent))
    return entries


def clear_cache(cache: Optional[PathLike] = None) -> int:
    """Remove all caches and return how many bytes that freed.

    Raises
    ------
    InputError
        If a run is filling one of them.
    """
    freed = 0
    for entry in cache_info(cache):
        with _locked(entry.path, wait=False):
            shutil.rmtree(entry.path)
        freed += entry.bytes
    return freed


def _caches(cache: Optional[PathLike]) -> Path:
    return cache_folder() / "images" if cache is None else Path(cache)


@contextmanager
def _locked(place: Path, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a cache, and turn errors of the disk into the user's language."""
    lock = FileLock(f"{place}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise InputError(
                    f"{place}: another run is filling this cache: let it end"
                ) from None
            warnings.warn(f"{place}: another run is filling this cache, waiting", stacklevel=4)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        raise InputError(
            f"{place.parent}: the cache of decoded images cannot be written ({error.strerror}): "
            "free some room there, or choose another folder (environment variable XDG_CACHE_HOME)"
        ) from error


def _open(place: Path, shape: tuple[int, int, int]) -> CacheIndex:
    """Return the index that is there, or a blank one where there is none to rely on."""
    index = CacheIndex.load(place / INDEX_NAME)
    if index is not None:
        pixels = place / index.pixels
        if pixels.is_file() and pixels.stat().st_size >= index.end * math.prod(shape):
            return index
    return CacheIndex.empty(new_pixels_name())


def _map(path: Path, rows: int, shape: tuple[int, int, int]) -> np.ndarray:
    if not rows:
        return np.zeros((0, *shape), np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r", shape=(rows, *shape)))


def _remove_all_but(place: Path, names: Sequence[str]) -> None:
    """Remove what crashed runs left behind, and pixels that were written anew."""
    for path in place.iterdir():
        if path.name not in names:
            path.unlink()
