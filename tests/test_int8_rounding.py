"""Weights rounded together: by hand, on the grid of MXNet, and what it is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tripletnet.backend import mx
from tripletnet.int8 import quantizing
from tripletnet.int8.calibration import Calibration
from tripletnet.int8.making import make_int8
from tripletnet.int8.rounding import rounded_together
from tripletnet.networks import get_network


def test_errors_make_up_for_each_other_by_hand():
    # the second and the third weight are for the same value, which only their sum is for
    products = np.array([[1.0, 0, 0], [0, 1, 1], [0, 1, 1]])
    rounded = rounded_together(np.array([[127.5, 0.4, 0.4], [0.4, 127.5, 0.4]]), products)
    assert rounded[0, 0] == 127.5 and sorted(rounded[0, 1:]) == [0, 1]  # 0.8, and not 0 twice
    # the largest will be 127: what is cut off it, and the 0.4, go to the one beside it
    assert rounded[1].tolist() == [0, 127.5, 1]
    # where nothing goes together each is rounded alone, and -127.5 becomes -128
    alone = rounded_together(np.array([[0.4, 0.6, -127.5, 3.2]]), np.eye(4))
    assert alone.tolist() == [[0, 1, -127.5, 3]]
    assert rounded_together(np.zeros((2, 3)), np.zeros((3, 3))).tolist() == [[0] * 3] * 2


@given(st.integers(1, 5), st.integers(1, 12), st.integers(0, 2**32))
def test_all_are_whole_steps_of_the_largest(filters, count, seed):
    random = np.random.default_rng(seed)
    weights = random.normal(size=(filters, count))
    values = random.normal(size=(30, count)) + random.normal(size=(30, 1))
    rounded = rounded_together(weights, values.T @ values / 30)
    largest = np.abs(weights).argmax(axis=1)
    rows = np.arange(filters)
    np.testing.assert_array_equal(rounded[rows, largest], weights[rows, largest])
    steps = rounded / (np.abs(weights).max(axis=1, keepdims=True) / 127.5)
    steps[rows, largest] = 0
    assert np.abs(steps).max() < 127.001
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)


@pytest.mark.parametrize("vnni", [True, False])
def test_codes_are_nearer_than_with_each_weight_rounded_alone(vnni, monkeypatch):
    """Neighbouring pixels are nearly the same, and the first layer is for their differences."""
    if vnni and not quantizing.sums_in_32_bits():
        pytest.skip("this processor has no VNNI: sums of products of 8 bits overflow")
    monkeypatch.setattr("tripletnet.int8.making.sums_in_32_bits", lambda: vnni)
    random = np.random.default_rng(0)
    noise = random.normal(0, 8, (128, 16, 16, 1)) + random.normal(0, 2, (128, 16, 16, 3))
    pixels = np.clip(random.uniform(60, 200, (128, 1, 1, 3)) + noise, 0, 255).astype(np.uint8)
    mx.random.seed(2)
    network = get_network("whitened-relu", code_size=32, image_size=16)
    network.initialize(mx.init.MSRAPrelu())
    network.take_in(pixels)
    batch = mx.nd.array(pixels[:64].transpose(0, 3, 1, 2), dtype="uint8")
    for _ in range(10):
        with mx.autograd.record():
            network(batch).backward()
    network.hybridize()

    def error() -> float:
        made = make_int8(network, "f", Calibration(pixels))
        assert made.agreement is not None
        return 1 - made.agreement.cosine

    together = error()
    monkeypatch.setattr(quantizing, "round_weights", lambda graph, pixels: None)
    assert together < (0.5 if vnni else 0.75) * error()
