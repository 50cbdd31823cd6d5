"""Distances of pairs, and the threshold that is chosen on them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.errors import InputError
from tripletnet.evaluation.pairs import PairDistances, pair_distances
from tripletnet.evaluation.threshold import TARGETS, Threshold, choose_threshold


def by_hand() -> PairDistances:
    """Three same and four different pairs, as close as 0.125 and as far as 1."""
    return PairDistances(
        np.array([0.125, 0.25, 0.75], np.float32), np.array([0.5, 0.8, 0.9, 1.0], np.float32), 3, 4
    )


def brute_force(codes, labels):
    same, different = [], []
    for i in range(len(codes)):
        for j in range(i):
            distance = float(((codes[i].astype(float) - codes[j]) ** 2).sum())
            (same if labels[i] == labels[j] else different).append(distance)
    return np.sort(same), np.sort(different)


def some_codes(count, classes=3, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=count)
    return random.normal(size=(count, 5)).astype(np.float32) + labels[:, None], labels


@pytest.mark.parametrize("named", [False, True])
def test_all_pairs_are_those_of_brute_force(named):
    codes, labels = some_codes(40)
    labels = np.array(["ant", "bee", "cow"])[labels] if named else labels
    pairs = pair_distances(codes, labels)
    same, different = brute_force(codes, labels)
    np.testing.assert_allclose(pairs.same, same, rtol=1e-4)
    np.testing.assert_allclose(pairs.different, different, rtol=1e-4)
    assert (pairs.same_pairs, pairs.different_pairs) == (len(same), len(different))
    assert not pairs.sampled


def test_pairs_far_from_the_origin_are_told_apart():
    near = np.random.default_rng(0).normal(scale=0.1, size=(30, 16))
    labels = np.arange(30) % 3
    far, close = (pair_distances((near + shift).astype(np.float32), labels) for shift in (500, 0))
    np.testing.assert_allclose(far.same, close.same, rtol=1e-3)
    np.testing.assert_allclose(far.different, close.different, rtol=1e-3)


def test_a_sample_stands_for_all_pairs():
    codes, labels = some_codes(300, classes=7)
    every = pair_distances(codes, labels)
    sample = pair_distances(codes, labels, seed=3, all_pairs=1000, sampled_pairs=40_000)
    assert sample.sampled
    assert len(sample.same) == len(sample.different) == 40_000
    assert (sample.same_pairs, sample.different_pairs) == (every.same_pairs, every.different_pairs)
    for distance in np.quantile(every.same, [0.1, 0.5, 0.9]):
        told, true = sample.rates(distance), every.rates(distance)
        assert told.recall == pytest.approx(true.recall, abs=0.015)
        assert told.false_positive_rate == pytest.approx(true.false_positive_rate, abs=0.015)
        assert told.precision == pytest.approx(true.precision, abs=0.015)


def test_a_sample_is_of_real_pairs_and_seeded():
    codes, labels = some_codes(60)
    draw = [
        pair_distances(codes, labels, seed, all_pairs=10, sampled_pairs=500) for seed in (1, 1, 2)
    ]
    same, different = brute_force(codes, labels)
    for measured, true in ((draw[0].same, same), (draw[0].different, different)):
        assert np.abs(measured[:, None] - true).min(axis=1).max() < 1e-3
    assert np.array_equal(draw[0].same, draw[1].same)
    assert not np.array_equal(draw[0].same, draw[2].same)


def test_a_sample_draws_every_pair_as_often_as_any_other():
    codes = 2.0 ** np.arange(7, dtype=np.float32)[:, None]  # no two pairs are equally far apart
    labels = np.array([1, 0, 0, 2, 0, 0, 1])
    sample = pair_distances(codes, labels, all_pairs=0, sampled_pairs=70_000)
    for measured, true in zip((sample.same, sample.different), brute_force(codes, labels)):
        found, counts = np.unique(measured, return_counts=True)
        np.testing.assert_allclose(found, true, rtol=1e-6)
        np.testing.assert_allclose(counts, 70_000 / len(true), rtol=0.07)


def test_a_sample_where_one_class_is_rare():
    """Drawn until two classes differ, it would take 10,000 times as many draws."""
    codes, labels = np.zeros((20_001, 1), np.float32), np.zeros(20_001, int)
    codes[-1], labels[-1] = 1, 1
    pairs = pair_distances(codes, labels)
    assert pairs.different_pairs == 20_000
    assert (pairs.same.max(), pairs.different.min()) == (0, 1)


def test_rates_by_hand():
    rates = by_hand().rates(0.75)
    assert (rates.precision, rates.recall, rates.false_positive_rate) == (0.75, 1.0, 0.25)
    nothing = by_hand().rates(0.05)
    assert (nothing.precision, nothing.recall, nothing.false_positive_rate) == (1.0, 0.0, 0.0)


def test_precision_of_a_sample_weighs_by_how_many_pairs_there_are():
    # half of the same and a quarter of the different pairs pass: 500 of 1,000 and 25,000
    pairs = PairDistances(np.array([1.0, 3.0]), np.array([1.0, 4.0, 5.0, 6.0]), 1000, 100_000)
    assert pairs.rates(2.0).precision == pytest.approx(500 / 25_500)


@pytest.mark.parametrize(
    ("target", "value", "distance"),
    [
        ("false_positive_rate", 0.0, 0.25),  # the next one, 0.5, is a different pair
        ("false_positive_rate", 0.25, 0.75),
        ("precision", 1.0, 0.25),
        ("precision", 0.75, 0.75),
        ("recall", 0.5, 0.25),
        ("recall", 1.0, 0.75),
    ],
)
def test_threshold_by_hand(target, value, distance):
    threshold = choose_threshold(by_hand(), target, value)
    assert threshold.distance == distance
    assert (threshold.target, threshold.value) == (target, value)
    assert (threshold.same_pairs, threshold.different_pairs) == (3, 4)
    assert not threshold.sampled


def test_pairs_of_equal_codes_are_equally_far_apart():
    random = np.random.default_rng(0)
    codes = random.normal(size=(3, 512)).astype(np.float32)[random.integers(0, 3, 200)]
    pairs = pair_distances(codes, random.integers(0, 2, 200))
    found = np.unique(np.concatenate([pairs.same, pairs.different]))
    assert len(found) == 4 and found[0] == 0


def test_a_share_that_pairs_have_is_not_missed_by_rounding():
    same = np.array([0.1] * 15 + [0.9] * 7, np.float32)
    different = np.array([0.1] * 15 + [0.5] * 300, np.float32)
    threshold = choose_threshold(PairDistances(same, different, 22, 315), "precision", 0.5)
    assert threshold.distance == pytest.approx(0.1) and threshold.precision == 0.5


distances = st.lists(st.integers(0, 20), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(distances, distances, st.sampled_from(TARGETS), st.floats(0.05, 0.95))
def test_no_distance_among_the_pairs_is_better(same, different, target, value):
    pairs = PairDistances(
        np.sort(np.float32(same)), np.sort(np.float32(different)), len(same), len(different)
    )
    every = {d: getattr(pairs.rates(d), target) for d in {*same, *different}}
    if target == "false_positive_rate":
        good = [d for d, rate in every.items() if rate <= value]
    else:
        good = [d for d, rate in every.items() if rate >= value]
    if not good:
        with pytest.raises(InputError, match="the best is"):
            choose_threshold(pairs, target, value)
        return
    threshold = choose_threshold(pairs, target, value)
    assert threshold.distance == (min(good) if target == "recall" else max(good))
    assert getattr(threshold, target) == every[threshold.distance]


def test_curve_is_ascending_and_tells_the_rates():
    pairs = pair_distances(*some_codes(200))
    curve = choose_threshold(pairs).curve
    assert 150 <= len(curve["distance"]) <= 200
    assert curve["distance"] == sorted(curve["distance"])
    for name in ("recall", "false_positive_rate"):
        assert curve[name] == sorted(curve[name])
    for point in (0, 80, -1):
        rates = pairs.rates(curve["distance"][point] * (1 + 1e-6))
        for name in ("precision", "recall", "false_positive_rate"):
            assert curve[name][point] == pytest.approx(getattr(rates, name), abs=2e-3)


def test_json_holds_all_of_it():
    threshold = choose_threshold(by_hand(), "recall", 0.9)
    assert Threshold(**json.loads(json.dumps(threshold.to_json()))) == threshold


@pytest.mark.parametrize(
    ("target", "value", "complaint"),
    [
        ("accuracy", 0.9, "use one of false_positive_rate, precision, recall"),
        ("precision", 0.0, "makes no sense"),
        ("recall", 1.5, "makes no sense"),
        ("false_positive_rate", float("nan"), "makes no sense"),
    ],
)
def test_what_makes_no_sense_is_refused(target, value, complaint):
    with pytest.raises(InputError, match=complaint):
        choose_threshold(by_hand(), target, value)


def test_a_wish_that_no_distance_grants_names_the_best():
    worse_than_chance = PairDistances(np.array([2.0]), np.array([1.0]), 1, 1)
    with pytest.raises(InputError, match=r"precision of 0\.9 .* the best is 0\.5"):
        choose_threshold(worse_than_chance, "precision", 0.9)


@pytest.mark.parametrize("target", TARGETS)
def test_one_kind_of_pair_alone_gives_no_threshold(target):
    some, none = np.array([0.5, 1.0]), np.array([])
    with pytest.raises(InputError, match="no validation pair is different"):
        choose_threshold(PairDistances(some, none, 2, 0), target, 0.5)
    with pytest.raises(InputError, match="no validation pair is the same"):
        choose_threshold(PairDistances(none, some, 0, 2), target, 0.5)


def test_classes_of_one_code_have_no_same_pair():
    with pytest.raises(InputError, match="no class has two codes"):
        pair_distances(np.eye(3, dtype=np.float32), np.arange(3))
    with pytest.raises(InputError, match="nothing to tell apart"):
        pair_distances(np.eye(3, dtype=np.float32), np.zeros(3, int))
