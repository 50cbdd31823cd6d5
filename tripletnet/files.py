"""Files that are either whole or absent: written beside their place and renamed into it."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, TextIO, Union

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from tripletnet.errors import InputError

if TYPE_CHECKING:
    import numpy as np

PathLike = Union[str, Path]

#: What NumPy and zipfile raise over an .npz that is not whole.
DAMAGED_ARCHIVE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    TypeError,  # what is no archive but an array
    tokenize.TokenError,  # of an array's header
    zipfile.BadZipFile,
    zlib.error,
)


def cache_folder() -> Path:
    """Return the folder of this user's cache for tripletnet (not necessarily existing yet)."""
    return user_cache_path("tripletnet")


def check_unicode(path: PathLike) -> None:
    """Raise InputError if a path that the user named holds bytes that are not UTF-8."""
    if not is_unicode(str(path)):
        shown = os.fsencode(path).decode("utf-8", "replace")
        raise InputError(f"{shown}: its name is not valid UTF-8: rename it")


def is_unicode(name: str) -> bool:
    """Return whether a name holds no bytes that are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_room(folder: PathLike, size: int) -> None:
    """Raise OSError (ENOSPC) unless the disk of `folder` has `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(
            errno.ENOSPC, f"{size / 1e6:,.1f} MB are needed and {free / 1e6:,.1f} MB are free"
        )


def absolute(path: PathLike) -> Path:
    """Return a path from the root of the disk on; links keep the names that the user gave them.

    Before a ``..`` they do not: that is the folder which lies around what the link points to.
    """
    path = Path(path)
    if ".." not in path.parts:
        return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links
    if path.name == "..":
        return path.resolve()
    return path.parent.resolve() / path.name


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block ends without error.

    A link stays, and what it points to is replaced; a device or a pipe is written to.

    Parameters
    ----------
    path : str or Path
        Where the finished file is to lie. Missing parent folders are made.

    Yields
    ------
    Path
        A path with the same ending, for the block to write to.

    Raises
    ------
    OSError
        If it cannot be written, with `path` in its place.
    """
    path = Path(path)
    scratch: Optional[Path] = None
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            with tempfile.TemporaryDirectory() as folder:
                scratch = Path(folder) / f"part{path.suffix}"
                yield scratch
                with scratch.open("rb") as file, path.open("wb") as device:
                    shutil.copyfileobj(file, device)
            return
        with _beside(Path(os.path.realpath(path)) if path.is_symlink() else path) as scratch:
            yield scratch
    except OSError as error:
        unmade = scratch is None and ".part" in str(error.filename)
        if error.errno is not None and (unmade or error.filename in (None, str(scratch))):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=f".part{path.suffix}", dir=path.parent
    )
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        # mkstemp makes the file private; give it what a plain open() would have given
        mask = os.umask(0)
        os.umask(mask)
        scratch.chmod(0o666 & ~mask)
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def only_one(path: PathLike) -> Iterator[None]:
    """Keep other commands from making or changing what lies at `path` while the block runs.

    Raises
    ------
    InputError
        If one of them is at it.
    """
    place = Path(os.path.realpath(path))  # two names of one place share a lock
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{place}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{path}: another command is making or changing it: let it end") from None
    except OSError as error:  # with the user's path in the place of the lock's
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        yield
    finally:
        # in this order: who takes it next is not to lose the file that is the lock
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def atomic_table(path: PathLike) -> Iterator[TextIO]:
    """Give a text file to write a table to with :mod:`csv`; it is at `path` if all went well.

    Names of files that are not UTF-8 are written as the bytes that they are.
    """
    with (
        atomic_path(path) as scratch,
        scratch.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file


def write_text(path: PathLike, text: str) -> None:
    """Write `text` to `path` in UTF-8, whole or not at all."""
    with atomic_path(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def save_arrays(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write what `numpy.savez` writes.

    That leaves its archive open when the disk is full, and Python prints a traceback of it later.
    """
    import numpy as np

    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def write_arrays(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to `path` as .npz, whole or not at all."""
    with atomic_path(path) as scratch:
        save_arrays(scratch, arrays)


def finite(number: Optional[float]) -> Optional[float]:
    """Return a number for JSON, which knows no infinity: None in its place."""
    return number if number is not None and math.isfinite(number) else None


def write_json(path: PathLike, value: Any) -> None:
    """Write `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: PathLike) -> Any:
    """Read JSON from `path`.

    Raises
    ------
    InputError
        If the file is missing or is not JSON.
    """
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as JSON ({error})") from None
