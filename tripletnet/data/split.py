"""Which images are learnt from, chosen on and judged on: a function of their content."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np

from tripletnet.errors import InputError, some_of

#: The parts of a split. Held out are whole classes.
HELD_OUT = "held_out"
PARTS = ("train", "validation", "test", HELD_OUT)

_FORMAT = 1


def check_fractions(validation: float, test: float = 0.0) -> None:
    """Raise InputError if fractions are negative, no numbers, or leave nothing to learn from."""
    # so that nan, of which no comparison holds, is refused
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise InputError(
            f"validation {validation} and test {test} must be fractions whose sum is below 1"
        )


def split_by_hash(
    hashes: Sequence[str],
    labels: np.ndarray,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> list[str]:
    """Split every class by the content of its images.

    Parameters
    ----------
    hashes : sequence of str, length N
        What tells equal images: copies go to the same part.
    labels : ndarray of int, shape (N,)
        The class of each image; copies in several classes count for the first of them.
    validation, test : float
        Fraction of each class's different images.
    seed : int
        Same seed, same split.

    Returns
    -------
    list of str, length N
        ``"train"``, ``"validation"`` or ``"test"``.

    Raises
    ------
    InputError
        If the fractions are negative, or no numbers, or leave nothing to learn from.

    Notes
    -----
    The different images of a class are sorted by a hash of seed and content; of n, the first
    floor(n test + 1/2) are the test part, the next floor(n validation + 1/2) the validation part,
    each less if fewer than two would be left to learn from (so at 0.1 a class needs five images
    to have one in either). An image that is added to a class moves at most three of the others
    to another part.
    """
    check_fractions(validation, test)
    members: dict[int, list[str]] = {}
    for content, label in dict(zip(reversed(hashes), reversed(labels.tolist()))).items():
        members.setdefault(label, []).append(content)
    part = {}
    for contents in members.values():
        contents.sort(key=lambda content: hashlib.sha256(f"{seed} {content}".encode()).digest())
        spare = max(len(contents) - 2, 0)
        tested = min(math.floor(len(contents) * test + 0.5), spare)
        chosen = min(math.floor(len(contents) * validation + 0.5), spare - tested)
        for place, content in enumerate(contents):
            if place < tested:
                part[content] = "test"
            elif place < tested + chosen:
                part[content] = "validation"
            else:
                part[content] = "train"
    return [part[content] for content in hashes]


def choose_held_out(
    classes: Sequence[str],
    labels: np.ndarray,
    wanted: Union[int, Sequence[str], None],
    seed: int,
    given: Optional[Sequence[str]] = None,
) -> set[int]:
    """Choose the classes to keep out of all parts.

    Parameters
    ----------
    classes : sequence of str
        The names of all classes.
    labels : ndarray of int, shape (N,)
        Index into `classes` of each image.
    wanted : int or sequence of str, optional
        How many classes, or their names. Default: none.
    seed : int
        Decides which, where a number is given; they have two images or more, and would be learnt.
    given : sequence of str, optional
        The part of each image where somebody has split them already.

    Returns
    -------
    set of int
        Their indices.

    Raises
    ------
    InputError
        If there are no such classes, or fewer than two would be left to learn from.
    """
    if wanted is None:
        return set()
    learnable = np.unique(labels if given is None else labels[np.array(given) == "train"])
    if isinstance(wanted, int):
        # a class of one image would have nothing to find
        able = np.flatnonzero(np.bincount(labels, minlength=len(classes)) >= 2)
        able = np.intersect1d(able, learnable)
        if not 0 <= wanted <= len(able):
            raise InputError(
                f"hold-out of {wanted} classes: {len(able)} classes to learn from have two images "
                "or more"
            )
        held = set(np.random.default_rng(seed).permutation(able)[:wanted].tolist())
    else:
        wanted = [unicodedata.normalize("NFC", name) for name in wanted]
        unknown = sorted(set(wanted) - set(classes))
        if unknown:
            raise InputError(
                f"hold-out class '{unknown[0]}' is not in the folder: use some of "
                f"{some_of(classes, 50)}"
            )
        held = {classes.index(name) for name in wanted}
    if len(set(learnable.tolist()) - held) < 2:
        raise InputError(
            f"holding {len(held)} classes out leaves fewer than two to learn from: hold out fewer"
        )
    return held


def assign_parts(
    hashes: Sequence[str],
    labels: np.ndarray,
    given: Optional[Sequence[str]],
    held: set[int],
    validation: float,
    test: float,
    seed: int,
) -> np.ndarray:
    """Return the part of each image: held out, as given, or split here.

    Parameters
    ----------
    hashes, labels, validation, test, seed
        See `split_by_hash`.
    given : sequence of str, optional
        The part of each image where somebody has split them already. What is missing of
        validation and test is cut from train.
    held : set of int
        The classes that are held out.

    Returns
    -------
    ndarray of str (object), shape (N,)
        One of `PARTS` each.
    """
    parts = np.array(["train"] * len(labels) if given is None else given, dtype=object)
    fractions = {
        part: 0.0 if given is not None and part in given else fraction
        for part, fraction in (("validation", validation), ("test", test))
    }
    parts[np.isin(labels, list(held))] = HELD_OUT
    cut = np.flatnonzero(parts == "train")
    parts[cut] = split_by_hash([hashes[i] for i in cut], labels[cut], **fractions, seed=seed)
    return parts


def split_to_json(split: Mapping[str, str]) -> dict[str, Any]:
    """Return what to store of a split, a mapping of content hash to part."""
    return {"format": _FORMAT, "images": dict(sorted(split.items()))}


def split_from_json(value: Any) -> dict[str, str]:
    """Return the split that `split_to_json` made `value` of.

    Raises
    ------
    InputError
        If it is no such value.
    """
    try:
        known, split = value["format"] == _FORMAT, value["images"]
        parts: Iterable[str] = split.values()
        if known and set(parts) <= set(PARTS):
            return dict(split)
    except (TypeError, KeyError, AttributeError):
        pass
    raise InputError(f"not a split of format {_FORMAT}: restore the file, or train anew")
