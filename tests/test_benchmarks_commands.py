"""The commands of `benchmarks/`: what they are asked for wrongly is refused in one line."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import decoding, epoch, losses, patch_codes, probe, retrieval_metrics
from benchmarks.command import benchmark_parser, check_ended, needs_data, positive, run_child
from benchmarks.contest import Contest
from benchmarks.page import put_between
from benchmarks.patch_codes import chosen_codes, noise_codes, stored_patch_codes, whose_codes
from benchmarks.trainers import of_triplets
from tripletnet.codes.file import write_codes
from tripletnet.command import run_command
from tripletnet.errors import InputError

#: Those that measure by themselves, with arguments that are at fault and what is said of them.
COMMANDS = [
    ("altered_pictures", ("--run", "none", "--altered", "0"), "'0' is no whole number from 1 on"),
    ("deep_ranking", ("learn", "none"), "none"),
    ("deep_ranking", ("speed", "--sizes", "64,x"), "'x' is no whole number"),
    ("encode_and_search", ("none",), "none"),
    ("encode_files", ("none",), "set TRIPLETNET_DATA"),
    ("encode_files", ("none", "."), "none"),
    ("folder_epochs", (), "set TRIPLETNET_DATA"),
    ("folder_memory", ("none", "3"), "none"),
    ("folder_memory", ("none",), "none"),
    ("multiply_adds", ("nonesuch",), "nonesuch"),
    ("near_duplicates", ("--run", "none"), "set TRIPLETNET_DATA"),
    ("near_duplicates", ("--run", "none", "--root", "none"), "gives 0"),
    ("resume_after_kill", ("none", "--kills", "1"), "none"),
    ("search_index", ("--run", "none", "--batch", "10001"), "there are 10,000 queries"),
    ("search_index", ("--run", "none"), "none"),
    ("search_time", ("none", "none"), "none"),
    ("watching", ("--batch", "0"), "'0' is no whole number"),
]


def refused(module: object, *arguments: str) -> int:
    """Run a command as from the command line; return its status."""
    with pytest.raises(SystemExit) as ended:
        run_command(module.main, module.parser(), arguments)  # type: ignore[attr-defined]
    return int(ended.value.code or 0)


@pytest.mark.parametrize(("name", "arguments", "said"), COMMANDS)
def test_what_is_at_fault_is_told_in_one_line(name, arguments, said, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.delenv("TRIPLETNET_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"benchmarks.{name}")
    if name in ("altered_pictures", "near_duplicates"):
        monkeypatch.setattr(module, "needs_imagehash", lambda: None)
    assert refused(module, *arguments) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("tripletnet: error: ") and said in last


@pytest.mark.parametrize("name", sorted({name for name, *_ in COMMANDS} | {"losses"}))
def test_help_says_what_a_command_measures(name, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    assert refused(module, "--help") == 0
    assert f"python -m benchmarks.{name}" in capsys.readouterr().out


def test_multiply_adds_are_counted_of_the_networks_that_are_named(capsys):
    module = importlib.import_module("benchmarks.multiply_adds")
    assert refused(module, "article", "residual:64") == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == ["32", "64"]


def test_perceptual_hashes_say_how_they_are_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    pictures = importlib.import_module("benchmarks.altered_pictures")
    with pytest.raises(InputError, match="imagehash is not installed: pip install"):
        pictures.phash([])


def test_data_is_looked_for_in_the_folder_that_is_set(monkeypatch, tmp_path):
    monkeypatch.delenv("TRIPLETNET_DATA", raising=False)
    with pytest.raises(InputError, match="sign-digits: set TRIPLETNET_DATA"):
        needs_data("sign-digits")
    monkeypatch.setenv("TRIPLETNET_DATA", str(tmp_path))
    with pytest.raises(InputError, match=f"{tmp_path}/sign-digits: not there"):
        needs_data("sign-digits")
    (tmp_path / "sign-digits").mkdir()
    assert needs_data("sign-digits") == tmp_path / "sign-digits"


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", ""])
def test_numbers_are_from_1_on(text):
    with pytest.raises(argparse.ArgumentTypeError, match="no whole number from 1 on"):
        positive(text)


def test_a_batch_has_a_triplet():
    assert [of_triplets(batch) for batch in (3, 5, 384)] == [3, 3, 384]
    with pytest.raises(InputError, match="--batch 2: a triplet is three images"):
        of_triplets(2)


def test_what_a_process_ended_with_is_ours():
    check_ended(0, "anything")
    with pytest.raises(InputError, match=r"^x: no such file$"):
        check_ended(2, "progress\ntripletnet: error: x: no such file\n")
    with pytest.raises(RuntimeError, match=r"^Last: line$"):
        check_ended(1, "Traceback\nLast: line\n")
    with pytest.raises(RuntimeError, match=r"^status 3$"):
        check_ended(3, "")
    with pytest.raises(RuntimeError, match=r"^killed by signal 9 \(out of memory\?\)$"):
        check_ended(-9, "half done\n")
    assert run_child([sys.executable, "-c", "print(7)"]) == "7\n"


def options_of(module: object, *arguments: str) -> argparse.Namespace:
    parser = benchmark_parser("benchmarks", "Doc.")
    module.add_options(parser)  # type: ignore[attr-defined]
    return parser.parse_args(arguments)


def settings_of(module: object, *arguments: str) -> list[dict]:
    contests: list[Contest] = module.contests(  # type: ignore[attr-defined]
        options_of(module, *arguments)
    )
    return [dict(contest.settings) for contest in contests]


@pytest.mark.parametrize("module", [probe, retrieval_metrics])
def test_results_of_other_codes_are_other_results(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ways = [(), ("--root", "one"), ("--root", "two"), ("--train", "a", "--test", "b")]
    ways += [("--train", "a", "--test", "c"), ("--quick",)]
    told = [settings_of(module, *way)[0]["codes_of"] for way in ways]
    assert len(set(told)) == len(ways)
    assert told[3] == f"{tmp_path}/a and {tmp_path}/b"
    notes = [contest.note for contest in module.contests(options_of(module, *ways[3]))]
    assert all(f"Codes of {tmp_path}/a and {tmp_path}/b." in note for note in notes)
    with pytest.raises(InputError, match=r"--train .*/a: give --test as well"):
        settings_of(module, "--train", "a")


def test_what_judges_codes_needs_no_codes_to_train_with(tmp_path):
    file = tmp_path / "codes.npz"
    write_codes(file, noise_codes(40))
    options = options_of(retrieval_metrics, "--test", str(file), "--codes", "40")
    assert whose_codes(options, both=False) == str(file)
    train, test = chosen_codes(options)
    assert train is None and len(test) == 40
    with pytest.raises(InputError, match="there are 40: give no more, or --train"):
        retrieval_metrics.prepare(41, 41, options)
    with pytest.raises(InputError, match=r"--test .*: give --train as well"):
        probe.contests(options_of(probe, "--test", str(file)))
    np.savez(file, codes=noise_codes(40).codes)
    with pytest.raises(InputError, match="has no labels"):
        chosen_codes(options)


def test_codes_of_another_copy_of_the_images_are_others(monkeypatch, own_cache):
    made = []

    def patch_codes_of(root: object) -> tuple:
        made.append(root)
        return noise_codes(20), noise_codes(10)

    monkeypatch.setattr(patch_codes, "patch_codes", patch_codes_of)
    for root in (None, "one", None, "two", "one"):
        stored_patch_codes(root)
    assert made == [None, "one", "two"]


def test_long_rounds_are_told_and_at_least_one(capsys):
    long = settings_of(probe, "--codes", "1000", "50000", "--long-rounds", "2")
    assert [found.get("long_rounds") for found in long] == [None, 2]
    with pytest.raises(SystemExit):
        options_of(probe, "--long-rounds", "0")
    assert "'0' is no whole number" in capsys.readouterr().err


def test_two_folders_of_one_name_are_two(tmp_path):
    one, two = (settings_of(decoding, str(tmp_path / name / "photos"))[0] for name in "ab")
    assert one != two
    assert settings_of(decoding)[0]["folder"] == "sign-digits"
    contest = decoding.contests(options_of(decoding, str(tmp_path / "away")))[0]
    with pytest.raises(InputError, match=r"away: no such file or folder$"):
        contest.prepare()


def test_a_picture_that_opencv_cannot_read_is_named(photos, monkeypatch):
    monkeypatch.setattr(decoding, "make_all", lambda makers: ({}, {}))
    assert "11 files" in decoding.prepare(photos, 8, 0).figures()["summary"]
    assert (
        "11 of them of at least 20 pixels" in decoding.prepare(photos, 10, 0).figures()["summary"]
    )
    read = decoding.cv2.imread
    monkeypatch.setattr(
        decoding.cv2, "imread", lambda file: None if file.endswith("b/2.png") else read(file)
    )
    with pytest.raises(InputError, match=r"b/2.png: OpenCV cannot read it"):
        decoding.prepare(photos, 8, 0)
    (photos / "a/0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError, match=r"a/0.png: "):
        decoding.prepare(photos, 8, 0)


def test_real_batches_are_learnt_from_by_pytorch_compiled_as_well(monkeypatch):
    def rivals(name: str, network: object, pixels: np.ndarray, kinds: tuple[str, ...]) -> tuple:
        return {f"PyTorch {kind}": None for kind in kinds}, {}

    monkeypatch.setattr(epoch, "rival_steps", rivals)
    monkeypatch.setattr(epoch, "make_all", lambda makers: ({"PyTorch": []}, {}))
    monkeypatch.setattr(epoch, "gluon_loader", lambda *given, **batches: [])
    slots = epoch.prepare("article", "fp32", 24, 2, quick=True).slots
    assert list(slots) == [
        "tripletnet fp32",
        "MXNet fp32, Gluon's DataLoader",
        "PyTorch fp32, channels_last, its DataLoader",
        "PyTorch fp32, compiled, its DataLoader",
    ]
    with pytest.raises(InputError, match="a triplet is three images"):
        epoch.contests(options_of(epoch, "--batch", "2"))


def test_what_a_rival_breaks_on_does_not_hide_that_ours_broke(monkeypatch):
    def broken(*_: object) -> dict:
        raise ZeroDivisionError

    monkeypatch.setattr(retrieval_metrics, "ours", broken)
    monkeypatch.setattr(retrieval_metrics, "calculator", broken)
    work = retrieval_metrics.prepare(300, 300, options_of(retrieval_metrics, "--quick"))
    assert list(work.slots) == ["tripletnet"] and len(work.left_out) == 2
    with pytest.raises(ZeroDivisionError):
        work.slots["tripletnet"]()


class TestLosses:
    """The table of docs/losses.md."""

    @pytest.fixture
    def ready(self, tmp_path, monkeypatch):
        """Return a store, a page and what runs the command on both, without training."""
        monkeypatch.setattr(losses, "load_cifar10", lambda root: argparse.Namespace(train=None))
        store, page = tmp_path / "losses.json", tmp_path / "page.md"
        page.write_text("no marks")
        put = f"{losses.START}\n<!-- end -->\n"

        def run(*options: str, marks: bool = True) -> int:
            if marks:
                page.write_text(put)
            given = ["--out", str(store), "--table", str(page), *options]
            return losses.main(losses.parser().parse_args(given))

        return store, page, run

    def test_what_can_be_refused_is_refused_at_the_start(self, ready):
        store, _, run = ready
        with pytest.raises(InputError, match="has no lines"):
            run(marks=False)
        for content in ("[]", "{}", '{"settings": {}}'):
            store.write_text(content)
            with pytest.raises(InputError, match="is no file of this command's cells"):
                run()

    def test_a_row_that_diverges_is_named_and_the_others_go_on(self, ready, monkeypatch, capsys):
        store, page, run = ready
        monkeypatch.setattr(losses, "hold_out", lambda *_: (None, None))
        monkeypatch.setattr(
            losses,
            "score_rate",
            lambda _, __, config: math.nan if config.loss == "supcon" else 0.5,
        )
        figures = {"probe": 0.5, "precision_at_1": 0.4, "map_at_r": 0.1}
        monkeypatch.setattr(losses, "score_row", lambda *_: figures)
        assert run("--only", "supcon-all", "nt-xent-all") == 1
        assert "supcon-all: training diverged with each learning rate" in capsys.readouterr().err
        assert "| `nt-xent` | `all` |" in page.read_text()
        assert "supcon" not in page.read_text()
        assert run("--only", "nt-xent-all") == 0

        # what is there is drawn anywhere, and added to only where it was measured
        cells = json.loads(store.read_text())
        assert cells["machine"]["threads"] > 0
        cells["machine"]["processor"] = "Another"
        store.write_text(json.dumps(cells))
        assert run("--only", "nt-xent-all") == 0
        with pytest.raises(InputError, match=r"was measured elsewhere \(processor Another, here"):
            run("--only", "nt-xent-all", "triplet-all")
        del cells["machine"]  # an older store does not tell it
        store.write_text(json.dumps(cells))
        assert run("--only", "triplet-all") == 0

    def test_the_stored_cells_of_this_project_can_be_drawn(self, tmp_path):
        path = Path(__file__).parents[1] / "docs" / "losses.json"
        settings = {"images": 100_000, "rate_images": 15_000, "seed": 0}
        table = losses.table(losses.stored(path, settings))
        page = tmp_path / "losses.md"
        page.write_text((path.parent / "losses.md").read_text())
        before = page.read_text()
        put_between(page, losses.START, table)
        assert page.read_text() == before
