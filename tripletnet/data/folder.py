"""A folder of images as a data set: listed, decoded, checked and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional, Union

import numpy as np

from tripletnet.data.cache import CachedImages, cached_images
from tripletnet.data.copies import in_several_classes, in_stricter_parts
from tripletnet.data.decode import MAX_PIXELS, ImageError
from tripletnet.data.images import ImageSet, Splits
from tripletnet.data.scan import NO_IMAGE, FolderListing, LeftOut, describe_left_out, scan_folder
from tripletnet.data.split import HELD_OUT, assign_parts, check_fractions, choose_held_out
from tripletnet.errors import InputError, some_of
from tripletnet.files import PathLike

_UNSEEN = "unseen"
_MOVED = "moved"


@dataclass(frozen=True)
class FolderData:
    """A data set made of a folder.

    Parameters
    ----------
    splits : Splits
        The images of the classes to learn, in their parts; the test part may be empty. All share
        one memory-mapped cache.
    held_out : ImageSet, optional
        The images of the classes that were kept out.
    unseen : ImageSet, optional
        Images that the given split does not know.
    left_out : list of LeftOut
        What is not used, and why.
    lonely : list of str
        Classes with one image to learn from, which can serve as diff only.
    copies : int
        How many images are copies of another one in the same part.
    split : dict of str to str
        The part of each image by its content hash: ``"train"``, ``"validation"``, ``"test"`` or
        ``"held_out"``.
    """

    splits: Splits
    held_out: Optional[ImageSet]
    unseen: Optional[ImageSet]
    left_out: list[LeftOut]
    lonely: list[str]
    copies: int
    split: dict[str, str]

    def notices(self) -> list[str]:
        """Return what the user should know of the folder, a line each."""
        lines = describe_left_out(self.left_out)
        if self.lonely:
            lines.append(
                "classes with one image to learn from, which serves as a different one only: "
                f"{len(self.lonely)} ({some_of(self.lonely)})"
            )
        train, validation, test = self.splits.train, self.splits.validation, self.splits.test
        held = {"validation": np.zeros(0, int) if validation is None else validation.labels}
        held["test"] = test.labels
        untaught = np.setdiff1d(np.concatenate(list(held.values())), train.labels)
        if len(untaught):
            names = some_of([train.classes[label] for label in untaught])
            lines.append(f"classes without an image to learn from: {len(untaught)} ({names})")
        for part, labels in held.items():
            absent = np.setdiff1d(train.labels, labels)
            if len(train) and not len(labels):
                lines.append(f"no images for {part}")
            elif len(absent):
                names = some_of([train.classes[label] for label in absent])
                lines.append(f"classes without an image for {part}: {len(absent)} ({names})")
        if len(train) and 0 < len(held["validation"]) == len(np.unique(held["validation"])):
            lines.append(
                "no class has two images for validation, so nothing tells which weights are best "
                "and the last ones are taken: add images, or give validation a larger share"
            )
        if self.copies:
            lines.append(f"images that are copies of others in the same part: {self.copies}")
        if self.unseen is not None:
            lines.append(f"images that the given split does not know: {len(self.unseen)}")
        return lines


def load_folder(
    root: PathLike,
    *,
    size: Union[int, tuple[int, int]] = 64,
    fit: str = "crop",
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    hold_out_classes: Union[int, Sequence[str], None] = None,
    split: Optional[Mapping[str, str]] = None,
    strict: bool = False,
    max_pixels: int = MAX_PIXELS,
    cache: Optional[PathLike] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> FolderData:
    """Load a folder with one folder of images a class.

    What cannot be used is left out and named. An image that lies in several classes is left out
    of all; a copy, in train, of an image in validation or test is left out of train.

    Parameters
    ----------
    root : str or Path
        See `tripletnet.data.scan.scan_folder` for how it may be laid out.
    size : int or (int, int)
        Height and width to bring the images to.
    fit : {"crop", "letterbox", "stretch"}
        See `tripletnet.data.resize.resize_image`.
    validation, test : float
        Fractions of each class, see `tripletnet.data.split.split_by_hash`. Where the folder has
        such a part, that is used; where it has ``train`` but lacks one, it is cut from train.
    seed : int
        For the split and the choice of the classes to hold out.
    hold_out_classes : int or sequence of str, optional
        Classes to keep out of all parts, or how many.
    split : mapping of str to str, optional
        The split of an earlier run, by content hash. It stands in place of the folder's own parts
        and of the parameters that make one; those parts still tell which copies are left out, so
        that a folder that has not changed gives the images of the earlier run.
    strict : bool
        Make the first thing that would be left out an error, but for files that do not claim to
        be images.
    max_pixels : int
        Images of more pixels are left out.
    cache : str or Path, optional
        Where decoded images are kept. Default: ``images`` in the user's cache folder.
    progress : callable, optional
        Called with how many of how many images have been decoded.

    Raises
    ------
    InputError
        If there are fewer than two classes, no class to learn from has two images, the classes to
        hold out do not exist, or `strict` is set and an image cannot be used.
    """
    shape = (size, size) if isinstance(size, int) else size
    if min(shape) < 1:
        raise InputError(f"size {shape[0]} x {shape[1]}: must be 1 pixel or more")
    listing = scan_folder(root)
    if strict:
        _refuse(listing.root, listing.left_out)
    _require_classes(listing, range(len(listing.classes)), listing.left_out)
    if split is None:  # nothing is decoded for what cannot be had of all files
        if listing.splits is None:
            check_fractions(validation, test)
        choose_held_out(listing.classes, listing.labels, hold_out_classes, seed, listing.splits)
    images = cached_images(
        listing.root,
        listing.files,
        listing.stamps,
        size=shape,
        fit=fit,
        max_pixels=max_pixels,
        cache=cache,
        progress=progress,
    )
    reasons = {**_misleading(listing, images), **images.failures}
    left_out = listing.left_out + [
        LeftOut(listing.files[position], reason) for position, reason in sorted(reasons.items())
    ]
    if strict:
        _refuse(listing.root, left_out)
    usable = np.setdiff1d(np.arange(len(listing.files)), list(reasons))
    labels = listing.labels[usable]
    hashes = [images.hashes[position] for position in usable]
    present = set(labels.tolist())
    left_out += [
        LeftOut(name, "a class without a usable image")
        for label, name in enumerate(listing.classes)
        if label not in present
    ]
    _require_classes(listing, sorted(present), left_out)

    if split is None:
        given = None if listing.splits is None else [listing.splits[p] for p in usable]
        held = choose_held_out(listing.classes, labels, hold_out_classes, seed, given) & present
        parts = assign_parts(hashes, labels, given, held, validation, test, seed)
    else:
        parts = np.array([split.get(content, _UNSEEN) for content in hashes], dtype=object)
        held = _held_out_classes(labels, parts)
        never_learnt = np.isin(labels, list(held))
        parts[never_learnt & (parts == _UNSEEN)] = HELD_OUT
        parts[~never_learnt & (parts == HELD_OUT)] = _UNSEEN
        moved = never_learnt & (parts != HELD_OUT)
        parts[moved] = _MOVED
        left_out += [
            LeftOut(listing.files[position], "lies in a class held out, and was learnt in another")
            for position in usable[moved]
        ]
    known = sorted(present - held)

    def image_set(part: str, chosen: Sequence[int]) -> ImageSet:
        picked = np.flatnonzero(parts == part)
        return ImageSet(
            listing.root.resolve().name,
            images.pixels,
            np.searchsorted(chosen, labels[picked]),
            [listing.classes[label] for label in chosen],
            images.rows[usable[picked]],
            [listing.files[position] for position in usable[picked]],
        )

    train, validation_set, test_set, unseen = (
        image_set(part, known) for part in ("train", "validation", "test", _UNSEEN)
    )
    images_a_class = np.bincount(train.labels, minlength=len(known))
    if split is None and images_a_class.max() < 2:
        raise InputError(
            f"{listing.root}: no class has two images to learn from, so nothing shows what is "
            "similar: add images"
        )
    return FolderData(
        Splits(train, test_set, validation_set if len(validation_set) else None),
        image_set(HELD_OUT, sorted(held)) if held else None,
        unseen if len(unseen) else None,
        left_out,
        [train.classes[label] for label in np.flatnonzero(images_a_class == 1)],
        len(hashes) - len(set(hashes)),
        {content: part for content, part in zip(hashes, parts) if part not in (_UNSEEN, _MOVED)},
    )


def _held_out_classes(labels: np.ndarray, parts: np.ndarray) -> set[int]:
    """Return the classes that an earlier split holds out: as most of their images that it knows.

    Single images may have been moved to another class since.
    """
    length = int(labels.max(initial=-1)) + 1
    held = np.bincount(labels[parts == HELD_OUT], minlength=length)
    known = np.bincount(labels[parts != _UNSEEN], minlength=length)
    return set(np.flatnonzero(2 * held > known).tolist())


def _refuse(root: Path, left_out: Sequence[LeftOut]) -> None:
    """Raise for the first image that is left out; other files may lie among them."""
    for item in left_out:
        if not item.reason.startswith(NO_IMAGE):
            raise ImageError(item.reason, root / item.path)


def _require_classes(
    listing: FolderListing, labels: Sequence[int], left_out: Sequence[LeftOut]
) -> None:
    if len(labels) >= 2:
        return
    found = f"one class ('{listing.classes[labels[0]]}')" if labels else "no class"
    others = "; ".join(["", *describe_left_out(left_out)])
    raise InputError(
        f"{listing.root}: {found} of images to learn from, but it takes two: put the images of "
        f"each class into a folder of its own{others}"
    )


def _misleading(listing: FolderListing, images: CachedImages) -> dict[int, str]:
    """Return which images have copies that forbid their use, and the reason."""
    usable = np.flatnonzero(images.rows >= 0).tolist()
    hashes = [images.hashes[position] for position in usable]
    reasons = {}
    if listing.splits is not None:
        parts = [listing.splits[position] for position in usable]
        for i, part in in_stricter_parts(hashes, parts).items():
            reasons[usable[i]] = f"a copy of an image in {part}"
    for i, labels in in_several_classes(hashes, listing.labels[usable].tolist()).items():
        names = ", ".join(listing.classes[label] for label in labels)
        reasons[usable[i]] = f"the same image lies in several classes: {names}"
    return reasons
