"""Copies of one image that would mislead: in several classes, or on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

_STRICTNESS = ("train", "validation", "test")


def in_several_classes(hashes: Sequence[str], labels: Sequence[int]) -> dict[int, list[int]]:
    """Find the images whose copies carry different classes, so that no class is right.

    Parameters
    ----------
    hashes : sequence of str, length N
        What tells equal images.
    labels : sequence of int, length N
        The class of each image.

    Returns
    -------
    dict of int to list of int
        The classes that such an image has, by its position.
    """
    classes: dict[str, set[int]] = {}
    for content, label in zip(hashes, labels):
        classes.setdefault(content, set()).add(label)
    several = {content: sorted(found) for content, found in classes.items() if len(found) > 1}
    return {i: several[content] for i, content in enumerate(hashes) if content in several}


def in_stricter_parts(hashes: Sequence[str], parts: Sequence[str]) -> dict[int, str]:
    """Find the images in train that have a copy in validation or test, or in validation in test.

    Parameters
    ----------
    hashes : sequence of str, length N
        What tells equal images.
    parts : sequence of {"train", "validation", "test"}, length N
        Where each image lies.

    Returns
    -------
    dict of int to str
        The strictest part that has a copy of such an image, by its position.
    """
    strictest: dict[str, str] = {}
    for content, part in zip(hashes, parts):
        strictest[content] = max(strictest.get(content, part), part, key=_STRICTNESS.index)
    return {
        i: strictest[content]
        for i, (content, part) in enumerate(zip(hashes, parts))
        if strictest[content] != part
    }
