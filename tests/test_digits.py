"""Scikit-learn's digits as images."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import datasets

from tripletnet.data.digits import load_digits


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_shapes_and_names(digits):
    assert digits.name == "digits (scikit-learn)"
    for part, count in ((digits.train, 1297), (digits.test, 500)):
        assert part.pixels.shape == (count, 32, 32, 3)
        assert part.pixels.dtype == np.uint8 and part.pixels.flags.c_contiguous
        assert part.labels.shape == (count,) and part.labels.dtype == np.int64
        assert list(part.classes) == list("0123456789")
    assert digits.validation is None


def test_grey_over_the_whole_scale(digits):
    pixels = digits.train.pixels
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_each_class_is_divided_alike(digits):
    every = np.bincount(datasets.load_digits().target)
    train, test = (np.bincount(part.labels) for part in (digits.train, digits.test))
    assert np.array_equal(train + test, every)
    assert np.all(np.abs(test - every * 500 / 1797) < 1)


def test_images_are_the_originals_enlarged(digits):
    """Each is one original, has its label, and lies bilinearly between that one's pixels."""
    originals = datasets.load_digits()
    pixels = np.concatenate([digits.train.pixels, digits.test.pixels])[..., 0].astype(float)
    # the middle 2x2 of the 4x4 that each original pixel became
    middle = pixels.reshape(-1, 8, 4, 8, 4)[:, :, 1:3, :, 1:3].mean((2, 4)).reshape(-1, 64)
    source = cdist(middle * (16 / 255), originals.data).argmin(1)
    assert np.array_equal(np.sort(source), np.arange(1797))

    labels = np.concatenate([digits.train.labels, digits.test.labels])
    assert np.array_equal(labels, originals.target[source])

    # in the first row only columns mix: 2 to 5 lie 1/8, 3/8, 5/8, 7/8 of the way from 0 to 1
    first, second = (originals.images[source, 0, x, None] * (255 / 16) for x in (0, 1))
    expected = first + (second - first) * np.array([1, 3, 5, 7]) / 8
    assert np.abs(pixels[:, 0, 2:6] - expected).max() <= 1


def test_the_same_ever_after(digits):
    digest = hashlib.sha256()
    for part in (digits.train, digits.test):
        digest.update(part.pixels.tobytes())
        digest.update(part.labels.astype("<i8").tobytes())
    assert digest.hexdigest() == "c1cdac7cbf68eb9c0e06758d5323150610584ef063db842e8a8f047d79ff0231"
