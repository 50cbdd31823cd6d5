"""Pictures by their paths: any folders and files, whether or not they are sorted into classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tripletnet.data.scan import LeftOut, Walk, describe_left_out, split_folders
from tripletnet.errors import InputError
from tripletnet.files import PathLike, absolute, check_unicode


@dataclass(frozen=True)
class PictureListing:
    """Pictures that were asked for.

    Attributes
    ----------
    root : Path
        The folder that was named, or the one in which all that was named lies; absolute, and no
        link leads to it.
    files : list of str
        Paths relative to `root`, with ``/`` between folders.
    stamps : ndarray of int64, shape (N, 2)
        Size in bytes and time of change in nanoseconds of each file.
    labels : list of str
        The class of each: the folder below the one that was named, or below its ``train``, ``test``
        or ``validation``; empty for a file that lies in none.
    whole : bool
        Whether these are all pictures in `root`.
    left_out : list of LeftOut
        What is no picture by its ending, or cannot be read; relative to `root`.
    """

    root: Path
    files: list[str]
    stamps: np.ndarray
    labels: list[str]
    whole: bool
    left_out: list[LeftOut]


def list_pictures(paths: Sequence[PathLike]) -> PictureListing:
    """List the pictures that `paths` name: files as they are, folders with all that is below them.

    Raises
    ------
    InputError
        If a path does not exist, or there is no picture at all.
    """
    named = [absolute(path) for path in paths]
    folders = {path for path in named if path.is_dir()}
    for given, path in zip(paths, named):
        check_unicode(path)
        if path not in folders and not os.path.exists(path):  # noqa: PTH110 - never raises
            raise InputError(f"{given}: no such file or folder")
    whole = len(named) == 1 and bool(folders)
    around = [str(path if path in folders else path.parent) for path in named]
    root = Path(os.path.commonpath(around)) if around else Path.cwd()
    found: dict[str, tuple[int, int, str]] = {}
    left_out: list[LeftOut] = []
    for path in named:
        if path not in folders:
            status = path.stat()
            entry = (status.st_size, status.st_mtime_ns, "")
            found.setdefault(_relative(path, root), entry)
            continue
        walk = Walk(path)
        files = list(walk.below(""))
        start = _relative(path, root)
        prefix = "" if start == "." else f"{start}/"
        splits = split_folders(sorted({_first(file.path) for file in files} - {""}))
        for file in files:
            below = file.path.partition("/")[2] if _first(file.path) in splits else file.path
            entry = (file.size, file.changed, _first(below))
            known = found.get(prefix + file.path)
            if known is None or not known[2]:  # named as a file before, and now with its folder
                found[prefix + file.path] = entry
        left_out += [LeftOut(prefix + item.path, item.reason) for item in walk.left_out]
    if not found:
        reasons = "; ".join(describe_left_out(left_out))
        raise InputError(
            f"{', '.join(map(str, paths)) or 'no path'}: no pictures there"
            + (f" ({reasons})" if reasons else "")
        )
    stamps = np.array([entry[:2] for entry in found.values()], np.int64)
    return PictureListing(
        root.resolve(), list(found), stamps, [entry[2] for entry in found.values()], whole, left_out
    )


def _first(path: str) -> str:
    """Return the first folder of a relative path; nothing if the file lies in none."""
    folder, separator, _ = path.partition("/")
    return folder if separator else ""


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()
