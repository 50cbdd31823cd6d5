"""The eight alterations: shape, determinism, and what each of them does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.data.alter import ALTERATIONS, MILD, STRONG
from tripletnet.data.opencv import cv2


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(side: int = 64) -> np.ndarray:
    return cv2.GaussianBlur(noise(side, side), (0, 0), 5)


def alter(name: str, image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    return ALTERATIONS[name](image, strength, np.random.default_rng(seed))


def test_there_are_eight_and_both_sets_name_them_all():
    assert list(ALTERATIONS) == list(MILD) == list(STRONG)
    assert len(ALTERATIONS) == 8
    assert all(MILD[name] != STRONG[name] for name in ALTERATIONS if name != "flip")


@pytest.mark.parametrize("strengths", [MILD, STRONG])
@pytest.mark.parametrize("name", ALTERATIONS)
@settings(deadline=None, max_examples=15)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 9))
def test_shape_determinism_and_an_untouched_original(name, strengths, height, width, seed):
    image = noise(height, width, seed)
    before = image.copy()
    altered = alter(name, image, strengths[name], seed)
    assert (altered.shape, altered.dtype) == (image.shape, np.uint8)
    assert altered.flags.c_contiguous
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(altered, alter(name, image, strengths[name], seed))


def test_strong_changes_more_than_mild():
    image = smooth()
    for name in set(ALTERATIONS) - {"flip"}:
        mild, strong = (
            np.abs(alter(name, image, strengths[name]).astype(int) - image).mean()
            for strengths in (MILD, STRONG)
        )
        assert 0 < mild < strong, name


def test_flip():
    image = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    assert alter("flip", image, 1).tolist() == [[[3, 4, 5], [0, 1, 2]]]


def test_brightness_is_a_factor_that_saturates():
    image = np.full((1, 1, 3), (10, 100, 200), np.uint8)
    found = {tuple(alter("brightness", image, 0.5, seed)[0, 0]) for seed in range(20)}
    assert found == {(15, 150, 255), (5, 50, 100)}


def test_hue_turns_red_to_green_or_blue_and_leaves_grey():
    red, grey = (np.full((2, 2, 3), colour, np.uint8) for colour in ((255, 0, 0), (90, 90, 90)))
    found = {tuple(alter("hue", red, 120, seed)[0, 0]) for seed in range(20)}
    assert found == {(0, 255, 0), (0, 0, 255)}
    np.testing.assert_array_equal(alter("hue", grey, 120), grey)


def test_rotation_by_half_a_turn_and_its_reflected_border():
    image = noise(5, 4)
    np.testing.assert_array_equal(alter("rotate", image, 180), image[::-1, ::-1])
    white = np.full((9, 9, 3), 255, np.uint8)
    np.testing.assert_array_equal(alter("rotate", white, 30), white)


def test_scale_averages_and_enlarges():
    board = np.zeros((8, 8, 3), np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 100
    np.testing.assert_array_equal(alter("scale", board, 0.5), np.full_like(board, 50))
    np.testing.assert_array_equal(alter("scale", board, 1), board)


def test_crop_shows_a_part_anywhere():
    ramp = np.repeat(np.arange(100, dtype=np.uint8)[None, :, None], 3, axis=2)
    ramp = np.repeat(ramp, 100, axis=0)
    starts = set()
    for seed in range(30):
        cut = alter("crop", ramp, 0.2, seed)
        assert 78 <= int(cut[0, -1, 0]) - int(cut[0, 0, 0]) <= 79  # 80 of 100 columns
        starts.add(int(cut[0, 0, 0]))
    assert min(starts) < 6 and max(starts) > 14


def test_jpeg_is_what_the_quality_leaves():
    image = smooth()
    off = {
        quality: np.abs(alter("jpeg", image, quality).astype(int) - image).mean()
        for quality in (5, 50, 100)
    }
    assert off[100] < 2 < off[5] and off[100] < off[50] < off[5]


def test_text_is_white_on_dark_and_of_its_height():
    grey = np.full((100, 200, 3), 128, np.uint8)
    written = alter("text", grey, 0.3)
    rows = np.flatnonzero((written == 255).any(axis=(1, 2)))
    assert 26 <= rows[-1] - rows[0] + 1 <= 38
    assert written.min() == 0
    assert 0.3 < (written == grey).all(axis=2).mean() < 0.97
