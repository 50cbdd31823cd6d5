"""Codes in a file: CODES.npz, of this project's encoders or of anybody's."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.codes import check_codes, check_labels
from tripletnet.errors import InputError
from tripletnet.files import PathLike, atomic_path


@dataclass(frozen=True)
class CodesFile:
    """What a file of codes holds.

    Attributes
    ----------
    codes : ndarray of float32, shape (N, D)
        One code a row, as it was given: nothing is normalised.
    labels : ndarray of int or str, shape (N,), or None
        The class of each.
    paths : list of str, or None
        Which file each came from.
    fingerprint : str or None
        Tells which encoder made them, see :mod:`tripletnet.networks.fingerprint`.
    """

    codes: np.ndarray
    labels: Optional[np.ndarray] = None
    paths: Optional[Sequence[str]] = None
    fingerprint: Optional[str] = None


def write_codes(path: PathLike, content: CodesFile) -> None:
    """Write codes as .npz, whole or not at all.

    Raises
    ------
    InputError
        If the parts do not fit together.
    """
    codes = check_codes(content.codes, f"{path}: codes")
    arrays = {"codes": codes}
    if content.labels is not None:
        arrays["labels"] = check_labels(content.labels, len(codes), f"{path}: labels")
    if content.paths is not None:
        arrays["paths"] = _check_paths(np.array(content.paths, dtype=str), len(codes), path)
    if content.fingerprint is not None:
        arrays["fingerprint"] = np.array(content.fingerprint)
    with atomic_path(path) as scratch, scratch.open("wb") as file:
        np.savez(file, **arrays)


def read_codes(path: PathLike) -> CodesFile:
    """Read codes from .npz.

    Parameters
    ----------
    path : str or Path
        An .npz file, as ``numpy.savez(path, codes=codes, labels=labels)`` writes it: ``codes``,
        numbers of shape (N, D), and if they are known ``labels``, N integers or strings,
        ``paths``, N strings, and ``fingerprint``, one string.

    Raises
    ------
    InputError
        If it is missing, damaged, or a field is not what it should be; the message names the
        file and the field. Nothing that is stored in it is run.
    """
    path = Path(path)
    arrays = {}
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise InputError(
                f"{path}: one bare array: store it with numpy.savez(path, codes=..., labels=...)"
            )
        with stored:
            for name in ("codes", "labels", "paths", "fingerprint"):
                if name in stored.files:
                    arrays[name] = _read_field(stored, name, path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as .npz ({error}): write it again") from None
    if "codes" not in arrays:
        raise InputError(f"{path}: has no field codes: store it with numpy.savez(path, codes=...)")
    codes = check_codes(arrays["codes"], f"{path}: codes")
    labels = paths = fingerprint = None
    if "labels" in arrays:
        labels = check_labels(
            _text(arrays["labels"], "labels", path), len(codes), f"{path}: labels"
        )
    if "paths" in arrays:
        paths = _check_paths(_text(arrays["paths"], "paths", path), len(codes), path).tolist()
    if "fingerprint" in arrays:
        text = _text(arrays["fingerprint"], "fingerprint", path)
        if text.shape or text.dtype.kind != "U":
            raise InputError(f"{path}: fingerprint: expected one string, got {text.dtype}")
        fingerprint = str(text)
    return CodesFile(codes, labels, paths, fingerprint)


def _read_field(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return stored[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        remedy = "write it again"
        if "allow_pickle" in str(error):
            error = ValueError("Python objects, which are never unpickled")
            remedy = "store it as an array of numbers or strings, as numpy.array(..., dtype=str)"
        raise InputError(f"{path}: {name}: cannot be read ({error}): {remedy}") from None


def _text(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return bytes as strings, and anything else as it is."""
    if array.dtype.kind != "S":
        return array
    try:
        return np.char.decode(array, "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {name}: not UTF-8 ({error}): store it as strings") from None


def _check_paths(paths: np.ndarray, count: int, path: PathLike) -> np.ndarray:
    if paths.dtype.kind != "U" or paths.shape != (count,):
        raise InputError(
            f"{path}: paths: expected one string for each of the {count} codes, got "
            f"{paths.dtype} of shape {paths.shape}"
        )
    return paths
