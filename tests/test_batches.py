"""Batches ahead of the network: their content, their order, their thread, and augmentation."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.data.augment import Augmentation
from tripletnet.data.batches import assemble, batches
from tripletnet.data.images import ImageSet
from tripletnet.data.sampling import UniformSampler
from tripletnet.errors import InputError


@pytest.fixture
def images(striped_images) -> ImageSet:
    """Every second striped image in reverse, so that a row is not its own index."""
    return striped_images.subset(np.arange(58, 0, -2))


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "tripletnet" in thread.name]


def test_a_batch_is_what_was_drawn(images):
    sampler = UniformSampler(len(images), 8, seed=1)
    pixels, labels = assemble(images, sampler, step=3)
    drawn = sampler.indices(3)
    assert pixels.dtype == np.uint8 and pixels.shape == (8, 3, 16, 16)
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, images.take(drawn).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(labels, images.labels[drawn])


@pytest.mark.parametrize("ahead", [1, 4, 100])
@pytest.mark.parametrize("augmentation", [None, Augmentation(shift=2)])
def test_batches_come_in_order(images, ahead, augmentation):
    sampler = UniformSampler(len(images), 8)
    steps = range(3, 15)
    got = list(batches(images, sampler, steps, augmentation, seed=5, ahead=ahead))
    assert len(got) == len(steps)
    for step, (pixels, labels) in zip(steps, got):
        expected = assemble(images, sampler, step, augmentation, seed=5)
        np.testing.assert_array_equal(pixels, expected[0])
        np.testing.assert_array_equal(labels, expected[1])
    assert thread_names() == []


def test_no_steps_no_batches(images):
    assert list(batches(images, UniformSampler(len(images), 8), range(4, 4))) == []
    assert thread_names() == []


def test_the_thread_ends_when_the_batches_are_no_longer_wanted(images):
    source = batches(images, UniformSampler(len(images), 8), range(1_000_000), ahead=2)
    next(source)
    assert thread_names() == ["tripletnet-batches"]
    source.close()
    assert thread_names() == []


def test_batches_are_assembled_ahead_but_not_without_bound(images):
    class Counting(UniformSampler):
        drawn = 0

        def indices(self, step):
            self.drawn += 1
            return super().indices(step)

    sampler = Counting(len(images), 8)
    source = batches(images, sampler, range(1_000_000), ahead=3)
    next(source)
    deadline = time.monotonic() + 10
    while sampler.drawn < 5 and time.monotonic() < deadline:
        time.sleep(0.01)  # one handed out, three ready, one that waits for a place
    time.sleep(0.05)
    assert sampler.drawn == 5
    source.close()


def test_an_error_in_the_thread_is_raised_where_the_batches_are_used(images):
    class Failing(UniformSampler):
        def indices(self, step):
            if step == 4:
                raise InputError("photo.jpg: cannot be read")
            return super().indices(step)

    sampler = Failing(len(images), 8)
    got = []
    with pytest.raises(InputError, match=r"photo\.jpg"):
        for batch in batches(images, sampler, range(10)):
            got.append(batch)
    assert len(got) == 4  # what came before the error is not lost
    assert thread_names() == []


def test_augmentation_of_a_batch_follows_from_seed_and_step(images):
    sampler = UniformSampler(len(images), 8)
    augmentation = Augmentation()
    first = assemble(images, sampler, 2, augmentation, seed=7)[0]
    np.testing.assert_array_equal(first, assemble(images, sampler, 2, augmentation, seed=7)[0])
    assert (first != assemble(images, sampler, 2, augmentation, seed=8)[0]).any()


def test_an_image_is_altered_otherwise_in_each_step(images):
    class Same(UniformSampler):
        def indices(self, step):
            return np.arange(self.batch_size)

    sampler = Same(len(images), 8)
    altered = {assemble(images, sampler, step, Augmentation())[0].tobytes() for step in range(10)}
    assert len(altered) == 10


# --- augmentation


def moved(image: np.ndarray, down: int, right: int, mirrored: bool) -> np.ndarray:
    """Return the image seen through a window that is moved, its border repeated, pixel by pixel."""
    height, width, _ = image.shape
    result = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            from_y = min(max(y + down, 0), height - 1)
            from_x = min(max(x + right, 0), width - 1)
            result[y, width - 1 - x if mirrored else x] = image[from_y, from_x]
    return result


def moves_of(image: np.ndarray, altered: np.ndarray, shift: int) -> list[tuple[int, int, bool]]:
    """Return all the ways in which the one could have become the other."""
    reach = range(-shift, shift + 1)
    return [
        (down, right, mirrored)
        for down in reach
        for right in reach
        for mirrored in (False, True)
        if (moved(image, down, right, mirrored) == altered).all()
    ]


def noise(count: int, height: int, width: int) -> np.ndarray:
    shape = (count, height, width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@given(
    st.integers(3, 6), st.integers(3, 6), st.booleans(), st.integers(0, 2), st.integers(0, 2**32)
)
@settings(max_examples=40, deadline=None)
def test_images_are_shifted_and_mirrored_and_nothing_else(height, width, flip, shift, seed):
    images = noise(3, height, width)
    kept = images.copy()
    altered = Augmentation(flip, shift)(images, np.random.default_rng(seed))
    assert altered.dtype == np.uint8 and altered.shape == images.shape
    for before, after in zip(images, altered):
        found = moves_of(before, after, shift)
        assert found
        assert flip or not all(mirrored for *_, mirrored in found)
    np.testing.assert_array_equal(images, kept)


def test_every_shift_and_both_sides_come_up():
    image = noise(1, 5, 5)[0]
    altered = Augmentation(flip=True, shift=1)(
        np.repeat(image[None], 400, axis=0), np.random.default_rng(0)
    )
    found = [moves_of(image, after, 1) for after in altered[:150]]
    assert all(len(ways) == 1 for ways in found)
    assert len({ways[0] for ways in found}) == 3 * 3 * 2
    mirrored = np.mean([ways[0][2] for ways in found])
    assert 0.35 < mirrored < 0.65


def test_images_may_lie_anyhow_in_memory():
    images = noise(4, 6, 6)
    strange = np.asfortranarray(images)[:, ::-1]
    for seed in range(3):
        a = Augmentation()(strange, np.random.default_rng(seed))
        b = Augmentation()(np.ascontiguousarray(strange), np.random.default_rng(seed))
        np.testing.assert_array_equal(a, b)


RECENT = (
    {"hue": 40.0},
    {"crop": 0.5},
    {"rotate": 20.0},
    {"text": 0.5},
    {"shrink": 0.3},
    {"jpeg": 5},
)


@pytest.mark.parametrize("one", RECENT, ids=str)
def test_what_alters_each_image_by_itself(one):
    alter = Augmentation(flip=False, shift=0, **one)
    images = np.asfortranarray(noise(40, 12, 16))
    kept = images.copy()
    altered = alter(images, np.random.default_rng(1))
    assert altered.shape == images.shape and altered.dtype == np.uint8
    np.testing.assert_array_equal(images, kept)
    np.testing.assert_array_equal(altered, alter(images, np.random.default_rng(1)))
    changed = (altered != images).any(axis=(1, 2, 3))
    if {"shrink", "jpeg", "text"} & set(one):  # every other image
        assert 0.25 < changed.mean() < 0.75
    else:
        assert changed.mean() > 0.8  # a large crop of a small image is all of it


def test_hues_turn_by_no_more_than_was_asked_for():
    red = np.zeros((200, 2, 2, 3), np.uint8)
    red[..., 0] = 200
    altered = Augmentation(flip=False, shift=0, hue=30)(red, np.random.default_rng(0))
    # 30 degrees from red, green or blue has come up by a half
    assert (altered[..., 0] == 200).all()
    assert 90 < altered[..., 1].max() <= 101 and 90 < altered[..., 2].max() <= 101
    assert (altered[..., 1:].min(axis=-1) == 0).all()


def test_switched_off_it_alters_nothing():
    off = Augmentation(flip=False, shift=0)
    assert not off
    images = noise(4, 6, 5)
    np.testing.assert_array_equal(off(images, np.random.default_rng(0)), images)
    for one in ({"flip": True}, {"shift": 1}, {"crop": 0.5}, {"colour": 0.2}, *RECENT):
        assert Augmentation(**{"flip": False, "shift": 0, **one})


def test_crops_show_a_part_of_the_image_at_its_size():
    """A ramp stays a ramp, only of a smaller range; no crop has less than the area asked for."""
    ramp = np.broadcast_to(np.linspace(20, 220, 40)[:, None, None], (40, 40, 3))
    images = np.repeat(ramp[None].astype(np.uint8), 60, axis=0)
    altered = Augmentation(flip=False, shift=0, crop=0.5)(images, np.random.default_rng(0))
    assert altered.shape == images.shape and altered.dtype == np.uint8
    column = altered[:, :, 20, 0].astype(int)
    assert (np.diff(column, axis=1) >= 0).all()
    height = (column[:, -1] - column[:, 0]) / 200
    # the flattest half has sides in the ratio 4 : 3
    assert height.min() > np.sqrt(0.5 * 3 / 4) - 0.06
    assert height.min() < 0.75 and height.max() > 0.95
    assert len(np.unique(column[:, 0])) > 5


@pytest.mark.parametrize("share", [0.8, 0.9, 0.95, 1.0])
def test_large_crops_are_as_large_as_asked_for(share):
    places = np.stack([*np.mgrid[:60, :60], np.zeros((60, 60))], axis=2).astype(np.uint8)
    images = np.repeat(places[None], 300, axis=0)
    altered = Augmentation(flip=False, shift=0, crop=share)(images, np.random.default_rng(0))
    sides = altered[:, -1, -1, :2].astype(int) - altered[:, 0, 0, :2] + 1
    assert (sides.prod(axis=1) / 3600).min() > share - 0.02  # sides are whole pixels


def test_colours_change_within_bounds():
    grey = np.full((200, 4, 4, 3), 100, np.uint8)
    altered = Augmentation(flip=False, shift=0, colour=0.3)(grey, np.random.default_rng(0))
    # a uniform grey has neither contrast nor saturation: brightness alone is left
    assert (altered == altered[:, :1, :1, :1]).all()
    assert 70 <= altered.min() < 75 and 125 < altered.max() <= 130


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift": -1},
        {"crop": 0.0},
        {"crop": 1.5},
        {"colour": -0.1},
        {"colour": 1.0},
        {"hue": -1},
        {"rotate": 181},
        {"text": 1.5},
        {"shrink": 0.0},
        {"jpeg": 0},
        {"jpeg": 101},
    ],
)
def test_augmentation_that_makes_no_sense_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(InputError, match=f"{name} is {value}: give"):
        Augmentation(**wrong)


@pytest.mark.parametrize("labels", [[1, 2, 3], [-1, 0, 1], [0.0, 1.0, 2.0], ["a", "b", "c"]])
def test_labels_are_places_among_the_classes(labels):
    with pytest.raises(ValueError, match="labels must be"):
        ImageSet("x", noise(3, 4, 4), labels, "abc")


def test_a_subset_by_places_and_by_a_mask():
    images = ImageSet("x", noise(4, 4, 4), [0, 1, 2, 1], "abc", paths=["a", "b", "c", "d"])
    assert images.subset([2, 0]).paths == ["c", "a"]
    assert images.subset(images.labels == 1).paths == ["b", "d"]
    assert len(images.subset([])) == 0
