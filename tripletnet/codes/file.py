"""Codes in a file: CODES.npz, of this project's encoders or of anybody's."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.codes import check_codes, check_labels
from tripletnet.errors import InputError
from tripletnet.files import DAMAGED_ARCHIVE, PathLike, atomic_path, save_arrays

_TEXTS = ("paths", "digests")
_WORDS = ("fingerprint", "root", "run", "precision")
_FIELDS = ("codes", "labels", "sizes", *_WORDS)
_BLOCK_BYTES = 2**24  # of a field that is read, or written as strings, piece by piece
_NAME_LENGTH_AT = 26  # in the header before a member of a zip file


@dataclass(frozen=True)
class EncodedImages:
    """Codes, and what is known of the images that they were made of.

    Attributes
    ----------
    codes : ndarray of float32, shape (N, D)
        One code a row, as it was given: nothing is normalised.
    labels : ndarray of int or str, shape (N,), or None
        The class of each; an empty string where it is not known.
    paths : sequence of str, or None
        Which file each came from.
    fingerprint : str or None
        Tells which encoder made them, see :mod:`tripletnet.networks.fingerprint`.
    root : str or None
        The folder that `paths` are relative to.
    digests : sequence of str, or None
        The SHA-256 of each file's content, in hex.
    sizes : ndarray of int32, shape (N, 2), or None
        Width and height of each image in its file, in pixels.
    run : str or None
        The run folder of the encoder.
    precision : str or None
        In which numbers the encoder computed: ``fp32`` or ``int8``.
    """

    codes: np.ndarray
    labels: Optional[np.ndarray] = None
    paths: Optional[Sequence[str]] = None
    fingerprint: Optional[str] = None
    root: Optional[str] = None
    digests: Optional[Sequence[str]] = None
    sizes: Optional[np.ndarray] = None
    run: Optional[str] = None
    precision: Optional[str] = None

    def __len__(self) -> int:
        return len(self.codes)


def write_codes(path: PathLike, content: EncodedImages) -> None:
    """Write codes as .npz, whole or not at all.

    Raises
    ------
    InputError
        If the parts do not fit together.
    """
    count = len(content.codes)
    arrays = {"codes": check_codes(content.codes, f"{path}: codes")}
    if content.labels is not None:
        arrays["labels"] = check_labels(content.labels, count, f"{path}: labels")
    if content.sizes is not None:
        arrays["sizes"] = _check_sizes(np.asarray(content.sizes), count, path)
    given = {name: getattr(content, name) for name in _TEXTS}
    texts = {name: list(map(str, value)) for name, value in given.items() if value is not None}
    for name, values in texts.items():
        _check_count(values, name, count, path)
    for name in _WORDS:
        value = getattr(content, name)
        if value is not None:
            arrays[name] = np.array(str(value))
    with atomic_path(path) as scratch:
        save_arrays(scratch, arrays)
        with zipfile.ZipFile(scratch, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, values in texts.items():
                _write_texts(archive, name, values)


def read_codes(path: PathLike, *, mapped: bool = False) -> EncodedImages:
    """Read codes from .npz.

    Parameters
    ----------
    path : str or Path
        An .npz file, as ``numpy.savez(path, codes=codes, labels=labels)`` writes it: ``codes``,
        numbers of shape (N, D), and whatever else of :class:`EncodedImages` is known.
    mapped : bool
        Leave the codes in the file, memory-mapped and read-only, where they are stored as
        :func:`write_codes` does it: float32 in C order, not compressed.

    Raises
    ------
    InputError
        If it is missing, damaged, or a field is not what it should be; the message names the
        file and the field. Nothing that is stored in it is run.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    texts: dict[str, list[str]] = {}
    try:
        stored = np.load(path, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise InputError(
                f"{path}: one bare array: store it with numpy.savez(path, codes=..., labels=...)"
            )
        with stored:
            for name in _FIELDS:
                if name in stored.files:
                    read = _map_field if mapped and name == "codes" else _read_field
                    arrays[name] = read(stored, name, path)
            for name in _TEXTS:
                if name in stored.files:
                    texts[name] = _read_texts(stored, name, path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except DAMAGED_ARCHIVE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable as .npz ({error}): write it again") from None
    if "codes" not in arrays:
        raise InputError(f"{path}: has no field codes: store it with numpy.savez(path, codes=...)")
    codes = check_codes(arrays["codes"], f"{path}: codes")
    labels = sizes = None
    if "labels" in arrays:
        labels = check_labels(
            _text(arrays["labels"], "labels", path), len(codes), f"{path}: labels"
        )
    if "sizes" in arrays:
        sizes = _check_sizes(arrays["sizes"], len(codes), path)
    for name, values in texts.items():
        _check_count(values, name, len(codes), path)
    words = {name: _word(arrays[name], name, path) for name in _WORDS if name in arrays}
    paths, digests = texts.get("paths"), texts.get("digests")
    return EncodedImages(codes, labels, paths, sizes=sizes, digests=digests, **words)


def _write_texts(archive: zipfile.ZipFile, name: str, texts: Sequence[str]) -> None:
    """Add an array of strings to an .npz, block by block.

    NumPy gives every string the room of the longest, so that one long path among many short ones
    would take gigabytes; compressed, what is empty takes next to nothing.
    """
    kind = np.dtype(f"<U{max(1, *map(len, texts))}")
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        shape = (len(texts),)
        header = {"descr": kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        step = max(1, _BLOCK_BYTES // kind.itemsize)
        for start in range(0, len(texts), step):
            file.write(np.array(texts[start : start + step], kind).tobytes())


def _read_texts(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> list[str]:
    """Return an array of strings or of bytes in UTF-8 as a list, read block by block."""
    texts: list[str] = []
    try:
        with stored.zip.open(f"{name}.npy") as file:
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[np.lib.format.read_magic(file)]
            shape, _, kind = read_header(file)
            if kind.kind not in "US" or not kind.itemsize or len(shape) != 1:
                raise InputError(
                    f"{path}: {name}: expected a list of strings, got {kind} of shape {shape}: "
                    "store it with numpy.array(..., dtype=str)"
                )
            step = max(1, _BLOCK_BYTES // kind.itemsize)
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                block = np.frombuffer(file.read(count * kind.itemsize), kind, count)
                texts += _text(block, name, path).tolist()
            file.read()  # to the end, where the check sum is
    except DAMAGED_ARCHIVE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {name}: cannot be read ({error}): write it again") from None
    return texts


def _read_field(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    try:
        return stored[name]
    except DAMAGED_ARCHIVE as error:
        remedy = "write it again"
        if "allow_pickle" in str(error):
            error = ValueError("Python objects, which are never unpickled")
            remedy = "store it as an array of numbers or strings, as numpy.array(..., dtype=str)"
        raise InputError(f"{path}: {name}: cannot be read ({error}): {remedy}") from None


def _map_field(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> np.ndarray:
    """Return a matrix of float32 memory-mapped from an .npz, checked; any other array is read."""
    member = f"{name}.npy"
    entry = stored.zip.NameToInfo.get(member)
    if entry is None or entry.compress_type != zipfile.ZIP_STORED:
        return _read_field(stored, name, path)
    try:
        with stored.zip.open(member) as file:
            if np.lib.format.read_magic(file) != (1, 0):
                return _read_field(stored, name, path)
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
            header = file.tell()
            while file.read(_BLOCK_BYTES):  # to the end, where the check sum is
                pass
        with path.open("rb") as whole:
            whole.seek(entry.header_offset + _NAME_LENGTH_AT)
            name_length, extra_length = struct.unpack("<HH", whole.read(4))
    except DAMAGED_ARCHIVE as error:
        raise InputError(f"{path}: {name}: cannot be read ({error}): write it again") from None
    if fortran or kind != np.float32 or not np.prod(shape):
        return _read_field(stored, name, path)
    start = entry.header_offset + _NAME_LENGTH_AT + 4 + name_length + extra_length + header
    return np.memmap(path, kind, "r", start, shape)


def _text(array: np.ndarray, name: str, path: Path) -> np.ndarray:
    """Return bytes as strings, and anything else as it is."""
    try:
        array = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
        if array.dtype.kind == "U":
            "".join(array.ravel().tolist()).encode()
    except UnicodeError as error:
        raise InputError(
            f"{path}: {name}: not UTF-8 ({error}): rename what has such a name, and write it again"
        ) from None
    return array


def _word(array: np.ndarray, name: str, path: Path) -> str:
    text = _text(array, name, path)
    if text.shape or text.dtype.kind != "U":
        raise InputError(f"{path}: {name}: expected one string, got {text.dtype}")
    return str(text)


def _check_count(texts: Sequence[str], name: str, count: int, path: PathLike) -> None:
    if len(texts) != count:
        raise InputError(
            f"{path}: {name}: expected one string for each of the {count} codes, got {len(texts)}"
        )


def _check_sizes(sizes: np.ndarray, count: int, path: PathLike) -> np.ndarray:
    if sizes.dtype.kind not in "iu" or sizes.shape != (count, 2):
        raise InputError(
            f"{path}: sizes: expected width and height for each of the {count} codes, got "
            f"{sizes.dtype} of shape {sizes.shape}"
        )
    return sizes.astype(np.int32)
