"""Files of triplets and of pairs: decoded, and split so that no picture is on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Callable, Optional

import numpy as np

from tripletnet.data.cache import cached_images
from tripletnet.data.decode import ImageError
from tripletnet.data.examples import LoadedExamples
from tripletnet.data.images import ImageSet
from tripletnet.data.judged import IncompleteRows, JudgedSet
from tripletnet.data.pair_set import PairSet
from tripletnet.data.path_table import PathTable, read_path_table
from tripletnet.data.scan import LeftOut
from tripletnet.data.split import check_fractions, split_by_hash
from tripletnet.data.triplet_set import TripletSet
from tripletnet.errors import InputError
from tripletnet.files import PathLike

#: What the rows of a file can be.
JUDGED: dict[str, type[JudgedSet]] = {kind.supervision: kind for kind in (TripletSet, PairSet)}

#: The share of the pictures that is held out where nothing else is asked for, and the fewest rows
#: for which it is: among 100, a share has a standard error of 5 points at most.
HELD_OUT, FEWEST = 0.1, 100

_CONTRADICTION = "call two different that are byte for byte the same picture"


def read_judged(
    kind: str,
    path: PathLike,
    pictures: Optional[PathLike] = None,
    *,
    size: int = 64,
    fit: str = "crop",
    strict: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> LoadedExamples[JudgedSet]:
    """Read a file of triplets or pairs; every picture is decoded once, through the cache.

    Parameters
    ----------
    kind : {"triplets", "pairs"}
        What its rows are: anchor, same, diff; or a, b, similar.
    path, pictures
        See :func:`tripletnet.data.path_table.read_path_table`.
    size, fit
        See :func:`tripletnet.data.folder.load_folder`.
    strict : bool
        Make the first row that would be left out an error.
    progress : callable, optional
        Called with how many of how many pictures have been decoded.

    Returns
    -------
    LoadedExamples
        All rows, as `train`.

    Raises
    ------
    InputError
        If a row is bad (file and line are named), or none can be used.
    """
    if size < 1:
        raise InputError(f"size {size} x {size}: must be 1 pixel or more")
    judged = JUDGED[kind]
    table = read_path_table(path, judged.columns, judged.truth_column, pictures)
    found = cached_images(
        table.root,
        table.files,
        table.stamps,
        size=(size, size),
        fit=fit,
        keep_others=True,
        progress=progress,
    )
    usable = found.rows >= 0
    _, contents = np.unique(found.hashes, return_inverse=True)
    whole = usable[table.rows].all(axis=1)
    wrong = whole & judged.contradictions(contents.astype(np.int32)[table.rows], table.truths)
    if strict:
        _refuse(table, whole, wrong, found.failures)
    notices = [
        f"rows left out, {reason}: {int(left.sum()):,} (the first: {table.place(left.argmax())})"
        for left, reason in (
            (~whole, "name a picture that cannot be used"),
            (wrong, _CONTRADICTION),
        )
        if left.any()
    ]
    if table.unused:
        notices.append(f"{table.path}: columns without a meaning here: {', '.join(table.unused)}")
    if not (whole & ~wrong).any():
        raise InputError(f"{table.path}: no row can be used: {'; '.join(notices)}")
    # a picture that could not be decoded has no pixels, and leaves with the rows that name it
    labels = np.zeros(len(table.files), np.int64)
    images = ImageSet(
        table.path.stem, found.pixels, labels, (), found.rows, table.files, found.hashes
    )
    return LoadedExamples(
        judged(images, table.rows, table.truths).subset(whole & ~wrong),
        left_out=[LeftOut(table.files[p], why) for p, why in sorted(found.failures.items())],
        notices=notices,
        recipe={"kind": kind, "size": size, "fit": fit},
    )


def _refuse(
    table: PathTable, whole: np.ndarray, wrong: np.ndarray, failures: Mapping[int, str]
) -> None:
    """Raise for the first row that would be left out."""
    if not whole.all():
        row = int(np.argmin(whole))
        picture = next(p for p in table.rows[row].tolist() if p in failures)
        raise ImageError(f"{table.files[picture]}: {failures[picture]}", table.place(row))
    if wrong.any():
        raise InputError(f"{table.place(int(np.argmax(wrong)))}: rows {_CONTRADICTION}")


def load_judged(
    kind: str,
    path: PathLike,
    pictures: Optional[PathLike] = None,
    *,
    validation: Optional[float] = None,
    validation_file: Optional[PathLike] = None,
    seed: int = 0,
    split: Optional[Mapping[str, str]] = None,
    size: int = 64,
    fit: str = "crop",
    strict: bool = False,
    progress: Optional[Callable[[int, int], None]] = None,
) -> LoadedExamples:
    """Load a file of triplets or pairs to learn from, and hold some out.

    Parameters
    ----------
    kind, path, pictures, size, fit, strict, progress
        As for :func:`read_judged`.
    validation : float, optional
        The share of the different pictures to hold out, and with them the rows that name no
        others; rows that name pictures of both sides are not used. Default: `HELD_OUT`, or
        nothing if fewer than `FEWEST` rows would be left to validate on, or no similar pair.
    validation_file : str or Path, optional
        A file of rows to validate on; then all of `path` is learnt from.
    seed : int
        Decides which pictures are held out.
    split : mapping of str to str, optional
        The part of each picture by its content hash, as an earlier run had it.

    Raises
    ------
    InputError
        If a row is bad, or there is nothing to learn from or to validate on.
    """
    if validation is not None and validation_file is not None:
        raise InputError(
            f"validation {validation:g}: all rows of {validation_file} are validated on: leave one "
            "of the two out"
        )
    check_fractions(validation or 0.0)
    read = partial(
        read_judged,
        kind,
        pictures=pictures,
        size=size,
        fit=fit,
        strict=strict,
        progress=progress,
    )
    data = read(path)
    train = data.train
    notices = list(data.notices)
    left_out = list(data.left_out)
    held: Optional[JudgedSet] = None
    if validation_file is None:
        train, held, split, said = _hold_out(train, validation, seed, split)
        notices += said
    else:
        other = read(validation_file)
        held = other.train
        left_out += other.left_out
        notices += [*other.notices, *_learnt_from(train, held)]
        split = {
            **dict.fromkeys(held.images.digests or (), "validation"),
            **dict.fromkeys(train.images.digests or (), "train"),
        }
        train, drawn = _completed(train, seed)
        held, drawn_held = _completed(held, seed)
        notices += drawn + drawn_held
    recipe = {**data.recipe, "validation": validation}
    return LoadedExamples(train, held, split, left_out, notices, recipe)


def _completed(rows: JudgedSet, seed: int) -> tuple[JudgedSet, list[str]]:
    """Complete all rows of a file, and say of which file what was drawn."""
    whole, drawn = rows.completed(seed)
    return whole, [f"{rows.name}: {said}" for said in drawn]


def _hold_out(
    rows: JudgedSet, validation: Optional[float], seed: int, split: Optional[Mapping[str, str]]
) -> tuple[JudgedSet, Optional[JudgedSet], Mapping[str, str], list[str]]:
    """Return rows to learn from, rows to validate on, the part of each picture, and what to say."""
    hashes = list(rows.images.digests or ())
    share = HELD_OUT if validation is None else validation
    by_default = validation is None and split is None
    if split is None:
        labels = np.zeros(len(hashes), np.int64)
        parts = split_by_hash(hashes, labels, validation=share, test=0.0, seed=seed)
        split = dict(zip(hashes, parts))
    held = np.array([split.get(content) == "validation" for content in hashes])
    if not held.any():
        whole, drawn = _completed(rows, seed)
        return whole, None, split, ["nothing is held out", *drawn]
    known, chosen = ~held[rows.rows].any(axis=1), held[rows.rows].all(axis=1)
    told = f"{int(chosen.sum()):,} of {len(rows):,} rows"
    lack = None
    sides, notices = [], []
    if by_default and chosen.sum() < FEWEST:
        lack = f"of {share:.0%} of the pictures alone tell {told}"
    elif not (known.any() and chosen.any()):
        lack = f"{told} are of held-out pictures alone, {int(known.sum()):,} of the others alone"
    else:
        for side, picked in (("rows to learn from", known), ("held-out rows", chosen)):
            try:
                part, drawn = rows.subset(picked).completed(seed)
            except IncompleteRows as error:
                lack = f"among the {side}, {error.reason}"
                break
            sides.append(part)
            notices += [f"{rows.name}, {side}: {said}" for said in drawn]
    if lack is not None:
        whole, drawn = _completed(rows, seed)  # raises where it is the file that lacks something
        if not by_default:
            raise InputError(
                f"validation {share:g}: {lack}: give another share, or a file of rows to validate "
                "on (--validation-file)"
            )
        said = (
            f"nothing is held out: {lack}; give a share of pictures or a file of rows to validate "
            "on (--validation-file)"
        )
        return whole, None, dict.fromkeys(hashes, "train"), [said, *drawn]
    unused = len(rows) - int(known.sum()) - int(chosen.sum())
    said = (
        f"{int(known.sum()):,} rows to learn from, {int(chosen.sum()):,} to validate on, and "
        f"{unused:,} not used, which name pictures of both sides"
    )
    train, validated = sides
    return train, validated, split, [said, *notices]


def _learnt_from(train: JudgedSet, validation: JudgedSet) -> list[str]:
    """Return what to say of pictures that are learnt from and validated on."""
    both = set(train.images.digests or ()) & set(validation.images.digests or ())
    if not both:
        return []
    return [
        f"pictures that are learnt from and validated on: {len(both):,} of "
        f"{len(validation.images):,} to validate on"
    ]
