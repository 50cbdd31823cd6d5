"""Pictures of any folder, or of a data set whose labels are ignored, to learn views from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.data.cache import cached_images
from tripletnet.data.decode import ImageError
from tripletnet.data.examples import LoadedExamples
from tripletnet.data.images import ImageSet
from tripletnet.data.pictures import list_pictures
from tripletnet.data.scan import NO_IMAGE, LeftOut, describe_left_out
from tripletnet.data.source import NAMED, load_data, refuse_root_beside
from tripletnet.data.split import check_fractions, split_by_hash
from tripletnet.data.view_set import ViewSet
from tripletnet.errors import InputError
from tripletnet.files import PathLike


def load_unlabelled(
    name: str,
    *,
    root: Optional[PathLike] = None,
    size: int = 64,
    fit: str = "crop",
    validation: float = 0.1,
    seed: int = 0,
    split: Optional[Mapping[str, str]] = None,
    strict: bool = False,
    show_progress: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> LoadedExamples[ViewSet]:
    """Load pictures to learn views from, each once however often it is there.

    Parameters
    ----------
    name : str
        A folder, read with all that lies below it; or ``cifar10`` or ``digits``, whose training
        images are taken.
    validation : float
        The share of the pictures to hold out.
    seed : int
        Decides which.
    split : mapping of str to str, optional
        The part of each picture by its content hash, as an earlier run had it.
    strict : bool
        Make the first picture that cannot be used an error.
    root, size, fit, show_progress, progress
        As for :func:`tripletnet.data.load_data`.

    Raises
    ------
    InputError
        If there is no such data set, `root` is given for another one than ``cifar10``, or there are
        fewer than two pictures to learn from.
    """
    refuse_root_beside(name, root)
    check_fractions(validation)
    left_out: list[LeftOut] = []
    recipe: dict[str, Any] = {
        "kind": name,
        "positives": "augment",
        "validation": validation,
    }
    if name in NAMED:
        images = load_data(name, root=root, show_progress=show_progress).splits.train
        hashes = [
            hashlib.sha256(images.take(np.array([i])).tobytes()).hexdigest()
            for i in range(len(images))
        ]
    elif Path(name).is_dir():
        images, left_out = _folder(name, size, fit, progress)
        hashes = list(images.digests or ())
        recipe.update(kind="folder", size=size, fit=fit)
    else:
        raise InputError(
            f"DATA '{name}' is neither a folder of pictures nor one of {', '.join(NAMED)}"
        )
    if strict:
        for item in left_out:
            if not item.reason.startswith(NO_IMAGE):
                raise ImageError(item.reason, Path(name) / item.path)
    notices = describe_left_out(left_out)
    _, first = np.unique(hashes, return_index=True)
    if len(first) < len(hashes):
        notices.append(
            f"pictures that are copies of others, of which each counts once: "
            f"{len(hashes) - len(first):,}"
        )
    different = images.subset(np.sort(first))
    hashes = [hashes[place] for place in np.sort(first)]
    if split is None:
        labels = np.zeros(len(hashes), np.int64)
        parts: Sequence[str] = split_by_hash(
            hashes, labels, validation=validation, test=0.0, seed=seed
        )
    else:
        parts = [split.get(content, "train") for content in hashes]
    held = np.array(parts) == "validation"
    if np.count_nonzero(held) == 1:
        notices.append(
            "one picture would be held out, from which no other can be told: none is held out"
        )
        held[:] = False
        parts = ["train"] * len(parts)
    if np.count_nonzero(~held) < 2:
        raise InputError(
            f"{name}: {np.count_nonzero(~held)} different pictures to learn from, but it takes "
            "two: add pictures"
        )
    return LoadedExamples(
        ViewSet(different.subset(np.flatnonzero(~held))),
        ViewSet(different.subset(np.flatnonzero(held))) if held.any() else None,
        dict(zip(hashes, parts)),
        left_out,
        notices,
        recipe,
    )


def _folder(
    name: str, size: int, fit: str, progress: Optional[Callable[[int, int], None]]
) -> tuple[ImageSet, list[LeftOut]]:
    """Return the pictures below a folder, and what cannot be used."""
    if size < 1:
        raise InputError(f"size {size} x {size}: must be 1 pixel or more")
    listing = list_pictures([name])
    found = cached_images(
        listing.root,
        listing.files,
        listing.stamps,
        size=(size, size),
        fit=fit,
        progress=progress,
    )
    usable = np.flatnonzero(found.rows >= 0)
    images = ImageSet(
        listing.root.name,
        found.pixels,
        np.zeros(len(usable), np.int64),
        (),
        found.rows[usable],
        [listing.files[place] for place in usable],
        [found.hashes[place] for place in usable],
    )
    failures = [LeftOut(listing.files[p], why) for p, why in sorted(found.failures.items())]
    return images, listing.left_out + failures
