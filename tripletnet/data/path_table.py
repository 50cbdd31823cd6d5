"""A CSV file whose rows name pictures: read row by row, every mistake by its line."""

from __future__ import annotations

import csv
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import PathLike, is_unicode

_TRUTH = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}


@dataclass(frozen=True)
class PathTable:
    """The rows of a file that names pictures.

    Attributes
    ----------
    path : Path
        The file.
    root : Path
        The folder in which all pictures lie.
    files : list of str
        The pictures, each once, relative to `root`.
    stamps : ndarray of int64, shape (M, 2)
        Size in bytes and time of change in nanoseconds of each picture.
    rows : ndarray of int32, shape (R, C)
        The pictures of each row, as positions in `files`.
    truths : ndarray of int8, shape (R,)
        What each row says in the column of truths; empty if there is no such column.
    lines : ndarray of int32, shape (R,)
        The line on which each row ends.
    unused : list of str
        Columns that mean nothing here.
    """

    path: Path
    root: Path
    files: list[str]
    stamps: np.ndarray
    rows: np.ndarray
    truths: np.ndarray
    lines: np.ndarray
    unused: list[str]

    def place(self, row: int) -> str:
        """Return where a row stands, for people."""
        return f"{self.path}, line {self.lines[row]}"


def read_path_table(
    path: PathLike,
    columns: Sequence[str],
    truth: Optional[str] = None,
    pictures: Optional[PathLike] = None,
) -> PathTable:
    """Read a CSV file; a row takes 4 bytes for each picture that it names, and 5 more.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8; its first line names the columns, in any order.
    columns : sequence of str
        The columns that name pictures.
    truth : str, optional
        The column that says 1 or 0, true or false, yes or no.
    pictures : str or Path, optional
        The folder that paths start from. Default: the folder of the file.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column or has no rows, or a row is bad: it lacks a
        field, names a file that is not there or one picture twice, or says neither yes nor no.
    """
    path = Path(path)
    base = str(path.parent if pictures is None else pictures)
    if not Path(base).is_dir():
        raise InputError(f"{base}: no such folder: paths of {path} are to start there")
    wanted = [*columns, *([truth] if truth else [])]
    rows, truths, lines = array("i"), array("b"), array("i")
    names = _Names(base)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = _places(path, header, wanted)
            for fields in reader:
                if not fields:
                    continue
                try:
                    cells = _cells(fields, header, places)
                    found = [names.position(cell) for cell in cells[: len(columns)]]
                    _refuse_repeats(found, columns)
                    if truth:
                        truths.append(_truth(cells[-1], truth))
                except ValueError as error:
                    raise InputError(f"{path}, line {reader.line_num}: {error}") from None
                rows.extend(found)
                lines.append(reader.line_num)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not in UTF-8: save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    if not lines:
        raise InputError(f"{path}: has no rows: add some below the names of the columns")
    root, files = names.below_one_root()
    return PathTable(
        path,
        root,
        files,
        np.array(names.stamps, np.int64).reshape(-1, 2),
        np.asarray(rows).reshape(-1, len(columns)),
        np.asarray(truths),
        np.asarray(lines),
        [name for name in header if name not in wanted],
    )


def _places(path: Path, header: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return at which place of a row each wanted column stands."""
    for name in wanted:
        if header.count(name) != 1:
            fault = "has no column" if name not in header else "has more than one column"
            raise InputError(
                f"{path}, line 1: {fault} '{name}': begin the file with the line {','.join(wanted)}"
            )
    return [header.index(name) for name in wanted]


def _cells(fields: Sequence[str], header: Sequence[str], places: Sequence[int]) -> list[str]:
    if len(fields) != len(header):
        raise ValueError(f"has {len(fields)} fields, and the first line names {len(header)}")
    cells = [fields[place].strip() for place in places]
    for cell, place in zip(cells, places):
        if not cell:
            raise ValueError(f"{header[place]} is empty")
    return cells


def _refuse_repeats(found: Sequence[int], columns: Sequence[str]) -> None:
    if len(set(found)) == len(found):
        return
    first, second = next(
        (columns[i], columns[j])
        for i in range(len(found))
        for j in range(i + 1, len(found))
        if found[i] == found[j]
    )
    raise ValueError(f"{first} and {second} are the same picture")


def _truth(cell: str, column: str) -> int:
    try:
        return _TRUTH[cell.lower()]
    except KeyError:
        raise ValueError(f"{column} is '{cell}': write 1 or 0") from None


class _Names:
    """The pictures that were named, each once."""

    def __init__(self, base: str) -> None:
        self._base = os.path.realpath(base)  # so that ".." is what it is on the disk
        self._known: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        self.stamps: list[tuple[int, int]] = []

    def position(self, name: str) -> int:
        """Return the number of the picture called `name`."""
        position = self._known.get(name)
        if position is None:
            position = self._known[name] = self._add(name)
        return position

    def _add(self, name: str) -> int:
        path = os.path.normpath(os.path.join(self._base, name))  # noqa: PTH118 - much faster
        if path in self._paths:  # under another spelling
            return self._paths[path]
        if not is_unicode(path):
            raise ValueError(f"{name!a}: its name is not valid UTF-8: rename it")
        try:
            status = os.stat(path)  # noqa: PTH116 - much faster than Path
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ValueError(f"{name}: {reason} (paths start from {self._base})") from None
        self.stamps.append((status.st_size, status.st_mtime_ns))
        self._paths[path] = len(self._paths)
        return self._paths[path]

    def below_one_root(self) -> tuple[Path, list[str]]:
        """Return the folder that holds all pictures, and their paths below it."""
        root = self._base
        if any(not path.startswith(root + os.sep) for path in self._paths):
            folders = {os.path.dirname(path) for path in self._paths}  # noqa: PTH120
            root = os.path.commonpath(folders)
        start = len(root.rstrip(os.sep)) + 1
        return Path(root), [path[start:].replace(os.sep, "/") for path in self._paths]
