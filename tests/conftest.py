"""Fixtures that several test files share."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Callable

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


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a small network that has learnt nothing."""
    import json

    from tripletnet.backend import mx
    from tripletnet.networks import get_network
    from tripletnet.runs import save_run

    mx.random.seed(3)
    network = get_network("article", code_size=16, image_size=16)
    network.initialize(mx.init.Xavier())
    run = tmp_path_factory.mktemp("runs") / "small"
    save_run(run, network, "article", source={"kind": "folder", "size": 16, "fit": "crop"})
    (run / "threshold.json").write_text(json.dumps({"distance": 0.05}))
    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 24x20 pictures of noise: a/0.png to a/4.png, b/0.png to b/4.png, and loose.png.

    b/4.png is a copy of a/0.png.
    """
    from PIL import Image

    random = np.random.default_rng(0)
    root = tmp_path / "photos"
    for name in (*(f"{folder}/{i}.png" for folder in "ab" for i in range(5)), "loose.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # a few large patches, which the network tells apart better than single pixels
        patches = random.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        Image.fromarray(patches.repeat(4, 0).repeat(4, 1)).save(path)
    (root / "b/4.png").write_bytes((root / "a/0.png").read_bytes())
    return root


@pytest.fixture
def tripletnet() -> Callable[..., tuple[int, str, str]]:
    """The command line, in this process: its status, and its standard output and error."""
    from tripletnet.cli import main

    def run(*options: object) -> tuple[int, str, str]:
        said, notices = io.StringIO(), io.StringIO()
        exits = pytest.raises(SystemExit)
        with redirect_stdout(said), redirect_stderr(notices), warnings.catch_warnings(), exits as e:
            warnings.simplefilter("default", UserWarning)  # pytest would keep them
            main(list(map(str, options)))
        return int(e.value.code or 0), said.getvalue(), notices.getvalue()

    return run


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"
