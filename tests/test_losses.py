"""The losses, against values worked out by hand, brute force and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses import (
    LOSSES,
    AllTriplets,
    BatchLoss,
    RandomTriplets,
    SoftmaxCrossEntropy,
    SupervisedContrastive,
    TripletHinge,
    get_loss,
    pairwise_squared_euclidean,
    squared_euclidean,
    supervised_contrastive,
    triplet_hinge,
)


def draw_codes(count: int, size: int = 5, seed: int = 0) -> np.ndarray:
    """Return codes of unit length, float64."""
    codes = np.random.default_rng(seed).normal(size=(count, size))
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


def distances_of(codes: np.ndarray) -> np.ndarray:
    return ((codes[:, None] - codes[None, :]) ** 2).sum(axis=2)


def gradient_of(loss: BatchLoss, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the gradient of the mean loss with respect to the codes."""
    x = mx.nd.array(codes)
    x.attach_grad()
    with mx.autograd.record():
        value = loss(x, labels).mean()
    value.backward()
    return x.grad.asnumpy()


def numeric_gradient(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return central differences of a scalar function of a float64 array."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        change = np.zeros_like(x)
        change[place] = step
        gradient[place] = (function(x + change) - function(x - change)) / (2 * step)
    return gradient


# --- distances


def test_squared_euclidean_by_hand():
    a, b = mx.nd.array([[0, 0, 0], [1, 2, 3]]), mx.nd.array([[1, 2, 2], [1, 2, 3]])
    assert squared_euclidean(a, b).asnumpy().tolist() == [9, 0]


def test_pairwise_distances():
    codes = draw_codes(9)
    ours = pairwise_squared_euclidean(mx.nd.array(codes)).asnumpy()
    np.testing.assert_allclose(ours, distances_of(codes), atol=1e-6)
    copies = pairwise_squared_euclidean(mx.nd.array(np.repeat(codes, 2, axis=0))).asnumpy()
    assert copies.min() >= 0


def test_pairwise_distances_of_symbols():
    codes = draw_codes(4)
    graph = pairwise_squared_euclidean(mx.sym.var("codes"))
    (ours,) = graph.eval(codes=mx.nd.array(codes))
    np.testing.assert_allclose(ours.asnumpy(), distances_of(codes), atol=1e-6)


# --- the hinge over given triplets

D_SAME = [[0.5, 0.5, 0.0], [2.0, 0.25, 4.0]]
D_DIFF = [[0.25, 2.0, 1.0], [1.5, 0.5, 0.0]]
HINGE_AT_1 = [[1.25, 0.0, 0.0], [1.5, 0.75, 5.0]]
HINGE_AT_HALF = [[0.75, 0.0, 0.0], [1.0, 0.25, 4.5]]


@pytest.mark.parametrize(("margin", "expected"), [(1.0, HINGE_AT_1), (0.5, HINGE_AT_HALF)])
def test_triplet_hinge_by_hand(margin, expected):
    assert triplet_hinge(np.array(D_SAME), np.array(D_DIFF), margin).tolist() == expected
    same, diff = mx.nd.array(D_SAME), mx.nd.array(D_DIFF)
    assert triplet_hinge(same, diff, margin).asnumpy().tolist() == expected
    graph = triplet_hinge(mx.sym.var("same"), mx.sym.var("diff"), margin)
    assert graph.eval(same=same, diff=diff)[0].asnumpy().tolist() == expected


def test_triplet_hinge_takes_any_shape_and_type():
    assert triplet_hinge(np.float64(1.0), np.float64(0.5)) == 1.5
    assert triplet_hinge(np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)).shape == (
        2,
        3,
        4,
    )
    assert triplet_hinge(np.ones(2, np.float32), np.ones(2, np.float32)).dtype == np.float32


@given(st.floats(0, 4), st.floats(0, 4), st.floats(0.01, 3))
def test_triplet_hinge_is_its_formula(d_same, d_diff, margin):
    ours = triplet_hinge(np.array(d_same), np.array(d_diff), margin)
    assert ours == pytest.approx(max(0.0, margin - (d_diff - d_same)))


FA = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
FS = [[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]]  # 1, 0 and 4 away
FD = [[1.0, 0.0], [3.0, 0.0], [0.0, 0.5]]  # 1, 4 and 1/4 away


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize(("margin", "expected"), [(1.0, [1, 0, 4.75]), (4.5, [4.5, 0.5, 8.25])])
def test_triplet_hinge_block_by_hand(hybrid, margin, expected):
    block = TripletHinge(margin)
    if hybrid:
        block.hybridize()
    loss = block(mx.nd.array(FA), mx.nd.array(FS), mx.nd.array(FD))
    assert loss.asnumpy().tolist() == expected


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
def test_triplet_hinge_block_gradient_by_hand(hybrid):
    """Where active: 2 (fd - fs), 2 (fs - fa) and 2 (fa - fd); else 0."""
    codes = [mx.nd.array(c) for c in (FA, FS, FD)]
    block = TripletHinge(1.0)
    if hybrid:
        block.hybridize()
    for code in codes:
        code.attach_grad()
    with mx.autograd.record():
        loss = block(*codes)
    loss.backward()
    fa, fs, fd = (np.array(c) for c in (FA, FS, FD))
    active = np.array([[1], [0], [1]])
    for code, expected in zip(codes, (2 * (fd - fs), 2 * (fs - fa), 2 * (fa - fd))):
        np.testing.assert_allclose(code.grad.asnumpy(), expected * active, atol=1e-6)


# --- random triplets


def test_random_triplets():
    codes = draw_codes(9)
    loss = RandomTriplets(0.75)
    value = loss(mx.nd.array(codes), np.zeros(9, np.int64))
    d_same = ((codes[:3] - codes[3:6]) ** 2).sum(axis=1)
    d_diff = ((codes[:3] - codes[6:]) ** 2).sum(axis=1)
    expected = np.maximum(0, 0.75 + d_same - d_diff)
    np.testing.assert_allclose(value.asnumpy(), expected, atol=1e-6)
    assert loss.statistics["active"].asscalar() == pytest.approx((expected > 0).mean())


def test_gradient_of_random_triplets():
    codes = draw_codes(12, seed=4)

    def reference(x):
        fa, fs, fd = np.split(x, 3)
        return np.maximum(0, 1 + ((fa - fs) ** 2 - (fa - fd) ** 2).sum(axis=1)).mean()

    ours = gradient_of(RandomTriplets(), codes, np.zeros(12, np.int64))
    assert ours.any()
    np.testing.assert_allclose(ours, numeric_gradient(reference, codes), atol=1e-5)


# --- supervised contrastive

LABELS = np.array([0, 1, 0, 2, 1, 0, 3, 2])


def khosla(codes: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """Return equation 2 of Khosla et al. 2020, term by term."""
    scores = codes @ codes.T / temperature
    losses = np.zeros(len(codes))
    for i in range(len(codes)):
        others = [a for a in range(len(codes)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            normaliser = np.logaddexp.reduce(scores[i, others])
            losses[i] = -np.mean([scores[i, p] - normaliser for p in positives])
    return losses


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01, 0.001])
def test_supervised_contrastive(temperature):
    codes = draw_codes(8)
    value = SupervisedContrastive(temperature)(mx.nd.array(codes), LABELS).asnumpy()
    expected = khosla(codes, LABELS, temperature)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)
    assert value[6] == 0  # the only one of its class


def test_supervised_contrastive_by_hand():
    """Two of a class at distance 0 and one at distance 4: scores 0, 0 and -2 at temperature 1."""
    distances = mx.nd.array([[0, 0, 4], [0, 0, 4], [4, 4, 0]])
    positives = mx.nd.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    value = supervised_contrastive(distances, positives, 1.0).asnumpy()
    np.testing.assert_allclose(value, [np.log(1 + np.exp(-2))] * 2 + [0], atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02])
def test_gradient_of_supervised_contrastive(temperature):
    codes = draw_codes(8)

    def reference(x):
        # the loss of distances, also off the sphere
        scores = -distances_of(x) / (2 * temperature)
        np.fill_diagonal(scores, -np.inf)
        shares = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
        same = (LABELS[:, None] == LABELS) & ~np.eye(8, dtype=bool)
        sums = np.where(same, shares, 0).sum(axis=1)
        return (-sums / np.maximum(1, same.sum(axis=1))).mean()

    numeric = numeric_gradient(reference, codes)
    ours = gradient_of(SupervisedContrastive(temperature), codes, LABELS)
    np.testing.assert_allclose(ours, numeric, atol=1e-4 * np.abs(numeric).max())


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0]])
def test_supervised_contrastive_with_nothing_to_tell_apart(labels):
    codes = draw_codes(len(labels))
    value = SupervisedContrastive()(mx.nd.array(codes), np.array(labels)).asnumpy()
    np.testing.assert_allclose(value, 0, atol=1e-5)


# --- the control's loss, and all of them


def test_softmax_cross_entropy_by_hand():
    scores = mx.nd.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    value = SoftmaxCrossEntropy()(scores, np.array([1, 0])).asnumpy()
    np.testing.assert_allclose(value, [np.log(2), np.log(4 / 3)], atol=1e-5)


@pytest.mark.parametrize("loss", [RandomTriplets(), AllTriplets(), SupervisedContrastive()])
def test_a_loss_of_codes_that_are_no_numbers_is_none_either(loss):
    """So that training sees it and stops."""
    codes = mx.nd.array(np.full((6, 3), np.nan))
    assert np.isnan(loss(codes, np.array([0, 1] * 3)).mean().asscalar())


def test_losses_by_name():
    for name, minings in LOSSES.items():
        for mining, kind in minings.items():
            assert type(get_loss(name, mining)) is kind
    assert get_loss("triplet", margin=0.3).margin == 0.3
    assert get_loss("supcon", temperature=0.3).temperature == 0.3


def test_an_unknown_loss_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="loss 'arcface' is not known") as caught:
        get_loss("arcface")
    assert all(name in str(caught.value) for name in LOSSES)


@pytest.mark.parametrize(("loss", "mining"), [("triplet", "hard-ish"), ("supcon", "random")])
def test_an_unknown_mining_is_answered_with_the_known_ones(loss, mining):
    with pytest.raises(InputError, match=f"mining '{mining}' does not go with") as caught:
        get_loss(loss, mining)
    assert all(name in str(caught.value) for name in LOSSES[loss])


@pytest.mark.parametrize("margin", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [TripletHinge, AllTriplets, RandomTriplets])
def test_margins_that_make_no_sense(kind, margin):
    with pytest.raises(InputError, match=r"margin is .*: give a number above 0"):
        kind(margin)


@pytest.mark.parametrize("temperature", [0, -0.1, float("nan")])
def test_temperatures_that_make_no_sense(temperature):
    with pytest.raises(InputError, match=r"temperature is .*: give a number above 0"):
        SupervisedContrastive(temperature)
