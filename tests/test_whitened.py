"""The network whose first layer whitens: what it makes of the images that it takes in."""

from __future__ import annotations

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.networks import Classifier, get_network, whitened
from tripletnet.networks.whitened import whitening_filters
from tripletnet.training import TrainingConfig, fit_control, fit_encoder


def smooth_images(count: int, size: int) -> np.ndarray:
    """Return noise whose neighbouring pixels and colours are alike, as photos' are."""
    random = np.random.default_rng(1)
    noise = random.normal(0, 1, (count, size + 2, size + 2, 1)) + random.normal(
        0, 0.3, (count, size + 2, size + 2, 3)
    )
    return noise[:, 2:, 2:] + noise[:, 1:-1, 1:-1] + noise[:, :-2, :-2]


@pytest.mark.parametrize(("patch", "components"), [(2, 12), (3, 5)])
def test_filters_whiten(patch, components):
    images = smooth_images(200, 8)
    filters = whitening_filters(images, patch, components)
    assert filters.shape == (2 * components, 3, patch, patch) and filters.dtype == np.float32
    assert (filters[:components] == -filters[components:]).all()
    windows = np.lib.stride_tricks.sliding_window_view(images, (patch, patch), axis=(1, 2))
    answers = windows.reshape(-1, 3 * patch**2) @ filters[:components].reshape(components, -1).T
    spread = answers.T @ answers / len(answers)
    assert spread == pytest.approx(np.eye(components), abs=0.02)


def test_the_largest_components_come_first():
    images = smooth_images(100, 8)
    filters = whitening_filters(images, 2, 12)[:12]
    # the more a component varies, the less its filter has to blow it up
    assert (np.diff(np.linalg.norm(filters.reshape(12, -1), axis=1)) > 0).all()


def test_fewer_images_are_looked_at_where_patches_are_large(monkeypatch):
    images = smooth_images(60, 12)
    monkeypatch.setattr(whitened, "_WORK", 20 * 5 * 5 * 48**2)  # that of 20 images
    few = whitening_filters(images, 4, 5, stride=2)
    assert few == pytest.approx(whitening_filters(images[::3], 4, 5, stride=2))
    monkeypatch.setattr(whitened, "_BLOCK", 1)  # one image at a time
    assert whitening_filters(images, 4, 5, stride=2) == pytest.approx(few, rel=1e-3, abs=1e-5)


def test_flat_images_give_finite_filters():
    assert np.isfinite(whitening_filters(np.zeros((4, 8, 8, 3)), 2, 12)).all()


@pytest.mark.parametrize(("size", "patch"), [(16, 3), (32, 3), (64, 6), (100, 9)])
def test_larger_images_have_larger_patches(size, patch):
    network = get_network("whitened", code_size=8, image_size=size)
    network.initialize(mx.init.MSRAPrelu())
    pixels = np.random.default_rng(0).integers(0, 256, (6, size, size, 3), dtype=np.uint8)
    network.take_in(pixels)
    weight = network.layers[0].weight.data().asnumpy()
    assert weight.shape == (32, 3, patch, patch)
    mean, std = (p.data().asnumpy().ravel() for p in (network.pixels.mean, network.pixels.std))
    expected = whitening_filters((pixels - mean) / std, patch, 16, stride=patch // 3)
    assert weight == pytest.approx(expected, rel=1e-3, abs=1e-4)
    codes = network(mx.nd.array(pixels.transpose(0, 3, 1, 2), dtype="uint8")).asnumpy()
    assert np.linalg.norm(codes, axis=1) == pytest.approx(1, abs=1e-5)


def test_convolutions_begin_as_identities():
    network = get_network("whitened", code_size=8, image_size=16)
    network.initialize(mx.init.MSRAPrelu())
    for layer, channels in ((network.layers[2], 32), (network.layers[6], 64)):
        x = mx.nd.random.normal(shape=(2, channels, 5, 5))
        assert layer(x).asnumpy()[:, :channels] == pytest.approx(x.asnumpy(), abs=1e-5)


@pytest.mark.parametrize("control", [False, True])
def test_training_takes_images_in_and_leaves_the_first_layer(striped_images, control):
    config = TrainingConfig(
        120, network="whitened", code_size=8, batch_size=30, loss="supcon", optimizer="nesterov"
    )
    fitted = (fit_control if control else fit_encoder)(striped_images, config, quiet=True)
    network = fitted.encoder if isinstance(fitted, Classifier) else fitted
    mean, std = (p.data().asnumpy().ravel() for p in (network.pixels.mean, network.pixels.std))
    expected = whitening_filters((striped_images.pixels - mean) / std, 3, 16)
    assert network.layers[0].weight.data().asnumpy() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "widths", "activation"),
    [
        ("whitened", (64, 128, 256), "GELU"),
        ("whitened-relu", (64, 128, 256), "Activation"),
        ("whitened-wide", (64, 256, 256), "GELU"),
    ],
)
def test_widths_and_activations(name, widths, activation):
    layers = get_network(name).layers
    assert tuple(layers[i].weight.shape[0] for i in (2, 9, 16)) == widths
    nn = mx.gluon.nn
    activations = [layer for layer in layers if isinstance(layer, (nn.Activation, nn.GELU))]
    assert [type(layer).__name__ for layer in activations] == [activation] * 7
    assert {getattr(layer, "_act_type", "relu") for layer in activations} == {"relu"}
