"""The examples for a user's own images and codes, run as the user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tripletnet.data import load_digits
from tripletnet.data.opencv import cv2

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """A folder with sixty pictures of each of three digits, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    images = load_digits().train
    for label in (0, 1, 4):
        (folder / images.classes[label]).mkdir()
        for number, index in enumerate(np.flatnonzero(images.labels == label)[:60]):
            pixels = images.take(np.array([index]))[0]
            cv2.imwrite(str(folder / images.classes[label] / f"{number:03d}.png"), pixels)
    (folder / "0" / "broken.jpg").write_bytes(b"not a picture")
    return folder


def run(*command: object, cache: Path) -> subprocess.CompletedProcess:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_train_on_folder(photos, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import train_on_folder as e; "
        f"e.main({str(photos)!r}, {str(tmp_path / 'run')!r}, epochs=6)"
    )
    done = run(sys.executable, "-c", code, cache=tmp_path)
    assert "broken.jpg" in done.stdout
    assert "Recall@1: " in done.stdout
    assert (tmp_path / "run/validation.csv").exists()


def test_probe_codes(tmp_path):
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    codes = random.normal(size=(90, 8)) + 5 * np.eye(8)[labels]
    np.savez(tmp_path / "codes.npz", codes=codes, labels=labels)
    command = (sys.executable, EXAMPLES / "probe_codes.py", tmp_path / "codes.npz")
    assert "SVM accuracy 100.0%" in run(*command, cache=tmp_path).stdout
