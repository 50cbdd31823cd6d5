"""The split is stratified, seeded, stable, and never parts copies."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.data.copies import in_several_classes, in_stricter_parts
from tripletnet.data.split import split_by_hash, split_from_json, split_to_json
from tripletnet.errors import InputError


def distinct(count: int, prefix: str = "image") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


def test_fractions_of_each_class() -> None:
    hashes = distinct(100, "a") + distinct(20, "b")
    labels = np.repeat([0, 1], [100, 20])
    parts = np.array(split_by_hash(hashes, labels, validation=0.2, test=0.1))
    assert Counter(parts[:100].tolist()) == {"train": 70, "validation": 20, "test": 10}
    assert Counter(parts[100:].tolist()) == {"train": 14, "validation": 4, "test": 2}


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 2}),
        (3, {"train": 2, "test": 1}),
        (4, {"train": 2, "test": 2}),
        (5, {"train": 2, "test": 3}),
        (8, {"train": 2, "test": 4, "validation": 2}),
    ],
)
def test_two_of_a_class_are_left_to_learn_from(count: int, expected: dict[str, int]) -> None:
    # half and 0.4: for five images 3 and 2, of which validation has to give way
    parts = split_by_hash(
        distinct(count), np.zeros(count, np.int64), validation=0.4 if count > 2 else 0, test=0.5
    )
    assert Counter(parts) == expected


def test_small_classes_at_the_default_fractions() -> None:
    for count, tested in ((4, 0), (5, 1), (14, 1), (15, 2)):
        parts = Counter(split_by_hash(distinct(count), np.zeros(count, np.int64)))
        assert (parts["test"], parts["validation"]) == (tested, tested)


def test_seed_and_order() -> None:
    hashes, labels = distinct(60), np.zeros(60, np.int64)
    parts = split_by_hash(hashes, labels, seed=1)
    assert parts == split_by_hash(hashes, labels, seed=1)
    assert parts != split_by_hash(hashes, labels, seed=2)
    assert parts == split_by_hash(hashes[::-1], labels, seed=1)[::-1]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4)), min_size=1, max_size=80),
    st.floats(0, 0.49),
    st.floats(0, 0.49),
    st.integers(0, 3),
)
def test_copies_stay_together_and_train_is_never_starved(
    images: list[tuple[int, int]], validation: float, test: float, seed: int
) -> None:
    hashes = [str(content) for content, _ in images]
    labels = np.array([label for _, label in images])
    parts = split_by_hash(hashes, labels, validation=validation, test=test, seed=seed)
    assert len(set(zip(hashes, parts))) == len(set(hashes))
    owner = dict(zip(reversed(hashes), reversed(labels.tolist())))
    part = dict(zip(hashes, parts))
    for label in set(owner.values()):
        members = [part[content] for content in owner if owner[content] == label]
        assert members.count("train") >= min(2, len(members))


@settings(deadline=None)
@given(st.integers(2, 120), st.floats(0, 0.49), st.floats(0, 0.49), st.text(max_size=5))
def test_an_added_image_moves_at_most_three_others(
    count: int, validation: float, test: float, added: str
) -> None:
    hashes = distinct(count)
    fractions = {"validation": validation, "test": test}
    before = split_by_hash(hashes, np.zeros(count, np.int64), **fractions)
    after = split_by_hash([*hashes, added], np.zeros(count + 1, np.int64), **fractions)
    assert sum(a != b for a, b in zip(before, after)) <= 3


@pytest.mark.parametrize(
    ("validation", "test"),
    [
        (-0.1, 0.1),
        (0.1, -0.1),
        (0.5, 0.5),
        (0, 1),
        (math.nan, 0.1),
        (0.1, math.nan),
        (math.inf, 0.1),
        (math.inf, -math.inf),
    ],
)
def test_fractions_out_of_bounds(validation: float, test: float) -> None:
    with pytest.raises(InputError, match="must be fractions whose sum is below 1"):
        split_by_hash(["a"], np.array([0]), validation=validation, test=test)


def test_stored_and_restored() -> None:
    split = {"b": "train", "a": "test", "c": "validation", "d": "held_out"}
    assert split_from_json(json.loads(json.dumps(split_to_json(split)))) == split


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {"format": 1},
        {"format": 1, "images": ["a"]},
        {"format": 1, "images": {"a": "elsewhere"}},
        {"format": 1, "images": {"a": ["train"]}},
        {"format": 2, "images": {"a": "train"}},
    ],
)
def test_what_is_no_stored_split(value: object) -> None:
    with pytest.raises(InputError, match="not a split of format 1"):
        split_from_json(value)


def test_copies_in_several_classes() -> None:
    assert in_several_classes("abcab", [0, 1, 2, 2, 1]) == {0: [0, 2], 3: [0, 2]}
    assert in_several_classes("aab", [1, 1, 0]) == {}


def test_copies_in_stricter_parts() -> None:
    parts = ["train", "validation", "test", "train", "train", "validation"]
    assert in_stricter_parts("aabbcd", parts) == {0: "validation", 3: "test"}
