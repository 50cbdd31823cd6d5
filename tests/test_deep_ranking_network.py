"""Deep ranking's network: its shapes, and its paths against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks import DeepRanking, get_network


def shapes(network) -> dict[str, tuple[int, ...]]:
    return {name: p.shape for name, p in network._collect_params_with_prefix().items()}


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_sizes_are_the_papers_by_default():
    network = get_network("deep-ranking")
    assert (network.code_size, network.image_size) == (4096, 224)
    found = shapes(network)
    assert found["layers.trunk.0.weight"] == (64, 3, 3, 3)
    assert found["layers.trunk.28.weight"] == (512, 512, 3, 3)
    assert found["layers.deep.2.weight"] == (4096, 512)
    assert found["layers.deep.4.weight"] == (4096, 4096)
    assert found["layers.middle.0.weight"] == found["layers.coarse.0.weight"] == (96, 3, 8, 8)
    assert found["layers.join.weight"] == (4096, 4096 + 2 * 4 * 4 * 96)
    assert len(network.backbone()) == 2 * 13


@pytest.mark.parametrize(
    ("size", "points"),
    # a = (s - 8) // 16 + 1 and b = (s - 8) // 32 + 1, then (a - 1) // 4 + 1 and (b - 1) // 2 + 1
    [(32, (1, 1)), (64, (1, 1)), (96, (2, 2)), (128, (2, 2)), (224, (4, 4)), (256, (4, 4))],
)
def test_how_the_shapes_follow_from_the_size(size, points):
    network = DeepRanking(code_size=3, image_size=size)
    a, b = points
    assert shapes(network)["layers.join.weight"] == (3, 4096 + 96 * (a * a + b * b))


def test_images_too_small_are_refused():
    with pytest.raises(InputError, match=r"image_size is 31: DeepRanking needs .* 32 x 32 pixels"):
        DeepRanking(image_size=31)


@pytest.fixture(scope="module")
def network() -> DeepRanking:
    mx.random.seed(0)
    network = DeepRanking(code_size=24, image_size=64)
    network.initialize(mx.init.MSRAPrelu())
    return network


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    patches = np.random.default_rng(0).integers(0, 256, (6, 3, 8, 8), dtype=np.uint8)
    return patches.repeat(8, 2).repeat(8, 3)


def convolve(x: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (8, 8), axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, weight, optimize=True)


def test_codes_join_three_paths_of_unit_length(network, images):
    weights = {
        name: p.data().asnumpy().astype(np.float64)
        for name, p in network._collect_params_with_prefix().items()
    }
    mean = np.array([123.675, 116.28, 103.53]).reshape(3, 1, 1)
    std = np.array([58.395, 57.12, 57.375]).reshape(3, 1, 1)
    x = (images - mean) / std
    # at 64 pixels each of the two poolings takes in all that is left
    middle = convolve(x, weights["layers.middle.0.weight"], 16)[:, :, :2, :2].max(axis=(2, 3))
    coarse = convolve(x, weights["layers.coarse.0.weight"], 32).max(axis=(2, 3))
    batch = mx.nd.array(images, dtype="uint8")
    deep = network.layers.trunk(network.pixels(batch)).asnumpy().mean(axis=(2, 3))
    for layer in (2, 4):
        deep = deep @ weights[f"layers.deep.{layer}.weight"].T
        deep = np.maximum(deep + weights[f"layers.deep.{layer}.bias"], 0)
    joined = np.concatenate([unit(deep), unit(middle), unit(coarse)], axis=1)
    expected = unit(joined @ weights["layers.join.weight"].T + weights["layers.join.bias"])
    codes = network(batch)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes.asnumpy(), expected, atol=2e-5)

    network.hybridize(static_alloc=True, static_shape=True)
    np.testing.assert_allclose(network(batch).asnumpy(), codes.asnumpy(), atol=1e-6)


def test_codes_have_not_collapsed_at_the_start(network, images):
    codes = network(mx.nd.array(images, dtype="uint8")).asnumpy()
    assert 1 - (codes.mean(axis=0) ** 2).sum() > 0.05


def test_dropout_takes_out_six_tenths(network, images):
    batch = network.pixels(mx.nd.array(images, dtype="uint8"))
    with mx.autograd.train_mode():
        trained = network.layers.deep(network.layers.trunk(batch)).asnumpy()
    used = network.layers.deep(network.layers.trunk(batch)).asnumpy()
    assert (trained > 0).sum() / (used > 0).sum() == pytest.approx(0.4, abs=0.05)
