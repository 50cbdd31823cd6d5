"""Change an index: add pictures that are new or have changed, find what is to be removed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.files import absolute
from tripletnet.retrieval.catalogue import Catalogue
from tripletnet.retrieval.index import Index

_DEEPEST = 3  # folders between an index's root and its classes


@dataclass(frozen=True)
class Added:
    """How many pictures were new, have changed, and were in the index as they are."""

    new: int
    renewed: int
    unchanged: int

    def __str__(self) -> str:
        return (
            f"{self.new:,} pictures added, {self.renewed:,} renewed, "
            f"{self.unchanged:,} were there already"
        )


def add_pictures(index: Index, encoded: EncodedImages) -> Added:
    """Add encoded pictures that are new, and those whose content has changed, to an index.

    Where an index's classes are the names of folders at one depth, what lies in one of these is of
    its class, and so is what has no class of its own; for all else the folder below the one that
    was named is the class.

    Raises
    ------
    InputError
        If they are another encoder's, or what is known of the ones is not known of the others. The
        index is then as it was.
    """
    images = Catalogue.of(encoded).below(index.images.root)
    paths = _as_known(index.images, images)
    known = dict(zip(index.images.paths, index.images.digests or ()))
    digests = images.digests or [""] * len(paths)
    rows: dict[str, int] = {}
    for row, path in enumerate(paths):
        rows.setdefault(path, row)  # links may lead to one picture twice
    changed = [p for p, row in rows.items() if p in known and known[p] != digests[row]]
    chosen = [row for p, row in rows.items() if p not in known or known[p] != digests[row]]
    labels = _labels(index.images, images.labels, paths) if chosen else None
    if chosen:
        index.add(
            replace(
                encoded,
                codes=encoded.codes[chosen],
                labels=None if labels is None else labels[chosen],
                paths=[paths[row] for row in chosen],
                digests=[digests[row] for row in chosen],
                sizes=None if encoded.sizes is None else encoded.sizes[chosen],
                root=images.root,
            ),
            replacing=changed,
        )
    return Added(len(chosen) - len(changed), len(changed), len(rows) - len(chosen))


def _as_known(known: Catalogue, added: Catalogue) -> list[str]:
    """Return the paths of `added`; of a picture that `known` has by another name, its name there.

    A folder has another name where a link leads to it.
    """
    names = set(known.paths)
    if known.root is None or added.root is None or names.issuperset(added.paths):
        return added.paths
    by_place = dict(zip(known.places(), known.paths))
    return [
        path if path in names else by_place.get(place, path)
        for path, place in zip(added.paths, added.places())
    ]


def _labels(
    known: Catalogue, labels: Optional[np.ndarray], paths: Sequence[str]
) -> Optional[np.ndarray]:
    """Return the classes of images that are to be added, as far as they can be told."""
    if known.labels is None or known.labels.dtype.kind != "U":
        return labels
    # as strings: the number 0 is a class
    own = [""] * len(paths) if labels is None else labels.astype(str).tolist()
    with_class = [(path, label) for path, label in zip(known.paths, known.labels) if label]
    for depth in range(_DEEPEST):
        if with_class and all(_folder(path, depth) == label for path, label in with_class):
            classes = {label for _, label in with_class}
            places = [_folder(path, depth) for path in paths]
            return np.array(
                [place if place in classes else label or place for place, label in zip(places, own)]
            )
    return labels


def _folder(path: str, depth: int) -> str:
    """Return one of the folders of a relative path; nothing if it has none there."""
    folders = path.split("/")[:-1]
    return folders[depth] if depth < len(folders) and ".." not in folders else ""


def paths_named(index: Index, names: Sequence[str]) -> list[str]:
    """Return the paths in the index that are meant: as it has them, or files and folders.

    Raises
    ------
    InputError
        If a name means none of them.
    """
    root = os.path.realpath(index.images.root or ".")
    known = set(index.images.paths)
    chosen: dict[str, None] = {}
    for name in names:
        as_file = Path(os.path.relpath(absolute(name), root)).as_posix() if name else ""
        # "." and ".." are no names that an index has, but folders of the disk
        as_listed = "" if set(Path(name).parts) <= {".."} else name.rstrip("/")
        found = (
            [path for path in (name, as_file) if path in known][:1]
            or _below(as_listed, index.images.paths)
            or _below(as_file, index.images.paths)
            or _in_place(name, index.images)
        )
        if not name or not found:
            raise InputError(
                f"{name or 'an empty name'}: is not in the index, whose paths are relative to "
                f"{index.images.root or '.'}"
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _in_place(name: str, images: Catalogue) -> list[str]:
    """Return the paths of what lies at, or below, a place that links may lead to."""
    path = absolute(name)
    places = (str(path.parent.resolve() / path.name), f"{path.resolve()}/")
    pairs = zip(images.paths, images.places())
    return [path for path, place in pairs if place == places[0] or place.startswith(places[1])]


def _below(folder: str, paths: Sequence[str]) -> list[str]:
    """Return the paths that lie below a folder; "." is the root, and ".." what it lies in."""
    parts = folder.split("/")
    if set(parts) <= {".", ".."}:
        outside = "../" * (parts.count("..") + 1)
        return [path for path in paths if not path.startswith(outside)]
    return [path for path in paths if folder and path.startswith(f"{folder}/")]
