"""What an index knows of its images, besides their codes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Optional

import numpy as np

from tripletnet.codes import check_labels
from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.files import PathLike


@dataclass(frozen=True)
class Catalogue:
    """What an index knows of its images, besides their codes.

    Attributes
    ----------
    paths : list of str
        Where each image lies, relative to `root`; no two are the same.
    labels : ndarray of int or str, shape (N,), or None
        The class of each; an empty string where it is not known.
    digests : list of str, or None
        The SHA-256 of each file's content, in hex.
    sizes : ndarray of int32, shape (N, 2), or None
        Width and height of each image in its file, in pixels.
    root : str or None
        The folder that `paths` are relative to.
    fingerprint : str or None
        Tells which encoder made the codes, see :mod:`tripletnet.networks.fingerprint`.
    run : str or None
        The run folder of the encoder.
    precision : str or None
        In which numbers the encoder computed: ``fp32``, ``int8`` or, where images were added in the
        other, ``mixed``.
    """

    paths: list[str]
    labels: Optional[np.ndarray] = None
    digests: Optional[list[str]] = None
    sizes: Optional[np.ndarray] = None
    root: Optional[str] = None
    fingerprint: Optional[str] = None
    run: Optional[str] = None
    precision: Optional[str] = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def classes(self) -> int:
        """How many classes there are among those images whose class is known."""
        return 0 if self.labels is None else len(set(self.labels.tolist()) - {""})

    @classmethod
    def of(cls, images: EncodedImages) -> Catalogue:
        """Return what is known of encoded images.

        Raises
        ------
        InputError
            If they have no paths, two have the same, or there are not as many as codes.
        """
        if images.paths is None:
            raise InputError(
                "paths: these codes have none, and an index names its images by them: store the "
                "codes with paths=..."
            )
        paths, count = list(map(str, images.paths)), len(images)
        labels = None if images.labels is None else check_labels(images.labels, count)
        digests = None if images.digests is None else list(images.digests)
        for name, values in (("paths", paths), ("digests", digests), ("sizes", images.sizes)):
            if values is not None and len(values) != count:
                raise InputError(f"{name}: {len(values)} for {count} codes; give one for each")
        for path in paths:
            if not _can_be_stored(path):
                raise InputError(f"paths: {path!r} can be no name of a file; rename it")
        if len(set(paths)) < count:
            twice = Counter(paths).most_common(1)[0][0]
            raise InputError(f"paths: {twice} is there twice; leave one of them out")
        sizes = None if images.sizes is None else np.asarray(images.sizes, np.int32)
        words = (images.root, images.fingerprint, images.run, images.precision)
        return cls(paths, labels, digests, sizes, *words)

    def rows_of(self, paths: Iterable[PathLike]) -> list[int]:
        """Return the row of each path.

        Raises
        ------
        InputError
            If one of them is not there.
        """
        rows = {path: row for row, path in enumerate(self.paths)}
        try:
            return [rows[str(path)] for path in paths]
        except KeyError as error:
            raise InputError(
                f"paths: {error.args[0]} is not in the index; paths are relative to {self.root}"
            ) from None

    def take(self, rows: np.ndarray) -> Catalogue:
        """Return these rows alone."""
        numbers = rows.tolist()
        return replace(
            self,
            paths=[self.paths[row] for row in numbers],
            labels=None if self.labels is None else self.labels[rows],
            digests=None if self.digests is None else [self.digests[row] for row in numbers],
            sizes=None if self.sizes is None else self.sizes[rows],
        )

    def joined(self, other: Catalogue) -> Catalogue:
        """Return these images and `other`, whose paths are made relative to this root.

        Raises
        ------
        InputError
            If they are of another encoder, one of them is there already, or what is known of
            the ones is not known of the others.
        """
        if self.fingerprint != other.fingerprint:
            raise InputError(
                f"fingerprint: the index holds codes of encoder {self.fingerprint} and "
                f"these are of {other.fingerprint}: encode them with the run of the index"
            )
        for name in ("root", "digests", "sizes"):
            if (getattr(self, name) is None) != (getattr(other, name) is None):
                raise InputError(
                    f"{name}: known of the index's images or of those to add, but not of both: "
                    "encode them in one way"
                )
        other = other.below(self.root)
        known = set(self.paths)
        for path in other.paths:
            if path in known:
                raise InputError(f"paths: {path} is in the index already: remove it first")
        return replace(
            self,
            paths=self.paths + other.paths,
            labels=_joined_labels(self, other),
            digests=None if self.digests is None else self.digests + (other.digests or []),
            sizes=None if self.sizes is None else np.concatenate([self.sizes, other.sizes]),
            precision=self.precision if self.precision == other.precision else "mixed",
        )

    def below(self, root: Optional[str]) -> Catalogue:
        """Return the same images with paths that are relative to `root`."""
        if root is None or self.root is None or Path(root) == Path(self.root):
            return self
        here, there = os.path.realpath(self.root), os.path.realpath(root)
        paths = [os.path.relpath(Path(here, path), there) for path in self.paths]
        return replace(self, paths=paths, root=root)

    def places(self) -> list[str]:
        """Return where each image lies: its path from the root of the disk on, without links."""
        folders: dict[str, str] = {}
        places = []
        for path in self.paths:
            folder, _, name = path.rpartition("/")
            if folder not in folders:
                folders[folder] = os.path.realpath(Path(self.root or "", folder))
            places.append(f"{folders[folder]}/{name}")
        return places

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the images' fields as arrays without Python objects, for a file."""
        arrays = {"paths": _packed(self.paths)}
        if self.labels is not None:
            arrays["labels"] = self.labels
        if self.digests is not None:
            arrays["digests"] = _packed(self.digests)
        if self.sizes is not None:
            arrays["sizes"] = self.sizes
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], **words: Optional[str]) -> Catalogue:
        """Return what :meth:`to_arrays` took apart, with root, fingerprint, run and precision."""
        digests = _unpacked(arrays["digests"]) if "digests" in arrays else None
        paths = _unpacked(arrays["paths"])
        return cls(paths, arrays.get("labels"), digests, arrays.get("sizes"), **words)


def _joined_labels(first: Catalogue, second: Catalogue) -> Optional[np.ndarray]:
    if first.labels is None and second.labels is None:
        return None
    parts = [np.full(len(c), "") if c.labels is None else c.labels for c in (first, second)]
    if parts[0].dtype.kind != parts[1].dtype.kind:
        parts = [part.astype(str) for part in parts]
    return np.concatenate(parts)


def _can_be_stored(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False


def _packed(texts: list[str]) -> np.ndarray:
    """Return strings as bytes, each ended by a NUL, which no file's name can hold."""
    joined = "".join(f"{text}\0" for text in texts)
    return np.frombuffer(joined.encode("utf-8", "surrogateescape"), np.uint8)


def _unpacked(data: np.ndarray) -> list[str]:
    return data.tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
