"""Miners against brute force: which triplets they pick, ties and lonely images included."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from drawn_codes import draw_codes, triplets_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses import DISTANCES, Euclidean
from tripletnet.losses.mining import (
    MINERS,
    DistanceWeighted,
    PairMasks,
    Triplets,
    batch_hard,
    diff_chances,
    distance_weighted,
    pair_masks,
    random_triplets,
    semi_hard,
)


@st.composite
def batches(draw):
    """Draw distances of few levels, so that ties are frequent, and labels of few classes."""
    count, classes = draw(st.integers(1, 10)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = draw(st.sampled_from([1, 2, 4, 1000]))
    distances = np.triu(random.integers(0, levels, (count, count)), 1).astype(np.float32)
    return distances + distances.T, random.integers(0, classes, count)


def listed(triplets: Triplets) -> list[tuple[int, ...]]:
    assert all(part.dtype == np.int64 for part in triplets)
    return [tuple(map(int, t)) for t in zip(*triplets)]


def anchors_and_pairs(labels):
    """Return the possible anchors, and their same pairs."""
    possible = triplets_of(labels)
    return sorted({i for i, _, _ in possible}), sorted({(i, p) for i, p, _ in possible})


@given(batches())
@settings(max_examples=1000, deadline=None)
def test_batch_hard(batch):
    distances, labels = batch
    expected = []
    for i in anchors_and_pairs(labels)[0]:
        others = [j for j in range(len(labels)) if j != i]
        sames = [j for j in others if labels[j] == labels[i]]
        diffs = [j for j in others if labels[j] != labels[i]]
        same = max(sames, key=lambda j: (distances[i, j], -j))
        diff = min(diffs, key=lambda j: (distances[i, j], j))
        expected.append((i, same, diff))
    assert listed(batch_hard(distances, labels)) == expected


@given(batches())
@settings(max_examples=1000, deadline=None)
def test_semi_hard(batch):
    distances, labels = batch
    expected = []
    for i, p in anchors_and_pairs(labels)[1]:
        diffs = [j for j in range(len(labels)) if labels[j] != labels[i]]
        beyond = [j for j in diffs if distances[i, j] > distances[i, p]]
        if beyond:
            diff = min(beyond, key=lambda j: (distances[i, j], j))
        else:
            diff = max(diffs, key=lambda j: (distances[i, j], -j))
        expected.append((i, p, diff))
    assert listed(semi_hard(distances, labels)) == expected


@given(batches())
@settings(max_examples=500, deadline=None)
def test_masks_are_all_triplets_and_count_like_a_list_of_them(batch):
    _, labels = batch
    size, masks = len(labels), pair_masks(labels)
    expected = triplets_of(labels)
    every = itertools.product(range(size), repeat=3)
    assert [(i, p, n) for i, p, n in every if masks.same[i, p] and masks.diff[i, n]] == expected
    assert masks.number() == len(expected)
    as_list = Triplets(*(np.array(part, dtype=int) for part in np.reshape(expected, (-1, 3)).T))
    assert as_list.number() == len(expected)
    for ours, theirs in zip(masks.pair_counts(size), as_list.pair_counts(size)):
        np.testing.assert_array_equal(ours, theirs)


@given(batches(), st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_random_triplets_are_one_for_each_anchor(batch, seed):
    _, labels = batch
    drawn = listed(random_triplets(labels, np.random.default_rng(seed)))
    assert [i for i, _, _ in drawn] == anchors_and_pairs(labels)[0]
    assert set(drawn) <= set(triplets_of(labels))


LABELS = np.array([0, 0, 0, 1, 1, 2])


def test_random_triplets_come_up_evenly():
    random = np.random.default_rng(0)
    drawn = [listed(random_triplets(LABELS, random)) for _ in range(4000)]
    for i in range(5):  # 5 is alone in its class
        possible = [t for t in triplets_of(LABELS) if t[0] == i]
        counts = [sum(t in batch for batch in drawn) for t in possible]
        assert stats.chisquare(counts).pvalue > 0.001


# --- distance-weighted


def chances_by_the_formula(distances, labels, size):
    """Return 1 / q(d) of the paper, term by term, each row scaled to 1."""
    result = np.zeros(distances.shape)
    for i, j in np.argwhere(labels[:, None] != labels):
        others = distances[i][labels != labels[i]]
        if (others >= 1.4).all():
            result[i, j] = 1
        elif distances[i, j] < 1.4:
            d = max(0.5, float(distances[i, j]))
            result[i, j] = 1 / (d ** (size - 2) * (1 - d * d / 4) ** ((size - 3) / 2))
    return result / np.maximum(result.sum(axis=1, keepdims=True), 1e-300)


@given(batches(), st.sampled_from([2, 3, 8, 64]))
@settings(max_examples=500, deadline=None)
def test_chances_are_those_of_the_paper(batch, size):
    distances, labels = batch
    distances = 2 * distances / max(1.0, distances.max())  # 0 and 2 among them
    ours = diff_chances(distances, labels, size)
    np.testing.assert_allclose(ours, chances_by_the_formula(distances, labels, size), rtol=1e-5)


@given(batches(), st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_distance_weighted_gives_each_same_pair_a_diff_that_can_be(batch, seed):
    distances, labels = batch
    distances = 2 * distances / max(1.0, distances.max())
    chances = diff_chances(distances, labels, 1024)
    drawn = listed(distance_weighted(chances, labels, np.random.default_rng(seed)))
    assert [t[:2] for t in drawn] == anchors_and_pairs(labels)[1]
    assert all(labels[i] != labels[n] and chances[i, n] > 0 for i, _, n in drawn)


def test_distance_weighted_draws_by_its_chances():
    labels = np.array([0, 0, 1, 2, 3, 3])
    chances = diff_chances(np.linspace(0.6, 1.5, 36).reshape(6, 6), labels, 8)
    random = np.random.default_rng(1)
    drawn = np.array([distance_weighted(chances, labels, random).diff for _ in range(4000)])
    for row, i in zip(drawn.T, (0, 1, 4, 5)):
        possible = chances[i] > 0
        counts = np.bincount(row, minlength=6)[possible]
        assert counts.sum() == 4000
        if len(counts) > 1:
            assert stats.chisquare(counts, 4000 * chances[i][possible]).pvalue > 0.001


def test_distances_of_long_codes_overflow_nothing():
    """1 / q spans hundreds of powers of ten."""
    distances = np.tile([0.0, 0.6, 1.0, 1.3, 1.41, 2.0], (6, 1))
    with np.errstate(all="raise", under="ignore"):
        chances = diff_chances(distances, np.arange(6), 1024)
    assert math.isfinite(chances.sum())
    np.testing.assert_allclose(chances.sum(axis=1), 1)


@pytest.mark.parametrize(("cutoff", "beyond"), [(0, 1.4), (1.5, 1.4), (0.5, 2.5)])
def test_cutoffs_that_make_no_sense(cutoff, beyond):
    with pytest.raises(InputError, match=r"cutoff is .* give distances"):
        DistanceWeighted(cutoff, beyond)


# --- all of them


def mine(name, labels, distance="squared", seed=0):
    random = np.random.default_rng(seed)
    codes = mx.nd.array(draw_codes(len(labels)))
    return MINERS[name]().mine(codes, np.array(labels), DISTANCES[distance](), random)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", MINERS)
def test_miners_pick_triplets_that_follow_from_the_seed(name, distance):
    # as a batch of drawn triplets has them, so that all miners can take it
    labels = np.array([0, 1, 2, 3, 0, 1, 2, 3, 1, 0, 0, 0])
    mined, again = mine(name, labels, distance), mine(name, labels, distance)
    for part, other in zip(mined, again):
        np.testing.assert_array_equal(part, other)
    assert mined.number() > 0
    if isinstance(mined, PairMasks):
        assert mined.number() == len(triplets_of(labels))
    else:
        assert set(listed(mined)) <= set(triplets_of(labels))


@pytest.mark.parametrize("name", [name for name in MINERS if name != "random"])
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]], ids=["one class", "singles", "one"])
def test_batches_without_triplets(name, labels):
    assert mine(name, labels).number() == 0


def test_hard_miners_go_by_the_distance_given():
    """Codes of other lengths are not as near by their angle as they are by their place."""
    labels = np.array([0, 0, 1, 1])
    codes = mx.nd.array([[1, 0], [0.9, 0.1], [10, 0], [0, 1]])
    picked = {
        name: MINERS["batch-hard"]().mine(codes, labels, DISTANCES[name](), None).diff[0]
        for name in DISTANCES
    }
    assert picked == {"squared": 3, "euclidean": 3, "cosine": 2}


def test_distance_weighted_goes_by_the_euclidean_distance():
    labels = np.repeat([0, 1, 2], 4)
    codes, seed = mx.nd.array(draw_codes(12)), 3
    chances = diff_chances(Euclidean().matrix(codes), labels, 5)
    expected = distance_weighted(chances, labels, np.random.default_rng(seed))
    for distance in DISTANCES.values():
        ours = DistanceWeighted().mine(codes, labels, distance(), np.random.default_rng(seed))
        assert listed(ours) == listed(expected)
