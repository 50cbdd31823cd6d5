"""Which files in a folder are images, of which class, and which are not."""

from __future__ import annotations

import csv
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.data.decode import IMAGE_ENDINGS
from tripletnet.errors import InputError
from tripletnet.files import PathLike, atomic_table, check_unicode, is_unicode
from tripletnet.run_files import OF_EVERY_RUN

#: How the reason begins why a file that does not claim to be an image is left out.
NO_IMAGE = "not an image by its ending"

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that is not used, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class FolderListing:
    """The image files of a data set that is a folder.

    Parameters
    ----------
    root : Path
        The folder.
    classes : list of str
        The names of the classes, numbers in them in their natural order.
    files : list of str
        Paths relative to `root`, with ``/`` between folders.
    labels : ndarray of int64, shape (N,)
        Index into `classes` for each file.
    stamps : ndarray of int64, shape (N, 2)
        Size in bytes and time of change in nanoseconds of each file.
    splits : list of str, optional
        ``"train"``, ``"validation"`` or ``"test"`` for each file, where the folder says so.
    left_out : list of LeftOut
        What else lies there. Hidden files and folders are not mentioned.
    """

    root: Path
    classes: list[str]
    files: list[str]
    labels: np.ndarray
    stamps: np.ndarray
    splits: Optional[list[str]]
    left_out: list[LeftOut]


@dataclass(frozen=True)
class ImageFile:
    """An image that was found: its path below the walk's root, size in bytes, time of change."""

    path: str
    size: int
    changed: int


def scan_folder(root: PathLike) -> FolderListing:
    """List the images below `root`, where the first level of folders names the class.

    Images may lie deeper. If there is a folder ``train`` (or ``training``) and with it ``test``
    (``testing``) or ``validation`` (``val``, ``valid``, ``dev``), these are splits and the class is
    the level below. Links are followed, but no folder is read twice. Names of classes that Unicode
    counts as one are one. Run folders that lie among the images are left out.

    Raises
    ------
    InputError
        If `root` is no folder that can be read, or its name is not valid UTF-8.
    """
    root = Path(root)
    check_unicode(root.absolute())
    try:
        with os.scandir(root):
            pass
    except OSError as error:
        raise InputError(f"{root}: cannot be read as a folder ({error.strerror})") from None
    walk = Walk(root)
    folders, strays = walk.read("")
    splits = split_folders(folders)
    class_folders = [(folder, "") for folder in folders]
    if splits:
        beside = [folder for folder in folders if folder not in splits]
        walk.leave_out(beside, "lies beside the folders of the splits")
        class_folders = []
        for folder, split in splits.items():
            below, loose = walk.read(folder)
            strays += loose
            class_folders += [(path, split) for path in below]
    walk.leave_out([file.path for file in strays], "lies in no folder of a class")

    found = []
    for folder, split in class_folders:
        files = list(walk.below(folder))
        if not files:
            walk.leave_out([folder], "a folder without images")
        name = unicodedata.normalize("NFC", folder.rpartition("/")[2])
        found += [(file, name, split) for file in files]
    classes = sorted({name for _, name, _ in found}, key=_natural)
    number = {name: label for label, name in enumerate(classes)}
    return FolderListing(
        root,
        classes,
        [file.path for file, _, _ in found],
        np.array([number[name] for _, name, _ in found], np.int64),
        np.array([(file.size, file.changed) for file, _, _ in found], np.int64).reshape(-1, 2),
        [split for _, _, split in found] if splits else None,
        walk.left_out,
    )


def write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    """Write a table of the files that could not be used and of the reasons; none where all could.

    An earlier table at `path` is replaced or removed.
    """
    if not left_out:
        path.unlink(missing_ok=True)
        return
    with atomic_table(path) as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(["path", "reason"])
        table.writerows([item.path, item.reason] for item in left_out)


def describe_left_out(left_out: Sequence[LeftOut]) -> list[str]:
    """Return a line for each reason: how many were left out for it, and one of them."""
    counts = Counter(item.reason for item in left_out)
    first = {item.reason: item.path for item in reversed(left_out)}
    return [
        f"left out, {reason}: {count} ({first[reason]}{' and others' if count > 1 else ''})"
        for reason, count in counts.most_common()
    ]


def split_folders(folders: Sequence[str]) -> dict[str, str]:
    """Return which folders are splits: none, unless there is one to learn from and another."""
    splits = {
        folder: _SPLIT_FOLDERS[folder.lower()]
        for folder in folders
        if folder.lower() in _SPLIT_FOLDERS
    }
    return splits if "train" in splits.values() and len(set(splits.values())) > 1 else {}


def _natural(name: str) -> tuple[list[object], str]:
    """Return a key that sorts class 2 before class 10."""
    parts = re.split(r"(\d+)", name.casefold())
    return [int(part) if part.isdecimal() else part for part in parts], name


class Walk:
    """List folders below `root`, each once, and gather what is left out."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out: list[LeftOut] = []
        # a link to a parent would bring in the whole disk
        self.seen = {_identity(folder.stat()) for folder in [root, *root.resolve().parents]}

    def leave_out(self, paths: Sequence[str], reason: str) -> None:
        """Note that `paths` are not used."""
        self.left_out += [LeftOut(path, reason) for path in paths]

    def below(self, folder: str) -> Iterator[ImageFile]:
        """Yield the images at any depth below `folder`."""
        pending = [folder]
        while pending:
            folders, files = self.read(pending.pop())
            pending += reversed(folders)
            yield from files

    def read(self, folder: str) -> tuple[list[str], list[ImageFile]]:
        """Return the folders and the images that lie directly in `folder`, sorted by name."""
        folders: list[str] = []
        files: list[ImageFile] = []
        try:
            with os.scandir(self.root / folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            self.leave_out([folder], f"cannot be read ({error.strerror})")
            return folders, files
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not is_unicode(path):
                shown = os.fsencode(path).decode("utf-8", "replace")
                self.leave_out([shown], "its name is not valid UTF-8: rename it")
                continue
            ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - much faster than Path
            try:
                status = entry.stat()
                if stat.S_ISDIR(status.st_mode):
                    if _identity(status) in self.seen:
                        self.leave_out([path], "a link to a folder that is read elsewhere")
                    elif all(os.path.exists(f"{entry.path}/{name}") for name in OF_EVERY_RUN):  # noqa: PTH110
                        self.leave_out([path], "a run folder, whose pictures are not yours")
                    else:
                        self.seen.add(_identity(status))
                        folders.append(path)
                elif ending not in IMAGE_ENDINGS:
                    self.leave_out([path], f"{NO_IMAGE} ({ending or 'none'})")
                elif not stat.S_ISREG(status.st_mode):
                    self.leave_out([path], "not a regular file")
                else:
                    files.append(ImageFile(path, status.st_size, status.st_mtime_ns))
            except OSError as error:
                lost = entry.is_symlink() and isinstance(error, FileNotFoundError)
                reason = f"cannot be read ({error.strerror})"
                self.leave_out([path], "a link that leads nowhere" if lost else reason)
        return folders, files


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
