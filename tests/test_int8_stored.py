"""The encoder in int8 of a run folder: stored, made anew, and other processes that store theirs."""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tripletnet import Encoder
from tripletnet.backend import mx
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.files import only_one
from tripletnet.int8 import precision as precision_module
from tripletnet.int8.calibration import Calibration, save_calibration
from tripletnet.networks import get_network
from tripletnet.runs import save_run


@pytest.fixture
def run(small_run, striped_images, tmp_path, own_cache) -> Path:
    """A run with images to calibrate on."""
    folder = Path(shutil.copytree(small_run, tmp_path / "run"))
    save_calibration(folder, Calibration(striped_images.pixels))
    return folder


def on_a_processor(monkeypatch: pytest.MonkeyPatch, vnni: bool) -> None:
    for module in ("making", "precision"):
        monkeypatch.setattr(f"tripletnet.int8.{module}.sums_in_32_bits", lambda: vnni)


@contextlib.contextmanager
def said_of_int8() -> Iterator[list[str]]:
    """Collect what is said of an encoder that is made anew."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    found += [str(warning.message) for warning in caught if "anew" in str(warning.message)]


def test_what_did_not_do_is_tried_again_on_another_kind_of_processor(run, monkeypatch):
    def stored():
        return json.loads((run / "int8.json").read_text())

    def load(vnni):
        on_a_processor(monkeypatch, vnni)
        with said_of_int8() as said:
            Encoder.load(run, precision="auto")
        return said

    with monkeypatch.context() as fails:
        fails.setattr("tripletnet.int8.making.quantised_versions", refusing)
        assert load(vnni=False) == [] and "refusal" in stored()
        assert load(vnni=False) == []
        (said,) = load(vnni=True)
        assert "processors without VNNI, unlike this one: made anew" in said
    assert load(vnni=True) == [] and "refusal" in stored()  # this kind was tried, too
    (said,) = load(vnni=False)
    assert "processors with VNNI" in said and stored()["narrow"]
    # 7 bits are right everywhere, but these were too few
    told = stored()
    told["agreement"]["cosine"] = 0.99
    (run / "int8.json").write_text(json.dumps(told))
    assert load(vnni=False) == []
    # without images there is no better one
    away = (run / "calibration.npz").rename(run / "away")
    assert load(vnni=True) == [] and stored() == told
    away.rename(run / "calibration.npz")
    (said,) = load(vnni=True)
    assert "processors without VNNI" in said and not stored()["narrow"]


def refusing(*given):
    yield from ()
    raise InputError("MXNet cannot quantise this network (no reason)")


def test_images_of_another_size_are_refused_as_in_fp32(striped_images, tmp_path):
    """The layers of this network could take them."""
    pixels = striped_images.pixels
    network = get_network("residual", code_size=16, image_size=16)
    network.initialize(mx.init.MSRAPrelu())
    network(mx.nd.zeros((1, 3, 16, 16), dtype="uint8"))
    save_run(tmp_path, network, "residual", source={})
    save_calibration(tmp_path, Calibration(pixels))
    larger = ImageSet("larger", pixels.repeat(2, 1).repeat(2, 2), striped_images.labels, ())
    for precision in ("fp32", "int8", "int8"):  # made, and then read
        encoder = Encoder.load(tmp_path, precision=precision)
        with pytest.raises(InputError, match=r"32, 32\): this network takes \(N, 3, 16, 16\)"):
            encoder.encode(larger)
        assert encoder.encode(pixels).shape == (60, 16)


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let files have no more than so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [10, 10_000])
def test_a_full_disk(run, striped_images, photos, tripletnet, missing):
    names = ["int8.json", "int8.params"]
    encoder = Encoder.load(run, precision="int8")
    stored = [(run / name).read_bytes() for name in names]
    room = len(stored[1]) - missing
    with room_for(room):
        status, said, warned = tripletnet("quantize", run, photos)
    assert status == 1 and not said
    assert warned.endswith("int8.params: it could not be written whole: is the disk full?\n"), (
        warned
    )
    assert [(run / name).read_bytes() for name in names] == stored
    for name in names:
        (run / name).unlink()
    for precision in ("int8", "auto"):
        with room_for(room), pytest.warns(UserWarning, match=r"full\?\), and is made again each"):
            again = Encoder.load(run, precision=precision)
        if precision == "int8":
            assert np.array_equal(again.encode(striped_images), encoder.encode(striped_images))
    assert not list(run.glob("*int8*"))


def test_what_is_stored_meanwhile_is_not_written_over(
    run, striped_images, photos, tripletnet, monkeypatch
):
    real = precision_module.make_int8

    def slow(*given):
        monkeypatch.setattr(precision_module, "make_int8", real)
        assert tripletnet("quantize", run, photos)[0] == 0
        return real(*given)

    monkeypatch.setattr(precision_module, "make_int8", slow)
    codes = Encoder.load(run, precision="int8").encode(striped_images)
    assert json.loads((run / "int8.json").read_text())["agreement"]["images"] == 11
    assert np.array_equal(Encoder.load(run, precision="int8").encode(striped_images), codes)


def test_while_another_command_stores_one(run, photos, tripletnet):
    with only_one(run / "int8.json"):
        assert Encoder.load(run, precision="int8").precision == "int8"
        status, _, said = tripletnet("quantize", run, photos)
        assert status == 2 and "int8.json: another command is making or changing it" in said
        assert not (run / "int8.json").exists()
    assert Encoder.load(run, precision="int8").precision == "int8"
    assert (run / "int8.json").exists() and not (run / "int8.json.lock").exists()
