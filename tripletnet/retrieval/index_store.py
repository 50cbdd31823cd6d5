"""An index on the disk: a folder whose files are all whole, or which is refused."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import (
    PathLike,
    atomic_path,
    check_unicode,
    read_json,
    write_arrays,
    write_json,
)
from tripletnet.processor import threads
from tripletnet.runtime import known_processor

FORMAT = 1
DESCRIPTION = "index.json"
_TRIES = 5  # to read an index that is saved again and again meanwhile
_DATA = re.compile(r"(?:codes|catalogue)\.(\d+)\.(?:faiss|npz)")
# what a process that is killed while it writes has not removed, see `files.atomic_path`
_SCRATCH = re.compile(r"\.(?:(?:codes|catalogue)\.\d+|index)\.\w+\.part\.(?:faiss|npz|json)")


def load_faiss() -> types.ModuleType:
    """Return FAISS, with a thread for each physical core, or as OMP_NUM_THREADS has it.

    Raises
    ------
    InputError
        If it is not installed.
    """
    faiss: Any = sys.modules.get("faiss")
    if faiss is None:
        try:
            with known_processor():
                import faiss
        except ModuleNotFoundError:
            raise InputError("FAISS is not installed: pip install faiss-cpu") from None
    # OpenMP keeps this number for each thread of the caller's, so it is set again and again
    faiss.omp_set_num_threads(threads())
    return faiss


def is_unfinished(folder: PathLike) -> bool:
    """Return whether a folder is empty, or holds what a first :func:`write_index` left if stopped.

    Another writing does away with that.
    """
    folder = Path(folder)
    return folder.is_dir() and all(
        _DATA.fullmatch(path.name) or _SCRATCH.fullmatch(path.name) for path in folder.iterdir()
    )


def write_index(
    folder: PathLike, faiss_index: Any, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]
) -> None:
    """Write an index into a folder; one that lies there already stays whole until this one is.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    faiss_index : faiss.Index
        The codes.
    arrays : mapping of str to ndarray
        What else there is to each code.
    about : mapping
        What ``index.json`` is to tell, as JSON.

    Raises
    ------
    InputError
        If `folder` is a file, or its name is not valid UTF-8.
    RuntimeError
        If FAISS cannot write the codes.

    Notes
    -----
    The files of each writing have names of their own, by a number that grows. ``index.json``
    names them, with their sizes and SHA-256, and is replaced last; then the old ones are removed.
    """
    folder = Path(folder)
    check_unicode(folder)  # FAISS takes no other
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, and an index is a folder: give another place")
    folder.mkdir(parents=True, exist_ok=True)
    old = {
        path: int(match[1]) for path in folder.iterdir() if (match := _DATA.fullmatch(path.name))
    }
    scratches = [path for path in folder.iterdir() if _SCRATCH.fullmatch(path.name)]
    number = 1 + max(old.values(), default=0)
    codes, catalogue = folder / f"codes.{number}.faiss", folder / f"catalogue.{number}.npz"
    with atomic_path(codes) as scratch:
        try:
            load_faiss().write_index(faiss_index, str(scratch))
        except RuntimeError:
            raise RuntimeError(f"{codes}: cannot be written: is the disk full?") from None
    write_arrays(catalogue, arrays)
    files = {
        name: {"name": path.name, "bytes": path.stat().st_size, "sha256": _sha256(path)}
        for name, path in (("codes", codes), ("catalogue", catalogue))
    }
    content = {"format": FORMAT, **about, "files": files}
    write_json(folder / DESCRIPTION, {**content, "sha256": _digest(content)})
    for path in (*old, *scratches):
        path.unlink(missing_ok=True)


def read_index(folder: PathLike) -> tuple[Any, dict[str, np.ndarray], dict[str, Any]]:
    """Return the FAISS index, the arrays and the description that :func:`write_index` wrote.

    Raises
    ------
    InputError
        If the folder is no index, or a file of it is missing or damaged; the message names it. What
        is missing because the index was saved meanwhile is read anew.
    """
    folder = Path(folder)
    for _ in range(_TRIES):
        about = read_about(folder)
        try:
            return (*_read_files(folder, about["files"]), about)
        except (InputError, OSError):
            if read_about(folder) == about:
                raise
        # another command has saved the index and removed the files of before
    raise InputError(f"{folder}: another command keeps changing it: try again when it has ended")


def _read_files(
    folder: Path, files: Mapping[str, Mapping[str, Any]]
) -> tuple[Any, dict[str, np.ndarray]]:
    for file in files.values():
        _check_file(folder / file["name"], file)
    codes, catalogue = (folder / files[name]["name"] for name in ("codes", "catalogue"))
    faiss = load_faiss()
    try:
        # its tables would take more memory than the codes
        faiss_index = faiss.read_index(str(codes), faiss.IO_FLAG_SKIP_PRECOMPUTE_TABLE)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"{codes}: this FAISS, {faiss.__version__}, cannot read it ({reason}): take the one "
            "that wrote it, or build the index again"
        ) from None
    with np.load(catalogue, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    return faiss_index, arrays


def read_about(folder: PathLike) -> dict[str, Any]:
    """Return what the ``index.json`` of an index tells, without reading the rest.

    Raises
    ------
    InputError
        If the folder is no index, its ``index.json`` is damaged or of another format, or its name
        is not valid UTF-8.
    """
    check_unicode(folder)
    path = Path(folder) / DESCRIPTION
    if not path.is_file():
        raise InputError(
            f"{folder}: not an index, it has no {DESCRIPTION}: give a folder that tripletnet "
            "index has written"
        )
    try:
        about = read_json(path)
    except InputError as error:
        raise InputError(f"{error}: build the index again") from None
    digest = about.pop("sha256", None) if isinstance(about, dict) else None
    if digest is None or digest != _digest(about):
        raise InputError(f"{path}: damaged, its check sum is wrong: build the index again")
    if about["format"] != FORMAT:
        raise InputError(
            f"{path}: its format is {about['format']}, and this version reads {FORMAT}: take the "
            "version that wrote it"
        )
    return about


def _check_file(path: Path, expected: Mapping[str, Any]) -> None:
    remedy = "take a copy of the whole folder, or build the index again"
    if not path.is_file():
        raise InputError(f"{path}: missing: {remedy}")
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise InputError(f"{path}: damaged, {size:,} bytes of {expected['bytes']:,}: {remedy}")
    if _sha256(path) != expected["sha256"]:
        raise InputError(f"{path}: damaged, its content has changed: {remedy}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
