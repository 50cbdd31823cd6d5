"""Codes of images and their mirror images together."""

from __future__ import annotations

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.encoding import encode
from tripletnet.networks import Classifier, get_network
from tripletnet.networks.fingerprint import fingerprint
from tripletnet.retrieval.encoder import Encoder
from tripletnet.training import TrainingConfig, train_run


def mirrored(images: ImageSet) -> ImageSet:
    pixels = np.ascontiguousarray(images.pixels[:, :, ::-1])
    return ImageSet(images.name, pixels, images.labels, images.classes)


@pytest.fixture
def network():
    network = get_network("residual", code_size=8, image_size=16, mirror=True)
    network.initialize(mx.init.MSRAPrelu())
    return network


def test_a_code_is_that_of_both(network, striped_images):
    codes = encode(network, striped_images)
    alone, other = (
        encode(network, s, mirror=False) for s in (striped_images, mirrored(striped_images))
    )
    both = alone + other
    expected = both / np.linalg.norm(both, axis=1, keepdims=True)
    assert codes == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(codes, alone, atol=1e-3)
    assert codes == pytest.approx(encode(network, mirrored(striped_images)), abs=1e-5)


def test_scores_are_the_mean_of_both(network, striped_images):
    control = Classifier(network, 3)
    control.output.initialize(mx.init.MSRAPrelu())
    scores = encode(control, striped_images)
    both = [encode(control, s, mirror=False) for s in (striped_images, mirrored(striped_images))]
    assert scores == pytest.approx(np.mean(both, axis=0), abs=1e-4)


def test_a_run_remembers(striped_images, tmp_path):
    config = TrainingConfig(30, network="residual", code_size=8, batch_size=30, mirror=True)
    run = train_run(striped_images, config, tmp_path / "run", quiet=True)
    assert run.encoder.mirror and run.encoder.arguments["mirror"] is True
    encoder = Encoder.load(tmp_path / "run")
    flipped = mirrored(striped_images)
    assert encoder.encode(striped_images) == pytest.approx(encoder.encode(flipped), abs=1e-5)


def test_the_fingerprint_knows_of_it(network):
    before = fingerprint(network)
    network.mirror = False
    assert fingerprint(network) != before
