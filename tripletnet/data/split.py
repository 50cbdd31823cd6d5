"""Which images are learnt from, chosen on and judged on: a function of their content."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tripletnet.errors import InputError

#: The parts of a split. Held out are whole classes.
PARTS = ("train", "validation", "test", "held_out")

_FORMAT = 1


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
        If the fractions are negative or leave nothing to learn from.

    Notes
    -----
    The different images of a class are sorted by a hash of seed and content; of n, the first
    floor(n test + 1/2) are the test part, the next floor(n validation + 1/2) the validation part,
    each less if fewer than two would be left to learn from (so at 0.1 a class needs five images
    to have one in either). An image that is added to a class moves at most three of the others
    to another part.
    """
    if validation < 0 or test < 0 or validation + test >= 1:
        raise InputError(
            f"validation {validation} and test {test} must be fractions whose sum is below 1"
        )
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
