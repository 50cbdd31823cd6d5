"""The examples for a user's own images and codes, run as the user runs them."""

from __future__ import annotations

import os
import shutil
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


def run(*command: object, cache: Path, status: int = 0) -> subprocess.CompletedProcess:
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
    )
    assert done.returncode == status, done.stderr
    return done


@pytest.mark.slow
def test_train_on_folder(photos, tmp_path):
    example = (sys.executable, EXAMPLES / "train_on_folder.py")
    done = run(*example, photos, tmp_path / "run", "--epochs", 6, cache=tmp_path)
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


@pytest.mark.slow
def test_few_pictures(photos, tmp_path):
    """Two of each class are held out for the test at twenty, and one at twelve."""
    example = (sys.executable, EXAMPLES / "train_on_folder.py")
    for count in (20, 12):
        for label in "01":
            folder = tmp_path / str(count) / label
            folder.mkdir(parents=True)
            for picture in sorted((photos / label).glob("*.png"))[:count]:
                shutil.copy(picture, folder)
    few, enough = (tmp_path / name for name in ("12", "20"))
    done = run(*example, enough, tmp_path / "run", "--epochs", 3, cache=tmp_path)
    assert "Recall@1: " in done.stdout and "0.png (" in done.stdout
    done = run(*example, few, tmp_path / "none", cache=tmp_path, status=2)
    assert "no class has two images to test on" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "content", [None, {"codes": np.eye(3)}, {"codes": np.eye(3), "labels": "abc"}]
)
def test_codes_that_cannot_be_probed(tmp_path, content):
    path = tmp_path / "codes.npz"
    if content is not None:
        np.savez(path, **{name: np.array(list(value)) for name, value in content.items()})
    done = run(sys.executable, EXAMPLES / "probe_codes.py", path, cache=tmp_path, status=2)
    assert done.stderr.count("\n") == 1 and "codes.npz" in done.stderr
