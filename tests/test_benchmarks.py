"""`python -m benchmarks`: what was measured is kept, gone on from, and put on the page."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import results
from benchmarks.command import benchmark_parser
from benchmarks.contest import Contest, Work
from benchmarks.growth import axes, contests, name_of
from benchmarks.growth_plots import section as growth_section
from benchmarks.page import as_markdown, check_marks, mark, origins, processor, put_between
from benchmarks.registry import BENCHMARKS
from benchmarks.results import Result, Store
from benchmarks.rivals import LeftOut, make_all, require
from tripletnet.errors import InputError
from tripletnet.training import bf16

ROOT = Path(__file__).parents[1]
REAL_POPEN = subprocess.Popen
SETTINGS = {"rounds": 3, "quick": True}


def run(*arguments: str, hidden: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command; `hidden` is a folder whose modules come before those installed."""
    path = os.pathsep.join(filter(None, [hidden, str(ROOT)]))
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def result(**changed: object) -> Result:
    fields: dict[str, object] = {
        "name": "epoch/article",
        "title": "Real batches",
        "unit": "images/s",
        "reading": "rate",
        "samples": {"ours": [200.0, 220.0, 210.0], "theirs": [100.0, 88.0, 105.0]},
        "left_out": {"another": 'it is not installed: pip install ".[bench]"'},
    }
    return Result(**{**fields, **changed})  # type: ignore[arg-type]


def test_turns_alternate_and_the_first_one_is_what_the_others_are_set_against():
    told: list[str] = []

    def slot(name: str, value: float):
        return lambda: (told.append(name), value)[1]

    work = Work({"ours": slot("ours", 6.0), "theirs": slot("theirs", 3.0)})
    measured = Contest("a/b", "Title", "images/s", lambda: work).measure(3)
    assert told == ["ours", "theirs"] * 3
    assert measured.samples == {"ours": [6.0] * 3, "theirs": [3.0] * 3}
    assert measured.ratios("theirs").tolist() == [2.0] * 3
    slow = Contest("a/b", "Title", "seconds", lambda: work, reading="time", rounds=1).measure(3)
    assert slow.ratios("theirs").tolist() == [0.5]


def test_share_of_the_matrix_product():
    found = result(gflop=0.5, sgemm=[200.0, 220.0, 105.0])
    np.testing.assert_allclose(found.sgemm_share(), [0.5, 0.5, 1.0])
    np.testing.assert_allclose(found.sgemm_share("theirs"), [0.25, 0.2, 0.5])
    assert result().sgemm_share() is None


def test_results_are_kept_and_not_mixed_with_those_of_other_settings(tmp_path):
    path = tmp_path / "results.json"
    store = Store(path, SETTINGS)
    store.add(result())
    store.finish("epoch")
    store.fail("probe", "status 1")
    again = Store(path, SETTINGS)
    assert again.results == [result()]
    assert "epoch/article" in again
    assert "epoch/other" not in again
    assert again.arguments_of("epoch") == []
    assert again.arguments_of("probe") is None
    again.check_settings("epoch/article", {}, {})
    with pytest.raises(InputError, match="give another file"):
        again.check_settings("epoch/article", {"batch": 7}, {})
    again.check_settings("epoch/article", {"batch": 7}, {"batch": 7})  # as it was, but not told
    with pytest.raises(InputError, match="give another file"):
        again.check_settings("epoch/article", {"batch": 8}, {"batch": 7})
    store.add(result(name="mining/step"))  # which the second one does not know of
    again.set_aside("epoch")
    assert [found.name for found in Store(path, SETTINGS).results] == ["mining/step"]
    with pytest.raises(InputError, match="give the same options or another file"):
        Store(path, {**SETTINGS, "rounds": 5})


def test_what_is_set_aside_is_kept_until_the_new_results_are_whole(tmp_path):
    path = tmp_path / "results.json"
    store = Store(path, SETTINGS)
    old, new = result(revision="old"), result(revision="new")
    store.add(old)
    store.finish("epoch", ["--batch", "3"])
    before = json.loads(path.read_text())
    store.set_aside("epoch")
    store.add(new)
    store.set_aside("epoch")  # the old ones are still kept, not what was measured since
    assert Store(path, SETTINGS).results == []
    store.add(new)
    assert store.put_back("epoch")
    assert json.loads(path.read_text()) == before
    assert not store.put_back("epoch")
    store.set_aside("epoch")
    store.add(new)
    store.finish("epoch")
    assert not Store(path, SETTINGS).put_back("epoch")
    assert Store(path, SETTINGS).results == [new]


def test_a_benchmark_of_several_commits_tells_all_of_them(tmp_path, monkeypatch):
    store = Store(tmp_path / "results.json", SETTINGS)
    monkeypatch.setattr(results, "revision", lambda: "aaaaaaa")
    store.add(result(name="epoch/one", revision="aaaaaaa"))
    assert "(commit aaaaaaa)" in origins(store.content)
    assert "dirty" not in origins(store.content)
    store.add(result(name="epoch/two", revision="bbbbbbb-dirty"))
    text = origins(store.content)
    assert "(commits aaaaaaa, bbbbbbb-dirty)" in text
    assert text.endswith("`-dirty`: with changes that were not committed.")
    older = json.loads(json.dumps(store.content))
    for stored in older["results"].values():  # which had the commit of their benchmark alone
        del stored["revision"]
    assert "(commit aaaaaaa)" in origins(older)


def test_tiny_sizes_say_on_the_page_that_they_mean_nothing(tmp_path):
    for quick in (True, False):
        store = Store(tmp_path / f"{quick}.json", {**SETTINGS, "quick": quick})
        store.add(result())
        for text in (origins(store.content), processor("epoch", store.content)):
            assert ("the figures mean nothing" in text) == quick


def test_a_benchmark_is_of_one_machine_and_the_page_tells_which(tmp_path, monkeypatch):
    store = Store(tmp_path / "results.json", SETTINGS)

    def on(processor: str) -> None:
        there = {"processor": processor, "system": "Linux", "threads": 1}
        monkeypatch.setattr(results, "machine", lambda: there)

    on("Old")
    store.add(result())
    store.check_origin("epoch/other")
    on("New")
    with pytest.raises(
        InputError, match=r"part of epoch .*\(processor Old, here New\): go on there"
    ):
        store.check_origin("epoch/other")
    store.check_origin("probe/svm")
    store.add(result(name="probe/svm"))
    text = origins(store.content)
    assert "1 threads on Old (Linux): `epoch`, with" in text
    assert "1 threads on New (Linux): `probe`, with" in text


def test_table_of_a_result():
    lines = as_markdown(result(note="A note.", figures={"columns": {"GB": {"ours": "1.5"}}}))
    assert lines.splitlines() == [
        "**Real batches** (3 rounds: median, and their range)",
        "",
        "|  | images/s | ours is times as fast | GB |",
        "|---|---|---|---|",
        "| ours | 210 (200 to 220) |  | 1.5 |",
        "| theirs | 100 (88.0 to 105) | 2.00 (2.00 to 2.50) |  |",
        "",
        'A note. Left out: another: it is not installed: pip install ".[bench]".',
    ]


def test_those_left_out_for_one_reason_are_told_together():
    text = as_markdown(result(left_out={"one": "none here", "two": "broken", "three": "none here"}))
    assert text.endswith("Left out: one; three: none here. Left out: two: broken.")


@pytest.mark.parametrize("units", [True, False])
def test_bf16_is_asked_of_processors_with_units_for_it_alone(monkeypatch, units):
    monkeypatch.setattr(bf16, "has_bf16_units", lambda: units)
    made, left_out = make_all({"PyTorch fp32": lambda: 1, "PyTorch bf16": lambda: 2})
    assert list(made) == ["PyTorch fp32", *["PyTorch bf16"] * units]
    assert list(left_out) == ["PyTorch bf16"] * (not units)


def test_only_what_is_between_the_marks_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    text = "# Speed\n{}\nold\n<!-- end -->\nmiddle\n{}\nkept\n<!-- end -->\nlast\n"
    page.write_text(text.format(mark("probe"), mark("mining")))
    put_between(page, mark("probe"), "new")
    assert page.read_text() == text.replace("old", "new").format(mark("probe"), mark("mining"))
    with pytest.raises(InputError, match="epoch"):
        check_marks(page, [mark("mining"), mark("epoch")])
    page.write_text(f"{mark('probe')}\nno end\n{mark('mining')}\n<!-- end -->\n")
    with pytest.raises(InputError, match="probe"):  # the end is the other one's
        put_between(page, mark("probe"), "new")


def test_the_pages_of_this_project_have_all_marks():
    docs = ROOT / "docs"
    check_marks(docs / "benchmarks.md", [mark(name) for name in ["overview", *BENCHMARKS]])
    for name in ("benchmarks-xeon", "benchmarks-zen5"):
        measured = json.loads((docs / f"{name}.json").read_text())["finished"]
        check_marks(docs / f"{name}.md", [mark(name) for name in ["overview", *measured]])


def test_a_rival_that_is_missing_is_left_out_by_name():
    def broken() -> str:
        raise LeftOut("it does not work here")

    def broken_otherwise() -> str:
        raise AttributeError("no such thing\nas that")

    made, left_out = make_all(
        {
            "here": lambda: "it",
            "away": lambda: require("no_such_package")[0],
            "broken": broken,
            "broken otherwise": broken_otherwise,
        }
    )
    assert made == {"here": "it"}
    assert left_out == {
        "away": 'no_such_package is not installed: pip install ".[bench]"',
        "broken": "it does not work here",
        "broken otherwise": "it does not work here (AttributeError: no such thing)",
    }


def test_growth_is_drawn_from_its_cells(tmp_path):
    options = argparse.Namespace(networks=["article"], quick=False, rounds=2)
    assert len(contests(options)) == 2 * (5 + 3 + 3)  # two cells are of two axes
    cells = [cell for kind in ("train", "encode") for cell in axes("article", kind)["batch"]]
    measured = [
        Result(
            name_of(cell),
            "title",
            "images/s",
            "rate",
            {"tripletnet": [cell.batch, cell.batch + 2.0]},
            figures={"peak_megabytes": 1000 + cell.batch},
            settings=cell._asdict(),
        )
        for cell in cells
    ]
    text = growth_section("growth", measured, "command", tmp_path / "page.md")
    assert "| 192 | 193; 1,192 MB | 193; 1,192 MB |" in text
    assert "(images/page-growth.png)" in text  # another page has another
    assert (tmp_path / "images" / "page-growth.png").stat().st_size < 60_000


def test_the_command_measures_stores_goes_on_and_writes_the_page(tmp_path):
    # PyTorch is hidden, as if it were not installed
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "torch.py").write_text("raise ModuleNotFoundError('away', name='torch')")
    page, stored = tmp_path / "page.md", tmp_path / "results.json"
    names = ["probe", "retrieval_metrics"]
    page.write_text("".join(f"{mark(n)}\n<!-- end -->\n" for n in ["overview", *names]))
    options = ["--quick", "--rounds", "2", "--only", *names, "--out", str(stored)]
    done = run(*options, "--page", str(page), hidden=str(hidden))
    assert done.returncode == 0, done.stderr
    content = json.loads(stored.read_text())
    assert content["finished"] == {name: [] for name in names}
    assert all(origin["versions"]["mxnet"] for origin in content["origins"].values())
    probe = content["results"]["probe/600 C=0.1"]
    assert {name: len(taken) for name, taken in probe["samples"].items()} == {
        "SVMProbe": 2,
        "LinearSVC, primal": 2,
        "LinearSVC, dual": 2,
    }
    text = page.read_text()
    assert "| LinearSVC, primal |" in text
    assert "LinearSVC has one thread" in text
    assert text.count("the figures mean nothing") == 3  # two sections and the overview
    assert 'torch is not installed: pip install ".[bench]"' in text
    assert (tmp_path / "images" / "page.png").exists()

    # one contest is missing: that one alone is measured again
    del content["results"]["retrieval_metrics/300"]
    content["finished"] = {"probe": []}
    stored.write_text(json.dumps(content))
    again = run(*options, hidden=str(hidden))
    assert again.returncode == 0, again.stderr
    assert "probe: stored already" in again.stderr
    assert json.loads(stored.read_text())["results"]["probe/600 C=0.1"] == probe
    assert "retrieval_metrics/300" in json.loads(stored.read_text())["results"]

    other = run("--quick", "--rounds", "3", "--only", "probe", "--out", str(stored))
    assert other.returncode == 2
    assert "give the same options or another file" in other.stderr


def test_what_is_stored_is_measured_again_only_where_that_is_asked_for(tmp_path, monkeypatch):
    stored = tmp_path / "results.json"
    Store(stored, SETTINGS).finish("epoch")
    measured: list[str] = []
    monkeypatch.setattr(command, "run", lambda name, args: measured.append(name) or "")

    def main(*options: str) -> int:
        given = [*options, "--out", str(stored), "--quick", "--rounds", "3"]
        return command.main(command.parser().parse_args(given))

    assert main("--only", "epoch") == 0 and measured == []
    assert main("--only", "epoch", "--again") == 0 and measured == ["epoch"]
    assert Store(stored, SETTINGS).arguments_of("epoch") == []
    with pytest.raises(InputError, match="--again: name what is to be measured anew"):
        main("--again")


def test_a_run_that_is_stopped_or_fails_does_not_lose_what_was_stored(tmp_path, monkeypatch):
    stored = tmp_path / "results.json"
    store = Store(stored, SETTINGS)
    for name in ("epoch", "probe"):
        store.add(result(name=f"{name}/one", revision="old"))
        store.finish(name)
    options = ["--only", "epoch", "probe", "--out", str(stored), "--quick", "--rounds", "3"]
    ends = iter(["", KeyboardInterrupt(), "status 1: broken"])

    def run(name: str, args: argparse.Namespace) -> str:
        end = next(ends)
        if isinstance(end, KeyboardInterrupt):
            raise end
        if not end:
            Store(stored, SETTINGS).add(result(name=f"{name}/one", revision="new"))
        return end

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(sys, "argv", ["benchmarks/__main__.py", *options, "--again"])
    with pytest.raises(KeyboardInterrupt):
        command.main(command.parser().parse_args(sys.argv[1:]))
    assert sys.argv[1:] == options  # what is told to go on with
    # epoch is measured already, and probe, whose turn it is, breaks
    assert command.main(command.parser().parse_args(options)) == 1
    assert next(ends, None) is None
    found = {result.name: result.revision for result in Store(stored, SETTINGS).results}
    assert found == {"epoch/one": "new", "probe/one": "old"}
    assert Store(stored, SETTINGS).arguments_of("probe") == []
    assert Store(stored, SETTINGS).content["failed"] == {}


def test_a_page_is_drawn_with_the_arguments_that_it_was_measured_with(
    tmp_path, monkeypatch, capsys
):
    page, stored = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text("".join(f"{mark(n)}\n<!-- end -->\n" for n in ["overview", "encoding"]))
    store = Store(stored, SETTINGS)
    there = {"processor": "Elsewhere", "system": "Linux", "threads": 1}
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(results, "machine", lambda: there)
        store.add(result(name="encoding/older"))
    store.finish("encoding", ["--network", "older"])
    before = stored.read_text()
    monkeypatch.setattr(command, "run", lambda name, args: pytest.fail("is not to be measured"))
    options = ["--only", "encoding", "--out", str(stored), "--page", str(page)]
    options += ["--quick", "--rounds", "3"]
    assert command.main(command.parser().parse_args(options)) == 0
    assert stored.read_text() == before
    assert "`python -m benchmarks.encoding --network older`" in page.read_text()
    assert "stored already, of --network older: --again" in capsys.readouterr().err


def test_why_a_process_was_killed_is_told(monkeypatch):
    code = (
        "import os, sys; print('half done', file=sys.stderr, flush=True); os.kill(os.getpid(), 9)"
    )
    monkeypatch.setattr(
        command.subprocess,
        "Popen",
        lambda _, **how: REAL_POPEN([sys.executable, "-c", code], **how),
    )
    args = command.parser().parse_args(["--out", "none.json"])
    assert command.run("probe", args) == "killed by signal 9 (out of memory?)"


@pytest.mark.parametrize(
    "name", ["benchmarks.json", "benchmarks-xeon.json", "benchmarks-zen5.json"]
)
def test_the_stored_results_of_this_project_are_those_of_todays_options(name):
    content = json.loads((ROOT / "docs" / name).read_text())
    store = Store(ROOT / "docs" / name, content["settings"])
    seen = set()
    for benchmark, arguments in content["finished"].items():
        module = importlib.import_module(f"benchmarks.{benchmark}")
        parser = benchmark_parser(f"benchmarks.{benchmark}", module.__doc__)
        getattr(module, "add_options", lambda parser: None)(parser)
        for contest in module.contests(parser.parse_args(arguments)):
            if contest.name in store:
                store.check_settings(contest.name, contest.settings, contest.formerly)
                seen.add(contest.name)
    without_units = {name for name in content["results"] if name.endswith("-bf16")}
    assert seen | without_units == set(content["results"])


def test_a_benchmark_that_fails_is_told_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIPLETNET_DATA", str(tmp_path / "nowhere"))
    stored = tmp_path / "results.json"
    done = run("--quick", "--rounds", "1", "--only", "decoding", "probe", "--out", str(stored))
    assert done.returncode == 1
    content = json.loads(stored.read_text())
    assert "set TRIPLETNET_DATA" in content["failed"]["decoding"]
    assert content["finished"] == {"probe": []}
