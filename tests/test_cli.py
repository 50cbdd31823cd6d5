"""The command line as a user runs it, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tripletnet.presets import PRESETS, choose

TRIPLETNET = [sys.executable, "-m", "tripletnet"]


def run(*options: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*TRIPLETNET, *map(str, options)], capture_output=True, text=True, timeout=300
    )


def test_help_names_every_command_and_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from tripletnet.cli import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "finally:\n"
        "    heavy = {'mxnet', 'cv2', 'matplotlib', 'sklearn', 'numpy', 'filelock'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    assert "Train an encoder" in done.stdout


def test_version():
    assert run("--version").stdout.startswith("tripletnet 0.")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "required: COMMAND"),
        (("train",), "required: --out"),
        (("train", "--out", "x"), "DATA is missing"),
        (("train", "--triplets", "t.csv", "--out", "x", "--loss", "supcon"), "use loss triplet"),
        (("train", "--triplets", "t.csv", "--out", "x", "--mining", "all"), "mining random"),
        (("train", "--pairs", "p.csv", "--out", "x", "--loss", "nt-xent"), "use loss contrastive"),
        (("train", "--pairs", "p.csv", "--out", "x", "--test", "0.1"), "--test is for data with"),
        (("train", "--pairs", "p.csv", "--out", "x"), "p.csv: cannot be read"),
        (("train", "digits", "--validation-file", "v.csv", "--out", "x"), "goes with --triplets"),
        (("evaluate", "x"), "--out is missing"),
        (("train", "digits", "--out", "x", "--images", "0"), "images is 0"),
        (("train", "digits", "--out", "x", "--epochs", "1e308"), "1,000,000,000,000 images"),
        (("train", "digits", "--out", "x", "--images", "many"), "invalid int value: 'many'"),
        (("train", "digits", "--out", "x", "--network", "nonesuch"), "use one of article"),
        (("train", "digits", "--out", "x", "--preset", "swift"), "use one of article, fast, best"),
        (("train", "digits", "--out", "x", "--loss", "nonesuch"), "use one of triplet, supcon"),
        (
            ("train", "digits", "--out", "x", "--loss", "supcon", "--mining", "random"),
            "does not go",
        ),
        (("train", "digits", "--out", "x", "--device", "tpu"), "use cpu, gpu or gpu:N"),
        (("train", "digits", "--out", "x", "--learning-rate", "-1"), "learning rate is -1"),
        (("train", "cifar10", "--out", "x", "--root", "/nonesuch"), "/nonesuch"),
        (
            (
                *("train", "digits", "--positives", "augment", "--out", "x", "--no-flip"),
                *("--shift", "0", "--crop", "1", "--colour", "0", "--hue", "0", "--rotate", "0"),
                *("--text", "0", "--shrink", "1", "--jpeg", "100"),
            ),
            "the two views of a picture are the same, as nothing alters them: use one or more of",
        ),
        *(
            ((*command, "--out", "x", option, share), f"argument {option}: '{share}' is no share")
            for command in (("train", "."), ("triplets", "."))
            for option in ("--validation", "--test")
            for share in ("nan", "inf", "-0.1", "1", "some")
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(options, said, tmp_path, monkeypatch, tripletnet):
    monkeypatch.chdir(tmp_path)
    status, printed, complaint = tripletnet(*options)
    assert (status, printed) == (2, "")
    assert_one_line(complaint)
    assert said in complaint
    assert not list(tmp_path.iterdir())


def assert_one_line(complaint: str) -> None:
    assert complaint.startswith("tripletnet: error: ")
    assert complaint.count("\n") == 1


def test_a_mistake_in_a_process_of_its_own(tmp_path):
    done = run("train", "digits", "--out", tmp_path / "x", "--images", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert_one_line(done.stderr)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("train", "digits", "--hold-out-classes", "3"),
            "--hold-out-classes is for folders of images and does not go with digits",
        ),
        (
            ("train", "cifar10", "--positives", "augment", "--size", "8"),
            "--size is for folders of images",
        ),
        (
            ("train", ".", "--hold-out-classes", "0"),
            "--hold-out-classes 0 holds out none: give 1 or more, or names",
        ),
        (("train", ".", "--hold-out-classes", ""), "an argument is empty"),
        (("train", ".", "--hold-out-classes", ","), "--hold-out-classes ',' names no class: give"),
        (
            ("train", ".", "--root", "there"),
            "--root tells where CIFAR-10 lies and does not go with .: leave it out",
        ),
        (
            ("train", "cifar10", "--triplets", "rows.csv", "--root", "there"),
            "--root tells where CIFAR-10 lies and does not go with --triplets",
        ),
        (("train", "digits", "--patience", "3"), "patience: nothing is held out"),
        (("train", "digits", "--init", "there"), "there: not a run folder"),
        (
            ("train", "digits", "--temperature", "0.1"),
            "--temperature: the loss 'triplet' has none",
        ),
        (
            ("train", "digits", "--loss", "nt-xent", "--smoothing", "0.1"),
            "--smoothing: the loss 'nt-xent' has none",
        ),
        (
            ("train", "digits", "--margin", "0.2", "--soft-margin"),
            "--margin and --soft-margin",
        ),
    ],
)
def test_what_would_be_ignored_is_refused(options, said, tmp_path, tripletnet):
    status, _, complaint = tripletnet(*options, "--out", tmp_path / "x")
    assert status == 2
    assert said in complaint
    assert not list(tmp_path.iterdir())


def test_what_only_looks_like_a_number_is_the_name_of_a_class(
    photos, own_cache, tmp_path, tripletnet
):
    options = ("--out", tmp_path / "x", "--hold-out-classes", "²", "--size", "16")
    status, _, complaint = tripletnet("train", photos, *options)
    assert status == 2
    assert "hold-out class '²' is not in the folder: use some of a, b" in complaint


@pytest.mark.parametrize("options", [("--precision", "int8"), ("--device", "gpu")])
def test_codes_that_are_made_take_no_options_of_an_encoder(options, tmp_path, tripletnet):
    codes = tmp_path / "codes.npz"
    np.savez(codes, codes=np.eye(3, dtype=np.float32))
    status, _, said = tripletnet("index", codes, "--out", tmp_path / "x", *options)
    assert status == 2
    assert f"index: {options[0]}: the codes are made already" in said
    assert not (tmp_path / "x").exists()


def test_train_writes_a_run_folder_and_resume_finds_it_finished(tmp_path, tripletnet):
    options = ("train", "digits", "--out", tmp_path / "run", "--images", "800", "--code-size", 32)
    done = run(*options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar where there is no terminal
    assert "run folder" in done.stdout
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert written >= {"run.json", "encoder.params", "history.csv", "curves.png"}
    description = json.loads((tmp_path / "run/run.json").read_text())
    assert description["finished"] is True
    assert description["training"]["learning_rate"] > 0

    before = (tmp_path / "run/encoder.params").read_bytes()
    assert tripletnet(*options, "--resume")[0] == 0
    assert (tmp_path / "run/encoder.params").read_bytes() == before

    status, _, said = tripletnet(*options, "--resume", "--seed", "1")
    assert status == 2
    assert "started with seed 0, not 1" in said


def test_a_preset_gives_way_to_what_is_asked_for_and_to_what_the_data_are(tmp_path, tripletnet):
    out = tmp_path / "run"
    options = ("--out", out, "--images", "600", "--code-size", "16", "--batch-size", "200")
    status, _, said = tripletnet("train", "digits", "--preset", "fast", *options)
    assert status == 0, said
    training = json.loads((out / "run.json").read_text())["training"]
    chosen = {name: training[name] for name in ("network", "loss", "optimizer", "schedule")}
    assert chosen == {name: PRESETS["fast"][name] for name in chosen}
    assert (training["images"], training["batch_size"]) == (600, 200)
    # a mirrored digit is another sign
    assert not training["flip"] and not training["mirror"]


def test_what_a_preset_chose_for_its_loss_and_optimiser_is_for_these_alone():
    def chosen(**given):
        return choose("cifar10", "fast", given)

    fast = PRESETS["fast"]
    assert chosen() == {**PRESETS["article"], **fast}
    assert chosen(loss=fast["loss"], optimizer=fast["optimizer"]) == chosen()
    other = chosen(loss="triplet", optimizer="adam", margin=0.5)
    assert not {"temperature", "smoothing", "learning_rate"} & other.keys()
    assert (other["margin"], other["schedule"]) == (0.5, fast["schedule"])
    own = chosen(loss="supcon", temperature=0.3, optimizer="sgd", learning_rate=0.01)
    assert (own["temperature"], own["learning_rate"]) == (0.3, 0.01)
    assert "smoothing" not in own


def test_what_the_data_chose_for_its_loss_is_not_for_the_loss_of_a_preset():
    assert choose("views", None, {})["temperature"] == 0.05  # NT-Xent's
    assert "temperature" not in choose("views", "best", {})
    assert choose("views", "best", {"loss": "nt-xent"})["batch_size"] == 512
    assert choose("views", "fast", {})["temperature"] == PRESETS["fast"]["temperature"]


def test_two_runs_with_one_seed_are_identical(tmp_path):
    for name in ("a", "b"):
        done = run(
            "train", "digits", "--out", tmp_path / name, "--images", "800", "--code-size", 32
        )
        assert done.returncode == 0, done.stderr
    a, b = (tmp_path / name / "encoder.params" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()


def interrupt(
    command: list[str], out: Path, by: signal.Signals = signal.SIGINT
) -> subprocess.CompletedProcess:
    """Start a run, press Ctrl-C or kill it once it is under way, and wait for its end."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    patience = time.monotonic() + 120
    while not (out / "run.json").exists() and time.monotonic() < patience:
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(by)
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def test_after_ctrl_c_and_after_kill_9_a_run_goes_on_exactly(tmp_path, tripletnet):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = ["--images", "4500", "--code-size", "32", "--batch-size", "96"]
    assert tripletnet("train", "digits", "--out", whole, *options)[0] == 0

    command = [*TRIPLETNET, "train", "digits", "--out", str(broken), *options]
    stopped = interrupt(command, broken)
    assert stopped.returncode == 130, stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "--resume" in stopped.stderr
    assert json.loads((broken / "run.json").read_text())["finished"] is False

    again = ("train", "digits", "--out", broken, *options)
    status, _, said = tripletnet(*again)
    assert status == 2 and "unfinished run" in said
    assert tripletnet(*again, "--resume")[0] == 0
    assert_same_run(whole, broken)
    status, _, said = tripletnet(*again)
    assert status == 2 and said.count("\n") == 1 and "holds a finished run" in said

    killed = tmp_path / "killed"
    command = [*TRIPLETNET, "train", "digits", "--out", str(killed), *options]
    often = ["--save-minutes", "0.001"]
    assert interrupt([*command, *often], killed, signal.SIGKILL).returncode == -signal.SIGKILL
    again = run("train", "digits", "--out", killed, *options, *often, "--resume")
    assert again.returncode == 0, again.stderr
    assert_same_run(whole, killed)


def test_going_on_with_a_finished_run_changes_nothing(photos, tmp_path, own_cache, tripletnet):
    for number in range(20):  # enough to hold some out
        pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photos / "ab"[number % 2] / f"more{number}.png")
    out = tmp_path / "run"
    options = ("train", photos, "--out", out, "--size", 16, "--batch-size", 12, "--quiet")
    assert tripletnet(*options, "--images", 96)[0] == 0
    (out / "threshold.json").write_text('{"distance": 0.5}')  # chosen by evaluate
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert len(before) > 8
    for more in ((), ("--images", 96)):
        status, said, _ = tripletnet(*options, *more, "--resume")
        assert status == 0 and said.startswith("96 images seen")
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    for epochs in ("nan", "inf", "many"):
        status, _, said = tripletnet("train", photos, "--out", tmp_path / "new", "--epochs", epochs)
        assert status == 2 and f"'{epochs}' is no number" in said


def assert_same_run(first: Path, second: Path) -> None:
    """Compare bit for bit what two runs came to."""
    for name in ("encoder.params", "history.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
