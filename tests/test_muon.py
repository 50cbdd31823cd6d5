"""Muon: orthogonalised steps for convolutions, Nesterov's momentum for all else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from short_trainings import CONFIG, make_trainer, parameters, train

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.training.callbacks import History
from tripletnet.training.muon import Muon, orthogonalised
from tripletnet.training.optimizers import Nesterov


def newton_schulz(matrix: np.ndarray, times: int = 3) -> np.ndarray:
    """The paper's iteration as it is written there, in float64."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(times):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_orthogonalised_is_the_papers_iteration(rows, columns, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    expected = newton_schulz(matrix.astype(np.float64))
    np.testing.assert_allclose(orthogonalised(mx.nd.array(matrix)).asnumpy(), expected, atol=2e-4)


@given(st.integers(2, 30), st.integers(2, 90), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_directions_stay_and_strengths_come_near_to_1(rows, columns, seed):
    random = np.random.default_rng(seed)
    rank = min(rows, columns)
    left, _ = np.linalg.qr(random.normal(size=(rows, rank)))
    right, _ = np.linalg.qr(random.normal(size=(columns, rank)))
    strengths = random.uniform(0.1, 1, rank)  # above a hundredth of their norm
    matrix = mx.nd.array(7 * (left * strengths) @ right.T)
    in_between = left.T @ orthogonalised(matrix).asnumpy() @ right
    assert np.abs(in_between - np.diag(np.diag(in_between))).max() < 1e-3
    assert np.all((np.diag(in_between) > 0.3) & (np.diag(in_between) < 1.3))


def test_a_gradient_of_zeros_moves_nothing():
    assert not orthogonalised(mx.nd.zeros((3, 5))).asnumpy().any()
    weight = mx.nd.random.normal(shape=(3, 2, 3, 3))
    before = weight.asnumpy()
    optimizer = Muon(rate=0.1, learning_rate=0.5)
    optimizer.update(0, weight, mx.nd.zeros(weight.shape), mx.nd.zeros(weight.shape))
    np.testing.assert_allclose(weight.asnumpy(), before, rtol=1e-6)


def test_two_steps_of_a_convolution_are_those_of_the_formula():
    random = np.random.default_rng(1)
    start, *gradients = random.normal(size=(3, 4, 2, 3, 3)).astype(np.float32)
    weight, state = mx.nd.array(start), mx.nd.zeros(start.shape)
    optimizer = Muon(rate=0.1, learning_rate=0.5, wd=0.3)
    for gradient in gradients:
        optimizer.update_multi_precision(0, weight, mx.nd.array(gradient), state)

    expected, momentum = start.reshape(4, -1).astype(np.float64), np.zeros((4, 18))
    length = np.linalg.norm(expected)
    for gradient in gradients:
        momentum = 0.6 * momentum + gradient.reshape(4, -1)
        step = newton_schulz(gradient.reshape(4, -1) + 0.6 * momentum)
        moved = expected - 0.1 * length / 2 * step  # an orthogonal matrix of 4 rows has length 2
        expected = moved * length / np.linalg.norm(moved)
    np.testing.assert_allclose(weight.asnumpy().reshape(4, -1), expected, atol=1e-5)


def test_a_step_follows_the_learning_rate():
    moved = {}
    start = np.eye(8, dtype=np.float32).reshape(8, 8, 1, 1)
    gradient = mx.nd.array(np.random.default_rng(0).normal(size=start.shape))
    for rate in (0.5, 0.25):
        weight = mx.nd.array(start)
        optimizer = Muon(rate=0.01, learning_rate=0.5)
        optimizer.set_learning_rate(rate)
        optimizer.update(0, weight, gradient, mx.nd.zeros(start.shape))
        moved[rate] = np.linalg.norm(weight.asnumpy() - start)
    assert moved[0.5] / moved[0.25] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("shape", [(6,), (6, 4), (6, 1, 3, 3)])
def test_all_else_takes_nesterovs_momentum(shape):
    random = np.random.default_rng(0)
    start, gradient = random.normal(size=(2, *shape)).astype(np.float32)
    results = []
    options = {"learning_rate": 0.5, "wd": 0.01}
    for optimizer in (Muon(rate=0.1, **options), Nesterov(**options)):
        weight, state = mx.nd.array(start), mx.nd.zeros(shape)
        for _ in range(2):
            optimizer.update_multi_precision(0, weight, mx.nd.array(gradient), state)
        results.append(weight.asnumpy())
    assert np.array_equal(*results)


MUON = CONFIG.replace(optimizer="muon", network="residual", learning_rate=0.02)


def test_it_learns_and_filters_keep_their_length(striped_images):
    history = History()
    fresh = make_trainer(striped_images, MUON)
    fresh.start()
    before = parameters(fresh.network)
    trained = train(striped_images, MUON.replace(images=1200), callbacks=[history])
    assert history.rows[-1]["loss"] < 0.5 * history.rows[0]["loss"]
    after = parameters(trained.network)
    filters = [name for name, array in before.items() if array.ndim == 4 and array.shape[0] > 3]
    assert filters
    for name in filters:
        assert np.linalg.norm(after[name]) == pytest.approx(np.linalg.norm(before[name]), rel=1e-4)
        assert not np.allclose(after[name], before[name], atol=1e-3)


def test_a_rate_that_makes_no_sense_is_refused():
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="muon rate"):
            MUON.replace(muon_rate=rate)


def test_a_rate_without_muon_is_refused(tripletnet, photos):
    status, _, said = tripletnet("train", photos, "--out", photos / "run", "--muon-rate", 0.1)
    assert status == 2 and "--muon-rate is for --optimizer muon" in said
