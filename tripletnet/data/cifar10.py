"""CIFAR-10 in its binary format: found on disk or downloaded, checked, read. No pickle."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tripletnet.data.download import download as fetch
from tripletnet.data.images import ImageSet, Splits
from tripletnet.errors import InputError
from tripletnet.files import PathLike, cache_folder

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
SIZE = 170_052_171
CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

_FOLDER = "cifar-10-batches-bin"
_ARCHIVE = "cifar-10-binary.tar.gz"
_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_TEST_FILES = ("test_batch.bin",)
_BATCH_FILES = _TRAIN_FILES + _TEST_FILES
_CLASS_FILE = "batches.meta.txt"
_IMAGES_PER_FILE = 10_000
_RECORD_BYTES = 1 + 3 * 32 * 32  # the label, then the red, the green and the blue plane
_REMEDY = f"get it again from {URL}"


def load_cifar10(
    root: PathLike | None = None,
    *,
    download: bool = True,
    progress: bool = True,
    url: str = URL,
    md5: str = MD5,
    size: int | None = SIZE,
) -> Splits:
    """Load CIFAR-10: 50,000 images to train on and 10,000 to test on, of ten classes.

    Parameters
    ----------
    root : str or Path, optional
        The folder ``cifar-10-batches-bin``, its parent, the file ``cifar-10-binary.tar.gz``, or
        the folder that this lies in. Default: what the environment variable TRIPLETNET_DATA says,
        in the same forms, else the user's cache.
    download : bool, default True
        If neither `root` nor TRIPLETNET_DATA is given and the cache is empty, download the archive
        (170 MB) into the cache.
    progress : bool, default True
        Show the download's progress on standard error, if that is a terminal.
    url, md5, size : str, str, int or None
        The archive's address, MD5 and length in bytes. Default: those of its home.

    Returns
    -------
    Splits
        `train` and `test` with pixels (50000, 32, 32, 3) and (10000, 32, 32, 3) uint8 RGB.

    Raises
    ------
    InputError
        If CIFAR-10 is not where it was said to be, or a file of it is missing or damaged.
    DownloadError
        If it cannot be downloaded.

    Notes
    -----
    The batch files are checked by their length, their labels and the number of images of each
    class: 5,000 in `train` and 1,000 in `test`. The pixels may come from another copy, and the
    images may lie in another order. An archive is read as a stream, without being extracted.

    References
    ----------
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    source = find_cifar10(root)
    if source is None:
        place = _given(root)
        if place is not None:
            raise InputError(
                f"{place}: no CIFAR-10 there; name the folder {_FOLDER}, its parent, or "
                f"{_ARCHIVE} (the binary version; the Python version is not read)"
            )
        if not download:
            raise InputError(
                f"{_cache()}: no CIFAR-10 there; allow the download, or name the folder {_FOLDER} "
                f"as root or in TRIPLETNET_DATA"
            )
        source = fetch(url, _cache() / _ARCHIVE, md5, size, progress=progress)
    return _read(source)


def find_cifar10(root: PathLike | None = None) -> Path | None:
    """Find CIFAR-10 on disk, without looking into its files.

    Parameters
    ----------
    root : str or Path, optional
        Where to look, as in `load_cifar10`.

    Returns
    -------
    Path or None
        The folder of the batch files or the archive, or None where there is neither.
    """
    place = _given(root) or _cache()
    if place.is_file():
        return place
    if place.name == _FOLDER and place.is_dir():
        return place
    if any((place / name).is_file() for name in _BATCH_FILES):
        return place
    if (place / _FOLDER).is_dir():
        return place / _FOLDER
    if (place / _ARCHIVE).is_file():
        return place / _ARCHIVE
    return None


def _given(root: PathLike | None) -> Path | None:
    """Return the place that the user named, if any."""
    named = root or os.environ.get("TRIPLETNET_DATA")
    return Path(named) if named else None


def _cache() -> Path:
    return cache_folder() / "cifar-10"


def _read(source: Path) -> Splits:
    files = dict(_archive_files(source) if source.is_file() else _folder_files(source))
    for name in _BATCH_FILES:
        if name not in files:
            raise InputError(f"{source / name}: no such file; {_REMEDY}")
    classes = _class_names(source, files)
    return Splits(
        train=_image_set(source, files, _TRAIN_FILES, classes),
        test=_image_set(source, files, _TEST_FILES, classes),
    )


def _folder_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in (*_BATCH_FILES, _CLASS_FILE):
        path = folder / name
        try:
            if path.is_file():
                _check_length(path, path.stat().st_size)
                yield name, path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); allow it or {_REMEDY}"
            ) from None


def _archive_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    names = {f"{_FOLDER}/{name}": name for name in (*_BATCH_FILES, _CLASS_FILE)}
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as members:
            for member in members:
                name = names.get(str(PurePosixPath(member.name)))
                file = members.extractfile(member) if name and member.isreg() else None
                if name and file:
                    _check_length(archive / name, member.size)
                    yield name, file.read()
            while stream.read(1 << 20):
                pass  # only at its end does gzip verify its checksum
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise InputError(
            f"{archive}: damaged or no .tar.gz archive ({error}); remove it and {_REMEDY}"
        ) from None


def _check_length(where: Path, length: int) -> None:
    expected = _IMAGES_PER_FILE * _RECORD_BYTES
    if where.name != _CLASS_FILE and length != expected:
        raise InputError(f"{where}: {length:,} bytes long, not {expected:,}; {_REMEDY}")


def _class_names(source: Path, files: Mapping[str, bytes]) -> Sequence[str]:
    if _CLASS_FILE not in files:
        return CLASSES
    lines = files[_CLASS_FILE].decode("utf-8", "replace").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != len(CLASSES) or len(set(names)) != len(CLASSES):
        raise InputError(
            f"{source / _CLASS_FILE}: does not name ten classes, one a line; {_REMEDY}, or remove "
            "it to use the known names"
        )
    return names


def _image_set(
    source: Path, files: Mapping[str, bytes], names: Sequence[str], classes: Sequence[str]
) -> ImageSet:
    records = [np.frombuffer(files[name], np.uint8).reshape(-1, _RECORD_BYTES) for name in names]
    labels = np.concatenate([record[:, 0] for record in records]).astype(np.int64)
    _check_labels(source, names, labels, classes)
    pixels = np.empty((len(labels), 32, 32, 3), np.uint8)
    for block, record in zip(np.split(pixels, len(names)), records):
        planes = record[:, 1:].reshape(-1, 3, 32, 32)
        for colour in range(3):  # four times as fast as one transposed copy
            block[..., colour] = planes[:, colour]
    return ImageSet("CIFAR-10", pixels, labels, classes)


def _check_labels(
    source: Path, names: Sequence[str], labels: np.ndarray, classes: Sequence[str]
) -> None:
    for image in np.flatnonzero(labels >= len(classes)):
        number, row = divmod(image, _IMAGES_PER_FILE)
        raise InputError(
            f"{source / names[number]}: image {row} has the label {labels[image]}, not one from 0 "
            f"to 9; {_REMEDY}"
        )
    expected = len(labels) // len(classes)
    counts = np.bincount(labels, minlength=len(classes))
    for label in np.flatnonzero(counts != expected):
        where = " to ".join(sorted({names[0], names[-1]}))
        raise InputError(
            f"{source / where}: {counts[label]:,} images of class {label} ({classes[label]}), not "
            f"{expected:,}; {_REMEDY}"
        )
