"""The hinge over all triplets of a batch, against brute force and finite differences."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from drawn_codes import draw_codes, gradient_of, triplets_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tripletnet.backend import mx
from tripletnet.losses import AllTriplets, TripletHinge
from tripletnet.losses.mining import EveryTriplet
from tripletnet.losses.mining.base import pair_masks
from tripletnet.losses.triplet_sums import masked_triplets_hinge, triplet_sums


def distances_of(codes: np.ndarray) -> np.ndarray:
    return ((codes[:, None] - codes[None, :]) ** 2).sum(axis=2)


@st.composite
def batches(draw, elements):
    """Draw symmetric distances and labels; few classes, so that all mixtures come up."""
    count = draw(st.integers(1, 9))
    labels = draw(hnp.arrays(np.int64, count, elements=st.integers(0, draw(st.integers(0, 4)))))
    distances = draw(hnp.arrays(np.float32, (count, count), elements=elements))
    distances = np.triu(distances, 1)
    return distances + distances.T, labels


def brute_force(distances, labels, margin):
    size = len(labels)
    sums, active = np.zeros(size), np.zeros(size, np.int64)
    gradient = np.zeros((size, size))
    for i, p, n in triplets_of(labels):
        loss = margin + float(distances[i, p]) - float(distances[i, n])
        if loss > 0:
            sums[i] += loss
            active[i] += 1
            gradient[i, p] += 1
            gradient[i, n] -= 1
    return sums, active, gradient


# Eighths, so that sums are exact and a loss of exactly 0 is frequent.
@given(batches(st.integers(0, 32).map(lambda n: n / 8)), st.sampled_from([0.125, 0.5, 1.0]))
@settings(max_examples=150, deadline=None)
def test_all_triplets_hinge_with_ties(batch, margin):
    distances, labels = batch
    sums, active, gradient = masked_triplets_hinge(distances, pair_masks(labels), margin)
    expected = brute_force(distances, labels, margin)
    np.testing.assert_array_equal(sums, expected[0])
    np.testing.assert_array_equal(active, expected[1])
    np.testing.assert_array_equal(gradient, expected[2])
    assert (sums.dtype, active.dtype, gradient.dtype) == (np.float64, np.int64, np.float32)


@given(batches(st.floats(0, 4, width=32)), st.floats(0.05, 2))
@settings(max_examples=100, deadline=None)
def test_all_triplets_hinge_of_any_distances(batch, margin):
    distances, labels = batch
    sums, _, gradient = masked_triplets_hinge(distances, pair_masks(labels), margin)
    np.testing.assert_allclose(sums, brute_force(distances, labels, margin)[0], atol=1e-9)
    assert (np.diag(gradient) == 0).all()
    np.testing.assert_array_equal(gradient.sum(axis=1), 0)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]], ids=["one class", "singles", "one"])
def test_batches_without_triplets(labels):
    distances = distances_of(draw_codes(len(labels)))
    sums, active, gradient = masked_triplets_hinge(distances, pair_masks(np.array(labels)), 1.0)
    assert not sums.any() and not active.any() and not gradient.any()
    loss = AllTriplets()
    codes = draw_codes(len(labels))
    assert not gradient_of(loss, codes, np.array(labels)).any()
    assert loss.statistics["active"] == 0


def test_all_triplets_does_not_alter_what_it_is_given():
    distances, labels = distances_of(draw_codes(6)), np.array([0, 0, 1, 1, 2, 2])
    kept = distances.copy()
    masked_triplets_hinge(distances, pair_masks(labels), 1.0)
    np.testing.assert_array_equal(distances, kept)


@pytest.mark.parametrize("margin", [1.0, None], ids=["hinge", "soft margin"])
def test_memory_grows_with_pairs_and_not_with_triplets(margin):
    size = 300
    codes, labels = draw_codes(size), np.arange(size) % 4
    distances = distances_of(codes)
    mined = EveryTriplet().mine(None, labels, None, None)
    assert mined.number() > 50 * size**2
    tracemalloc.start()
    triplet_sums(distances, mined, margin)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * size**2  # bytes


LABELS = np.array([0, 1, 0, 2, 1, 0, 3, 2])


def mean_of_active(codes: np.ndarray, margin: float) -> float:
    distances = distances_of(codes)
    losses = [margin + distances[i, p] - distances[i, n] for i, p, n in triplets_of(LABELS)]
    return float(np.mean([loss for loss in losses if loss > 0]))


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_all_triplets_is_the_mean_over_active_triplets(margin):
    codes = draw_codes(8)
    loss = AllTriplets(margin)
    value = loss(mx.nd.array(codes), LABELS)
    assert value.shape == (8,)
    assert value.mean().asscalar() == pytest.approx(mean_of_active(codes, margin), rel=1e-5)
    distances = distances_of(codes)
    share = np.mean([margin + distances[i, p] > distances[i, n] for i, p, n in triplets_of(LABELS)])
    assert 0 < share < 1
    assert loss.statistics["active"] == pytest.approx(share)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_gradient_of_all_triplets_by_finite_differences(margin):
    codes = draw_codes(8)
    ours = gradient_of(AllTriplets(margin), codes, LABELS)
    numeric = np.empty_like(codes)
    for place in np.ndindex(codes.shape):
        change = np.zeros_like(codes)
        change[place] = 1e-6
        rise = mean_of_active(codes + change, margin) - mean_of_active(codes - change, margin)
        numeric[place] = rise / 2e-6
    np.testing.assert_allclose(ours, numeric, atol=1e-5)


def test_gradient_of_all_triplets_against_a_list_of_triplets():
    anchor, same, diff = (mx.nd.array(part) for part in zip(*triplets_of(LABELS)))
    x = mx.nd.array(draw_codes(8))
    x.attach_grad()
    with mx.autograd.record():
        losses = TripletHinge()(x.take(anchor), x.take(same), x.take(diff))
        value = losses.sum() / (losses > 0).sum()
    value.backward()
    ours = gradient_of(AllTriplets(), x.asnumpy(), LABELS)
    np.testing.assert_allclose(ours, x.grad.asnumpy(), atol=1e-5)
