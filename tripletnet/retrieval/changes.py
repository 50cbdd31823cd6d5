"""Change an index: add pictures that are new or have changed, find what is to be removed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.codes_file import EncodedImages
from tripletnet.errors import InputError
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

    Those whose own folder was named have no class of their own: they get the one of their place in
    the index, if that is where its classes come from.

    Raises
    ------
    InputError
        If they are another encoder's, or what is known of the ones is not known of the others.
    """
    images = Catalogue.of(encoded).below(index.images.root)
    paths = images.paths
    known = dict(zip(index.images.paths, index.images.digests or ()))
    digests = images.digests or [""] * len(paths)
    changed = [p for p, digest in zip(paths, digests) if p in known and known[p] != digest]
    chosen = [row for row, p in enumerate(paths) if p not in known or known[p] != digests[row]]
    labels = _labels(index.images, encoded, paths) if chosen else None
    if changed:
        index.remove(changed)
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
            )
        )
    return Added(len(chosen) - len(changed), len(changed), len(paths) - len(chosen))


def _labels(known: Catalogue, added: EncodedImages, paths: Sequence[str]) -> Optional[np.ndarray]:
    """Return the classes of images that are to be added, as far as they can be told."""
    if known.labels is None or known.labels.dtype.kind != "U":
        return added.labels
    own = [""] * len(paths) if added.labels is None else added.labels.tolist()
    if all(own):
        return added.labels
    with_class = [(path, label) for path, label in zip(known.paths, known.labels) if label]
    for depth in range(_DEEPEST):
        if with_class and all(_folder(path, depth) == label for path, label in with_class):
            return np.array([label or _folder(path, depth) for path, label in zip(paths, own)])
    return added.labels


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
    root = Path(index.images.root or ".")
    known = set(index.images.paths)
    chosen: dict[str, None] = {}
    for name in names:
        as_file = Path(os.path.relpath(name or ".", root)).as_posix() if name else ""
        # "." and ".." are no names that an index has, but folders of the disk
        as_listed = "" if set(Path(name).parts) <= {".."} else name.rstrip("/")
        readings = [
            [path for path in (name, as_file) if path in known][:1],
            _below(as_listed, index.images.paths),
            _below(as_file, index.images.paths),
        ]
        found = next((paths for paths in readings if paths), None)
        if not name or found is None:
            raise InputError(
                f"{name or 'an empty name'}: is not in the index, whose paths are relative to "
                f"{root}"
            )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _below(folder: str, paths: Sequence[str]) -> list[str]:
    """Return the paths that lie below a folder; "." is the root, and ".." what it lies in."""
    parts = folder.split("/")
    if set(parts) <= {".", ".."}:
        outside = "../" * (parts.count("..") + 1)
        return [path for path in paths if not path.startswith(outside)]
    return [path for path in paths if folder and path.startswith(f"{folder}/")]
