"""What the README tells a stranger to type does what it says, on a shortened run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tripletnet.data import load_digits

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)
SHELL = [line for kind, block in BLOCKS if kind == "sh" for line in block.strip().splitlines()]
PYTHON = [block for kind, block in BLOCKS if kind == "python"]


def test_the_two_commands_install_and_run():
    main, tests = SHELL[:2]
    prepare = "python3 -m venv .venv && . .venv/bin/activate && "
    assert main == f"{prepare}pip install . && python examples/cifar10_retrieval.py"
    assert tests == f'{prepare}pip install ".[test]" && pytest'


def example(out: Path, *options: object) -> tuple[subprocess.CompletedProcess, dict]:
    """Run the example that the README's first command runs."""
    command = shlex.split(SHELL[0].rpartition("&&")[2])
    assert command[0] == "python"
    done = subprocess.run(
        [sys.executable, *command[1:], "--out", str(out), *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done, json.loads((out / "report.json").read_text())


REPORTED = {
    "dataset", "images", "seconds", "probe_accuracy", "control_accuracy", "control_probe_accuracy",
    "precision_at_1", "precision_at_10", "r_precision", "map_at_r", "map",
}  # fmt: skip


@pytest.mark.slow
def test_the_example_on_digits(tmp_path):
    done, report = example(tmp_path / "run", "--dataset", "digits", "--images", 8000)
    assert set(report) >= REPORTED
    assert report["dataset"].startswith("digits")
    assert report["dataset"] in done.stdout
    for name in REPORTED - {"dataset", "images", "seconds"}:
        assert 0.7 < report[name] <= 1.0, name
    for name in ("retrieval.png", "curves.png", "confusion.png"):
        assert (tmp_path / "run" / name).read_bytes().startswith(b"\x89PNG")
    for line in ("P@1", "MAP@R", "control: CNN trained end to end"):
        assert line in done.stdout


@pytest.mark.slow
def test_the_example_on_cifar10(tmp_path, data_root):
    options = ("--root", data_root, "--images", 5_000, "--loss", "supcon", "--no-control")
    _, report = example(tmp_path / "run", *options)
    assert report["dataset"] == "CIFAR-10"
    assert report["probe_accuracy"] > 0.35
    assert "control_accuracy" not in report


@pytest.mark.slow
def test_without_cifar10_and_without_a_network_it_says_so_and_uses_digits(tmp_path, monkeypatch):
    monkeypatch.delenv("TRIPLETNET_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nothing listens
    options = ("--images", 1000, "--mining", "random", "--no-control")
    done, report = example(tmp_path / "run", *options)
    assert "NOT of CIFAR-10" in done.stderr
    assert report["dataset"].startswith("digits")


def own_images(folder: Path) -> None:
    """Make PHOTOS, with sixty pictures of each of three digits, and the pictures to ask with."""
    images = load_digits().train
    for label in (0, 1, 4):
        place = folder / "PHOTOS" / images.classes[label]
        place.mkdir(parents=True)
        for number, index in enumerate(np.flatnonzero(images.labels == label)[:60]):
            Image.fromarray(images.take(np.array([index]))[0]).save(place / f"{number:03d}.png")
    (folder / "PHOTOS" / "0" / "broken.jpg").write_bytes(b"not a picture")
    shutil.copy(folder / "PHOTOS/1/000.png", folder / "PHOTOS/1/copy.png")
    for name, source in (("NEW", "1/007"), ("ONE", "0/000"), ("OTHER", "4/001")):
        Image.open(folder / f"PHOTOS/{source}.png").save(folder / f"{name}.jpg")


@pytest.mark.slow
def test_the_lines_for_ones_own_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own_images(tmp_path)
    lines = [shlex.split(line) for line in SHELL if line.startswith("tripletnet ")]
    assert [line[1] for line in lines] == [
        "train", "evaluate", "index", "search", "compare", "duplicates",
    ]  # fmt: skip
    said = {}
    for _, name, *options in lines:
        shorter = ["--epochs", "6", "--size", "32", "--code-size", "64"] * (name == "train")
        command = [sys.executable, "-m", "tripletnet", name, *options, *shorter]
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, (name, done.stderr)
        said[name] = done
    assert "broken.jpg" in said["train"].stderr and "count as the same" in said["train"].stdout
    run = {path.name for path in (tmp_path / "runs/photos").iterdir()}
    assert run >= {"run.json", "encoder.params", "split.json", "left_out.tsv", "threshold.json"}
    assert "broken.jpg" in (tmp_path / "runs/photos/left_out.tsv").read_text()
    assert "<html" in (tmp_path / "runs/photos/report/report.html").read_text()
    assert "1/" in said["search"].stdout and (tmp_path / "found.png").stat().st_size
    assert said["compare"].stdout.startswith("different")
    assert "exact copies" in said["duplicates"].stdout
    assert "1/copy.png,exact," in (tmp_path / "doubles/groups.csv").read_text()

    exec(PYTHON[0], {})
    assert "1/007.png" in capsys.readouterr().out


@pytest.mark.slow
def test_the_python_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _, judging, blocks = PYTHON
    exec(judging.replace("20_000", "2_000"), {})
    assert float(capsys.readouterr().out) > 0.5

    from tripletnet.backend import mx

    random = np.random.default_rng(0)
    names = {
        name: mx.nd.array(random.integers(0, 256, (2, 3, 32, 32)), dtype="uint8")
        for name in ("anchor", "same", "diff")
    }
    exec(blocks, names)
    assert names["loss"].shape == (2,)


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize(
    "page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda p: p.name
)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if "://" not in link:
            name, _, anchor = link.partition("#")
            to = page.parent / name if name else page
            assert to.exists(), link
            assert not anchor or anchor in headings(to), link
