"""--precision and Encoder.load(precision=...): when int8 is made, refused, and taken by auto."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from tripletnet import Encoder, TrainingConfig, train_run
from tripletnet.codes.file import read_codes
from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.int8 import precision as precision_module
from tripletnet.int8.agreement import Agreement
from tripletnet.int8.precision import load_encoder
from tripletnet.int8.speeds import Speeds, measure_speeds
from tripletnet.processor import processor_name
from tripletnet.runs import load_run

CONFIG = TrainingConfig(images=720, code_size=16, batch_size=24, shift=1, learning_rate=0.02)


def stripes(count: int = 120) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    pixels = random.integers(0, 60, (count, 16, 16, 3), dtype=np.uint8)
    for image, label in zip(pixels, labels):
        image[5 * label : 5 * label + 5] += 150
    return pixels, labels


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run that has learnt where the stripe is."""
    pixels, labels = stripes()
    images = ImageSet("stripes", pixels, labels, ["top", "middle", "bottom"])
    folder = tmp_path_factory.mktemp("precision") / "run"
    train_run(images, CONFIG, folder, quiet=True)
    return folder


@pytest.fixture
def run(trained, tmp_path, own_cache) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def clock(fp32: float, int8: float):
    """Return a timer by which the first measured batch takes so long, and then the time is up."""
    times = [0.0, 0.0, 0.0, 0.0, fp32, fp32, fp32 + int8, 100.0]
    return itertools.chain(times, itertools.repeat(100.0)).__next__


def test_int8_is_made_when_it_is_first_asked_for(run):
    assert (run / "calibration.npz").exists() and not (run / "int8.json").exists()
    pixels, _ = stripes()
    fp32 = Encoder.load(run)
    assert fp32.precision == "fp32" and not (run / "int8.json").exists()
    int8 = Encoder.load(run, precision="int8")
    assert int8.precision == "int8" and int8.fingerprint == fp32.fingerprint
    assert "int8" in repr(int8)
    cosines = (int8.encode(pixels) * fp32.encode(pixels)).sum(axis=1)
    assert cosines.min() > 0.999 and cosines.min() < 1
    stored = (run / "int8.json").stat().st_mtime_ns, (run / "int8.params").read_bytes()
    again = Encoder.load(run, precision="int8")
    assert np.array_equal(again.encode(pixels), int8.encode(pixels))
    assert ((run / "int8.json").stat().st_mtime_ns, (run / "int8.params").read_bytes()) == stored
    # what is stored is enough, also elsewhere
    (run / "calibration.npz").unlink()
    moved = Path(shutil.move(run, run.with_name("moved")))
    assert np.array_equal(Encoder.load(moved, precision="int8").encode(pixels), int8.encode(pixels))


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("int8.params", b"junk", "int8.params: damaged"),
        ("int8.params", None, "int8.params: No such file"),
        ("int8.json", b"{", "int8.json: not readable as JSON"),
        ("int8.json", b'{"format": 3, "fingerprint": "0"}', "is of other weights"),
        ("int8.json", b'{"format": 9}', "is none of format 3"),
    ],
)
def test_what_is_damaged_or_stale_is_made_anew_or_named(run, name, content, complaint):
    pixels, _ = stripes(12)
    codes = Encoder.load(run, precision="int8").encode(pixels)
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    with pytest.warns(UserWarning, match=f"{complaint}.*made anew"):
        again = Encoder.load(run, precision="int8")
    assert np.array_equal(again.encode(pixels), codes)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Encoder.load(run, precision="int8")
    if content is not None:
        (run / name).write_bytes(content)
        (run / "calibration.npz").unlink()
        with pytest.raises(InputError, match=f"{complaint}.*tripletnet quantize") as caught:
            Encoder.load(run, precision="int8")
        assert "\n" not in str(caught.value)
        with pytest.warns(UserWarning, match="encoding in fp32"):
            assert Encoder.load(run, precision="auto").precision == "fp32"


def on_a_processor(monkeypatch, vnni):
    for module in ("making", "precision"):
        monkeypatch.setattr(f"tripletnet.int8.{module}.sums_in_32_bits", lambda: vnni)


def test_what_was_made_for_other_processors_is_made_anew(run, monkeypatch):
    def narrow():
        return json.loads((run / "int8.json").read_text())["narrow"]

    on_a_processor(monkeypatch, vnni=True)
    Encoder.load(run, precision="int8")
    assert not narrow()
    on_a_processor(monkeypatch, vnni=False)
    with pytest.warns(UserWarning, match="processors with VNNI, unlike this one: made anew"):
        Encoder.load(run, precision="int8")
    assert narrow()
    before = (run / "int8.params").read_bytes()
    for vnni in (False, True):  # it is right on either
        on_a_processor(monkeypatch, vnni)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            Encoder.load(run, precision="int8")
    assert (run / "int8.params").read_bytes() == before


def test_other_weights_have_no_part_in_it(run):
    Encoder.load(run, precision="int8")
    before = (run / "int8.json").read_text()
    # going on with the run changes the weights
    train_run(stripe_set(), CONFIG.replace(images=960), run, resume=True, quiet=True)
    assert not (run / "int8.json").exists() and not (run / "int8.params").exists()
    Encoder.load(run, precision="int8")
    assert (run / "int8.json").read_text() != before


def stripe_set():
    pixels, labels = stripes()
    return ImageSet("stripes", pixels, labels, ["top", "middle", "bottom"])


def test_auto_takes_what_measures_faster(run, own_cache):
    with pytest.warns(UserWarning, match=r"0\.50 times as fast as fp32 here; encoding in fp32"):
        slow = load_encoder(run, "auto", timer=clock(1.0, 2.0))
    assert slow.precision == "fp32"
    # it is known now, and not measured again
    with pytest.warns(UserWarning, match=r"0\.50 times"):
        load_encoder(run, "auto", timer=lambda: pytest.fail("measured again"))
    (stored,) = (own_cache / "tripletnet/speeds").iterdir()
    about = json.loads(stored.read_text())
    assert about["processor"] == processor_name() and about["fp32"] == 2 * about["int8"]
    stored.write_text("{")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fast = load_encoder(run, "auto", timer=clock(2.0, 1.0))
    assert fast.precision == "int8"


def test_auto_wants_codes_that_agree(run, monkeypatch):
    real = precision_module.int8_of

    def disagreeing(*given):
        return dataclasses.replace(real(*given), agreement=Agreement(60, 0.99, 0.98))

    monkeypatch.setattr(precision_module, "int8_of", disagreeing)
    with pytest.warns(UserWarning, match=r"mean cosine .* 0\.9900; encoding in fp32"):
        assert Encoder.load(run, precision="auto").precision == "fp32"
    with pytest.warns(UserWarning, match=r"mean cosine .* 0\.9900$"):
        assert Encoder.load(run, precision="int8").precision == "int8"


def test_a_network_that_cannot_be_quantised_is_tried_once(run, monkeypatch):
    def refuse(*given):
        yield from ()
        raise InputError("MXNet cannot quantise this network (no reason)")

    monkeypatch.setattr("tripletnet.int8.making.quantised_versions", refuse)
    with pytest.raises(InputError, match=r"cannot quantise .*: use --precision fp32"):
        Encoder.load(run, precision="int8")
    monkeypatch.undo()
    assert "refusal" in json.loads((run / "int8.json").read_text())
    with pytest.warns(UserWarning, match="cannot quantise .*; encoding in fp32"):
        assert Encoder.load(run, precision="auto").precision == "fp32"


def test_a_run_that_cannot_be_written_to(run, monkeypatch):
    def refuse(*given):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tripletnet.int8.precision.save_int8", refuse)
    with pytest.warns(UserWarning, match="cannot be stored"):
        assert Encoder.load(run, precision="int8").precision == "int8"


def test_wrong_choices(run, small_run):
    with pytest.raises(InputError, match="precision 'fp16' is not known: use fp32, int8, auto"):
        Encoder.load(run, precision="fp16")
    with pytest.raises(InputError, match="int8 is for the CPU"):
        load_gpu(run)
    with pytest.raises(InputError, match=r"no encoder in int8 and no calibration\.npz: make one"):
        Encoder.load(small_run, precision="int8")
    np.savez(run / "calibration.npz", pixels=np.zeros((3, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"takes uint8 \(N, 16, 16, 3\)"):
        Encoder.load(run, precision="int8")


def load_gpu(run):
    """Load as on a GPU; none is needed to refuse it."""
    network, description = load_run(run)

    class Device:
        device_type = "gpu"

    original = precision_module.load_run
    precision_module.load_run = lambda *given: (network, description)
    try:
        load_encoder(run, "int8", Device())
    finally:
        precision_module.load_run = original


def test_speeds_are_the_best_of_some_turns():
    now = itertools.count()
    codes = type("Codes", (), {"asnumpy": lambda self: None})()
    speeds = measure_speeds((lambda x: codes, lambda x: codes), 300, lambda: next(now) / 10)
    assert speeds.ratio == pytest.approx(1) and speeds.fp32 == pytest.approx(
        170
    )  # 17 images, a tick of 0.1 s
    assert Speeds(100.0, 250.0).ratio == 2.5


def test_the_commands(tripletnet, run, photos, tmp_path):
    codes = {}
    for precision in ("fp32", "int8"):
        out = tmp_path / f"{precision}.npz"
        status, _, said = tripletnet("encode", run, photos, "--out", out, "--precision", precision)
        assert status == 0, said
        stored = read_codes(out)
        assert stored.precision == precision
        codes[precision] = stored
    assert codes["int8"].fingerprint == codes["fp32"].fingerprint
    assert 0.99 < (codes["int8"].codes * codes["fp32"].codes).sum(axis=1).min() < 1
    index = tmp_path / "index"
    status, said, _ = tripletnet("index", tmp_path / "int8.npz", "--out", index)
    assert status == 0 and "precision int8" in said
    status, said, _ = tripletnet(
        "search", index, photos / "a/1.png", "--precision", "auto", "--json", "--max-distance", "4"
    )
    assert status == 0 and json.loads(said)["results"][0]["itself"] == ["a/1.png"]
    status, said, _ = tripletnet(
        "compare", run, photos / "a/0.png", photos / "b/4.png", "--precision", "int8"
    )
    assert status == 0 and "distance 0.0000" in said
    status, said, _ = tripletnet("quantize", run, "--json")
    told = json.loads(said)
    assert status == 0 and told["images"] == 120 and told["cosine"] > 0.999
    assert (told["auto"] == "int8") == (not told["why"])
    status, said, _ = tripletnet("quantize", run, photos)
    assert status == 0 and "(11 images)" in said and "--precision auto takes" in said
    (photos / "a" / "broken.png").write_bytes(b"\x89PNG")
    status, said, left_out = tripletnet("quantize", run, photos)
    assert status == 0 and "(11 images)" in said and "broken.png" in left_out


def test_the_command_that_judges(tripletnet, run, tmp_path):
    from PIL import Image

    pixels, labels = stripes(60)
    for i, (image, label) in enumerate(zip(pixels, labels)):
        place = tmp_path / "data" / "abc"[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    report = tmp_path / "report"
    status, said, errors = tripletnet(
        *("evaluate", run, tmp_path / "data", "--out", report, "--precision", "int8"),
        *("--precision-target", "0.9", "--quiet"),
    )
    assert status == 0, errors
    assert "computed in int8" in said
    damaged = shutil.copytree(run, tmp_path / "damaged")
    for content in (b"images,loss\n1,0.5\n2", b"\xff\xfe,loss\n1,0.5\n"):
        (damaged / "history.csv").write_bytes(content)
        status, _, errors = tripletnet("evaluate", damaged, tmp_path / "data", "--out", report)
        assert status == 2 and "history.csv: a row is damaged: take that row out" in errors


def test_mistakes_on_the_command_line(tripletnet, small_run, photos, tmp_path):
    out = tmp_path / "codes.npz"
    for options, complaint in (
        (("encode", small_run, photos, "--out", out, "--precision", "int8"), "tripletnet quantize"),
        (("encode", small_run, photos, "--out", out, "--precision", "half"), "invalid choice"),
        (("quantize", small_run), "has no images to calibrate on"),
        (("quantize", small_run, tmp_path / "none"), "no such file or folder"),
        (("quantize", tmp_path), "not a run folder"),
    ):
        status, _, said = tripletnet(*options)
        assert status == 2 and complaint in said and said.count("\n") == 1, said
    status, _, said = tripletnet("encode", small_run, photos, "--out", out, "--precision", "auto")
    assert status == 0 and said.count("encoding in fp32") == 1


def test_a_process_of_its_own(small_run, photos, tmp_path, own_cache):
    run = shutil.copytree(small_run, tmp_path / "run")
    for options, said in (
        (("quantize", run, photos), "--precision auto takes"),
        (("index", run, photos, "--out", tmp_path / "i", "--precision", "int8"), "precision int8"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tripletnet", *map(str, options)],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0 and said in done.stdout, done.stderr
        assert done.stderr == ""  # nothing that MXNet has to tell
