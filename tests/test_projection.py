"""Training through a projection head, of which the codes know nothing but their ReLU."""

from __future__ import annotations

import numpy as np
import pytest

from tripletnet.backend import mx
from tripletnet.encoding import encode
from tripletnet.errors import InputError
from tripletnet.networks import WithNorms, get_network
from tripletnet.training import TrainingConfig, train_run

CONFIG = TrainingConfig(
    600, network="residual", code_size=8, batch_size=30, loss="supcon", projection=4
)


def test_what_the_loss_sees_by_hand(striped_images):
    network = get_network("residual", code_size=8, image_size=16, rectify=True)
    seen = WithNorms(network, projection=4)
    seen.initialize(mx.init.MSRAPrelu())
    x = mx.nd.array(striped_images.pixels.transpose(0, 3, 1, 2), dtype="uint8")
    before = np.maximum(network.embed(x).asnumpy(), 0)
    codes = network(x).asnumpy()
    assert codes == pytest.approx(before / np.linalg.norm(before, axis=1)[:, None], abs=1e-5)
    head = before @ seen.head.weight.data().asnumpy().T + seen.head.bias.data().asnumpy()
    outputs, norms = (array.asnumpy() for array in seen(x))
    assert norms[:, 0] == pytest.approx(np.linalg.norm(head, axis=1), rel=1e-4)
    assert outputs == pytest.approx(head / norms, abs=1e-4)


def test_a_run_has_no_head(striped_images, tmp_path):
    whole = train_run(striped_images, CONFIG, tmp_path / "whole", quiet=True)
    assert whole.encoder.arguments == {"code_size": 8, "image_size": 16, "rectify": True}
    assert not any("head" in name for name in whole.encoder._collect_params_with_prefix())
    codes = encode(whole.encoder, striped_images)
    assert codes.shape == (60, 8) and (codes >= 0).all()


def test_no_numbers_are_no_head():
    with pytest.raises(InputError, match="projection is 0: give 1 or more"):
        CONFIG.replace(projection=0)
