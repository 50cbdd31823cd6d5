"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

# Threads that wait without spinning: tests of small networks in several processes share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest

from tripletnet.data.images import ImageSet


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real data sets, or a skip that says how to get them."""
    named = os.environ.get("TRIPLETNET_DATA")
    if not named:
        pytest.skip(
            "needs real images: set TRIPLETNET_DATA to a folder that holds cifar-10-batches-bin "
            "(extracted from https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz)"
        )
    return Path(named)


@pytest.fixture
def striped_images() -> ImageSet:
    """Sixty 16x16 images in three classes that a network can learn: one bright stripe each."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    pixels = random.integers(0, 60, (60, 16, 16, 3), dtype=np.uint8)
    for image, label in zip(pixels, labels):
        image[5 * label : 5 * label + 5] += 150
    return ImageSet("stripes", pixels, labels, ["top", "middle", "bottom"])
