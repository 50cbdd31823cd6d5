"""The commands index, search and compare, as a user runs them."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest
from PIL import Image

from tripletnet.backend import mx
from tripletnet.codes.file import EncodedImages, write_codes
from tripletnet.errors import InputError
from tripletnet.files import only_one, read_json, write_json
from tripletnet.networks import get_network
from tripletnet.retrieval.compare import Comparison, compare
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.partial_codes import PartialCodes
from tripletnet.retrieval.search_pictures import search_pictures
from tripletnet.runs import save_run

pytestmark = pytest.mark.usefixtures("own_cache")


NO_UNICODE = b"no\xffname".decode("utf-8", "surrogateescape")


@pytest.fixture
def index(small_run, photos, tmp_path, tripletnet):
    status, said, _ = tripletnet("index", small_run, photos, "--out", tmp_path / "index")
    assert status == 0 and "11" in said
    return tmp_path / "index"


def test_what_an_index_tells(index, small_run, photos, tripletnet):
    status, said, _ = tripletnet("index", index, "--info", "--json")
    about = json.loads(said)
    assert status == 0
    assert (
        about["kind"] == "flat"
        and about["images"] == 11
        and about["classes"] == 2
        and about["root"] == str(photos)
    )
    assert about["run"] == str(small_run) and about["threshold"] == 0.05
    assert "flat" in tripletnet("index", index, "--info")[1]
    assert not index.with_name("index.part").exists()


def test_pictures_of_the_same_pixels_are_at_no_distance(tmp_path):
    network = get_network("article", code_size=1024, image_size=16)
    network.initialize(mx.init.Xavier())
    save_run(tmp_path / "run", network, "article", source={"size": 16, "fit": "crop"})
    random = np.random.default_rng(1)
    for kind in ("png", "bmp"):
        (tmp_path / kind).mkdir()
    for number in range(250):
        image = Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        image.save(tmp_path / "png" / f"{number:03}.png")
        image.save(tmp_path / "bmp" / f"{number:03}.bmp")
    encoder = Encoder.load(tmp_path / "run")
    index = Index.build(encoder.encode_files([tmp_path / "png"])[0])
    pictures = [tmp_path / "bmp"]
    for result in search_pictures(index, encoder, pictures, k=2, max_distance=0.0):
        twins = [neighbour.path for neighbour in result.neighbours]
        assert twins == [f"{result.query.stem}.png"] and result.nearest.path == twins[0]
    for result in search_pictures(index, encoder, pictures, k=2, max_distance=1.0):
        assert result.neighbours[0] == result.nearest


def test_a_picture_finds_others_and_not_itself(index, small_run, photos, tripletnet):
    status, said, _ = tripletnet(
        "search", index, photos / "a/1.png", "-k", 10, "--max-distance", "inf", "--json"
    )
    found = json.loads(said)
    assert status == 0 and found["max_distance"] is None
    (result,) = found["results"]
    assert result["itself"] == ["a/1.png"]
    encoder = Encoder.load(small_run)
    others = [p for p in sorted(photos.rglob("*.png")) if p != photos / "a/1.png"]
    codes, query = encoder.encode(others), encoder.encode([photos / "a/1.png"])
    expected = sorted(((codes - query) ** 2).sum(axis=1))
    assert np.allclose([n["distance"] for n in result["neighbours"]], expected, atol=1e-5)
    assert {n["path"] for n in result["neighbours"]} == {
        p.relative_to(photos).as_posix() for p in others
    }
    assert {n["class"] for n in result["neighbours"]} == {"a", "b", ""}


def test_copies_are_told_and_not_counted_as_neighbours(index, photos, tmp_path, tripletnet):
    shutil.copy(photos / "a/0.png", tmp_path / "elsewhere.png")
    _, said, _ = tripletnet("search", index, tmp_path / "elsewhere.png", "--json")
    (result,) = json.loads(said)["results"]
    assert sorted(result["itself"]) == ["a/0.png", "b/4.png"]
    assert not {"a/0.png", "b/4.png"} & {n["path"] for n in result["neighbours"]}
    _, said, _ = tripletnet("search", index, tmp_path / "elsewhere.png")
    assert "itself  a/0.png" in said and "itself  b/4.png" in said


def test_a_picture_of_nothing_finds_nothing_and_says_so(index, photos, tripletnet):
    status, said, _ = tripletnet("search", index, photos / "a/1.png", "--max-distance", 0)
    assert status == 0
    assert "nothing else looks like it: the nearest, " in said and "within 0.0000" in said
    # the run's threshold is the limit where none is given
    assert "within 0.0500" in tripletnet("search", index, photos / "a/1.png")[1]


def test_a_folder_of_queries_as_a_table(index, photos, tmp_path, tripletnet):
    (photos / "a/bad.png").write_bytes(b"")
    table = tmp_path / "table.csv"
    status, said, notices = tripletnet(
        "search", index, photos, "--csv", table, "--max-distance", "inf", "-k", 2
    )
    assert status == 0 and "11 pictures searched for" in said
    assert "empty file: 1" in notices
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len({row["query"] for row in rows}) == 11
    assert sum(row["rank"] == "itself" for row in rows) == 13  # two copies, told for each other
    ranked = [row for row in rows if row["rank"] in ("1", "2")]
    assert len(ranked) == 22
    status, _, _ = tripletnet("search", index, photos, "--csv", table, "--max-distance", 0)
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert {row["rank"] for row in rows} == {"itself", "none"}


def test_the_grid(index, photos, tmp_path, tripletnet):
    (photos / "b/3.png").rename(tmp_path / "gone.png")  # shown as a gap
    plot = tmp_path / "grid.png"
    status, _, notices = tripletnet(
        "search", index, photos / "a", photos / "loose.png", "--plot", plot, "--max-distance", "inf"
    )
    assert status == 0 and "6 pictures are not in" in notices and "--root FOLDER" in notices
    assert Image.open(plot).width > 600
    Image.new("RGB", (30, 30), "red").save(photos / "a/1.png")  # another picture than the code's
    options = (photos / "loose.png", "--plot", plot, "--max-distance", "inf", "-k", 20)
    status, _, notices = tripletnet("search", index, *options)
    assert status == 0 and "2 pictures are not in" in notices and "have changed since" in notices


def test_adding_and_removing(index, small_run, photos, tmp_path, tripletnet):
    Image.new("RGB", (30, 30), "red").save(photos / "a/red.png")
    Image.new("RGB", (30, 30), "blue").save(photos / "a/1.png")
    status, said, _ = tripletnet("index", index, "--add", photos / "a")
    assert status == 0 and "1 pictures added, 1 renewed, 4 were there already" in said
    loaded = Index.load(index)
    assert len(loaded) == 12 and "a/red.png" in loaded.images.paths
    classes = dict(zip(loaded.images.paths, loaded.images.labels.tolist()))
    assert {path[:2]: label for path, label in classes.items() if "/" in path} == {
        "a/": "a",
        "b/": "b",
    }
    status, said, _ = tripletnet("index", index, "--remove", "a/red.png", photos / "b")
    assert status == 0 and "6 pictures removed" in said
    encoder = Encoder.load(small_run)
    results = {
        result.query.name: result
        for result in search_pictures(Index.load(index), encoder, [photos / "a"])
    }
    assert results["1.png"].itself == ["a/1.png"]
    assert len(results["red.png"].itself) == 0 and len(results["red.png"].neighbours) == 6
    for wrong, complaint in (
        (["--remove", "nothing.png"], "nothing.png: is not in the index"),
        (["--add", tmp_path / "none"], "no such file or folder"),
        (["--out", tmp_path / "x", "--info"], "to change one, name it alone"),
    ):
        status, _, said = tripletnet("index", index, *wrong)
        assert status == 2 and complaint in said and said.count("\n") == 1
    assert len(Index.load(index)) == 6


def test_an_index_of_codes(small_run, photos, tmp_path, tripletnet):
    codes = tmp_path / "codes.npz"
    assert tripletnet("encode", small_run, photos, "--out", codes)[0] == 0
    status, _, _ = tripletnet("index", codes, "--out", tmp_path / "index")
    assert status == 0
    _, said, _ = tripletnet("search", tmp_path / "index", photos / "b/4.png", "--json")
    assert json.loads(said)["results"][0]["itself"] == ["a/0.png", "b/4.png"]


def test_codes_take_no_threshold_from_a_run_that_was_trained_anew(
    small_run, photos, tmp_path, tripletnet
):
    run, codes = shutil.copytree(small_run, tmp_path / "run"), tmp_path / "codes.npz"
    assert tripletnet("encode", run, photos, "--out", codes)[0] == 0
    assert tripletnet("index", codes, "--out", tmp_path / "same")[0] == 0
    assert Index.load(tmp_path / "same").threshold == 0.05
    description = read_json(run / "run.json")
    write_json(run / "run.json", {**description, "fingerprint": "f" * 64})
    status, _, said = tripletnet("index", codes, "--out", tmp_path / "other", "--quiet")
    assert status == 0 and said.count("\n") == 1
    assert f"no threshold is taken: {run}: its encoder (ffffffffffff) is not the one" in said
    assert Index.load(tmp_path / "other").threshold is None


def test_without_a_place_for_what_cannot_be_used_the_first_is_an_error(index, small_run, photos):
    (photos / "a" / "broken.png").write_bytes(b"")
    loaded, encoder = Index.load(index), Encoder.load(small_run)
    with pytest.raises(InputError, match=r"broken\.png"):
        list(search_pictures(loaded, encoder, [photos / "a"]))
    lost = []
    found = list(search_pictures(loaded, encoder, [photos / "a"], left_out=lost.append))
    assert len(found) == 5 and [Path(item.path).name for item in lost] == ["broken.png"]


def test_what_is_refused(index, small_run, photos, tmp_path, tripletnet):
    for wrong, complaint in (
        (["index", small_run, photos, "--out", index], "exists: add to it"),
        (["index", small_run, "--out", tmp_path / "i"], "which pictures are to be indexed"),
        (["index", small_run, photos], "name the index to make with --out"),
        (["index", small_run, photos, "--out", tmp_path / "i", "--memory", "much"], "is no size"),
        (["index", photos, photos, "--out", tmp_path / "i"], "not a run folder"),
        (["index", index, "--info", "--remove", "x"], "not allowed with"),
        (["index", index, "--add", photos, "--memory", "1MB"], "this one has its own"),
        (["index", index, "--info", "--run", small_run], "changes nothing: leave out --run"),
        (
            ["index", small_run, photos, "--run", small_run, "--out", tmp_path / "i"],
            "is the run: leave it out",
        ),
        (["search", tmp_path, photos / "a/1.png"], "index"),
        (["search", index, tmp_path / "none.png"], "none.png: no such file"),
        (["search", index, photos, "-k", 0], "0 neighbours asked for"),
        (["search", index, photos, "--max-distance", "-1"], "is no distance"),
        (["search", index, photos, "--run", photos], "not a run folder"),
    ):
        status, _, said = tripletnet(*wrong)
        assert status == 2, wrong
        assert complaint in said, said
        assert said.startswith("tripletnet: error:") and said.count("\n") == 1, said


def test_codes_of_another_encoder_are_refused_by_name(small_run, photos, tmp_path, tripletnet):
    codes = np.eye(4, 16, dtype=np.float32)
    other = EncodedImages(codes, paths=list("abcd"), fingerprint="f" * 64, run="/runs/other")
    write_codes(tmp_path / "codes.npz", other)
    assert tripletnet("index", tmp_path / "codes.npz", "--out", tmp_path / "index")[0] == 0
    status, _, said = tripletnet("search", tmp_path / "index", photos / "a/1.png")
    assert status == 2 and "its run /runs/other is not there any more: name it with --run" in said
    status, _, said = tripletnet(
        "search", tmp_path / "index", photos / "a/1.png", "--run", small_run
    )
    assert status == 2 and "is not the one that made the codes" in said and "ffffffffffff" in said
    index, same_words = tmp_path / "index", said
    for command in (["index", index, "--add", photos], ["duplicates", index, "--quiet"]):
        assert tripletnet(*command, "--run", small_run) == (2, "", same_words)


def test_the_threshold_is_that_of_the_run(small_run, photos, tmp_path, tripletnet):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "threshold.json").unlink()
    assert tripletnet("index", run, photos, "--out", tmp_path / "index")[0] == 0
    search = ("search", tmp_path / "index", photos / "a/1.png")
    assert "the run has no threshold, so the nearest are shown" in tripletnet(*search)[2]
    (run / "threshold.json").write_text('{"distance": 0.01}')  # chosen since by evaluate
    assert "within 0.0100" in tripletnet(*search)[1]
    (run / "threshold.json").unlink()
    loaded = Index.load(tmp_path / "index")
    loaded.threshold = 0.02
    loaded.save(tmp_path / "index")
    assert "within 0.0200" in tripletnet(*search)[1]


def test_too_little_memory_is_told_before_the_work(
    small_run, photos, tmp_path, monkeypatch, tripletnet
):
    monkeypatch.setattr(Encoder, "_encode_block", None)  # a TypeError, if it came to that
    out = tmp_path / "index"
    wrong = ("index", small_run, photos, "--out", out, "--memory")
    status, _, said = tripletnet(*wrong, "200B")
    assert status == 2 and "no index of 11 codes of 16 numbers fits into 200 bytes" in said
    status, _, said = tripletnet(*wrong, "1GB", "--kind", "ivfpq")
    assert status == 2 and "these are 11: take auto" in said
    assert not list(tmp_path.glob("index*"))


def test_an_index_whose_writing_was_stopped_is_made_by_the_same_command(
    small_run, photos, tmp_path, monkeypatch, tripletnet
):
    out = tmp_path / "index"
    command = ("index", small_run, photos, "--out", out)

    def stop(path, arrays):  # behind the codes
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("tripletnet.retrieval.index_store.write_arrays", stop)
        status, _, said = tripletnet(*command)
    assert status == 130 and "To go on: tripletnet index" in said
    (out / ".catalogue.1.ab_c1.part.npz").write_text("of a process that was killed")
    assert tripletnet(*command)[0] == 0
    assert len(Index.load(out)) == 11 and len(list(out.iterdir())) == 3


def test_an_index_that_cannot_be_written_is_told_and_made_by_the_same_command(
    small_run, photos, tmp_path, monkeypatch, tripletnet
):
    def fail(index, path):
        raise RuntimeError("Error in void faiss::write_index\nwrite error")

    command = ("index", small_run, photos, "--out", tmp_path / "index")
    with monkeypatch.context() as full:
        full.setattr("faiss.write_index", fail)
        status, _, said = tripletnet(*command)
    assert status == 1 and "codes.1.faiss: cannot be written: is the disk full?" in said
    assert tripletnet(*command)[0] == 0


def test_an_index_takes_an_empty_folder_and_no_other(small_run, photos, tmp_path, tripletnet):
    mine, empty = tmp_path / "mine", tmp_path / "empty"
    for folder in (mine, empty):
        folder.mkdir()
    (mine / "codes.1.faiss").write_text("x")
    (mine / "codes.npz").write_text("x")
    status, _, said = tripletnet("index", small_run, photos, "--out", mine)
    assert status == 2 and "mine: exists: name another with --out" in said
    assert len(list(mine.iterdir())) == 2
    assert tripletnet("index", small_run, photos, "--out", empty)[0] == 0


def test_compare(small_run, photos, tripletnet):
    same = tripletnet("compare", small_run, photos / "a/0.png", photos / "b/4.png", "--check")
    told = "same: squared Euclidean distance 0.0000, threshold 0.0500"
    assert same[0] == 0 and same[1].startswith(told)
    pair = (small_run, photos / "a/0.png", photos / "a/1.png", "--max-distance", "1e-9")
    status, said, _ = tripletnet("compare", *pair, "--check")
    assert status == 1 and said.startswith("different")
    assert tripletnet("compare", *pair)[0] == 0
    told = json.loads(tripletnet("compare", *pair, "--json")[1])
    codes = Encoder.load(small_run).encode([photos / "a/0.png", photos / "a/1.png"])
    assert told["distance"] == pytest.approx(((codes[0] - codes[1]) ** 2).sum(), abs=1e-6)
    assert told["same"] is False
    for name in ("euclidean", "cosine"):
        options = (small_run, photos / "a/0.png", photos / "b/4.png", "--json", "--distance", name)
        assert json.loads(tripletnet("compare", *options)[1])["same"] is True


def test_compare_without_a_threshold(small_run, photos, tmp_path, tripletnet):
    run = shutil.copytree(small_run, tmp_path / "run")
    (run / "threshold.json").unlink()
    status, said, _ = tripletnet("compare", run, photos / "a/0.png", photos / "a/1.png")
    assert status == 0 and "there is no threshold" in said
    status, _, said = tripletnet("compare", run, photos / "a/0.png", photos / "a/1.png", "--check")
    assert status == 2 and "has no threshold to check by" in said
    (run / "threshold.json").write_text("[]")
    status, _, said = tripletnet("compare", run, photos / "a/0.png", photos / "a/1.png")
    assert status == 2 and "tells no distance" in said
    with pytest.raises(InputError, match="is no distance"):
        compare(Encoder.load(small_run), "a", "b", math.nan)
    assert Comparison(0.5).same is None and Comparison(0.5, 0.5).same


def test_a_moved_collection(index, small_run, photos, tmp_path, tripletnet):
    moved, run = tmp_path / "moved", tmp_path / "run elsewhere"
    photos.rename(moved)
    shutil.copytree(small_run, run)
    assert tripletnet("index", index, "--root", moved, "--run", run)[0] == 0
    loaded = Index.load(index)
    assert (loaded.images.root, loaded.images.run) == (str(moved), str(run))
    _, said, _ = tripletnet("index", index, "--add", moved, "--json")
    assert json.loads(said)["done"].startswith("0 pictures added, 0 renewed, 11 were")
    assert (
        "6 pictures removed" in tripletnet("index", index, "--remove", moved / "a", "loose.png")[1]
    )
    assert "5 pictures removed" in tripletnet("index", index, "--remove", moved)[1]


def test_only_one_command_changes_an_index(index, photos, tripletnet):
    with only_one(index):
        status, _, said = tripletnet("index", index, "--remove", "a")
    assert status == 2 and "another command is making or changing it" in said
    assert tripletnet("index", index, "--remove", "a")[0] == 0
    assert not index.with_name("index.lock").exists()


def test_no_other_command_has_begun_when_kept_codes_are_removed(
    index, photos, monkeypatch, tripletnet
):
    removed, real = [], PartialCodes.remove

    def remove(folder):
        with pytest.raises(InputError, match="another command"), only_one(index):
            pass
        removed.append(folder)
        real(folder)

    monkeypatch.setattr(PartialCodes, "remove", staticmethod(remove))
    assert tripletnet("index", index, "--add", photos)[0] == 0
    assert removed[-1] == index.with_name("index.part")


def test_only_one_command_makes_a_file(small_run, photos, tmp_path, tripletnet):
    for command in ("encode", "index"):
        with only_one(tmp_path / "out"):
            status, _, said = tripletnet(command, small_run, photos, "--out", tmp_path / "out")
        assert status == 2 and "out: another command is making or changing it" in said
        assert tripletnet(command, small_run, photos, "--out", tmp_path / f"{command}/out")[0] == 0
    assert {path.name for path in tmp_path.rglob("out*")} == {"out"}


def test_a_name_means_what_the_index_has_before_what_lies_here(
    index, photos, monkeypatch, tripletnet
):
    (photos / "b/a").mkdir()
    shutil.copy(photos / "a/1.png", photos / "b/a/1.png")
    tripletnet("index", index, "--add", photos)
    monkeypatch.chdir(photos / "b")
    assert "5 pictures removed" in tripletnet("index", index, "--remove", "a")[1]
    assert "b/a/1.png" in Index.load(index).images.paths


@pytest.mark.parametrize(
    ("here", "named", "left"),
    [
        ("a", ".", {"b", "loose.png"}),
        ("a", "./", {"b", "loose.png"}),
        ("a", "../b", {"a", "loose.png"}),
        ("a", "..", set()),
        (".", ".", set()),
        (".", "./b/", {"a", "loose.png"}),
        (".", "..", set()),
        ("..", "./", set()),
    ],
)
def test_dots_mean_the_folder_that_the_user_is_in(
    index, photos, monkeypatch, tripletnet, here, named, left
):
    monkeypatch.chdir(photos / here)
    assert tripletnet("index", index, "--remove", named)[0] == 0
    assert {path.split("/")[0] for path in Index.load(index).images.paths} == left


def test_a_picture_added_by_its_own_folder_is_of_the_class_that_the_index_has_there(
    index, photos, tripletnet
):
    (photos / "a/deeper").mkdir()
    shutil.copy(photos / "a/1.png", photos / "a/deeper/1.png")
    Image.new("RGB", (20, 20), "red").save(photos / "a/2.png")
    said = tripletnet("index", index, "--add", photos / "a")[1]
    assert "1 pictures added, 1 renewed" in said and "classes   2" in said
    for name in ("more/b", "more/c", "d"):
        shutil.copytree(photos / "a/deeper", photos / name)
    for name in ("d", "more"):
        assert tripletnet("index", index, "--add", photos / name)[0] == 0
    images = Index.load(index).images
    of = dict(zip(images.paths, images.labels))
    assert of["a/deeper/1.png"] == of["a/2.png"] == "a"
    assert [of[f"{name}/1.png"] for name in ("more/b", "more/c", "d")] == ["b", "c", "d"]


def test_dots_where_no_picture_of_the_index_lies_remove_nothing(
    index, tmp_path, monkeypatch, tripletnet
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, _, said = tripletnet("index", index, "--remove", ".")
    assert status == 2 and ".: is not in the index" in said
    assert len(Index.load(index)) == 11


def test_what_lies_outside_the_root_is_removed_by_its_name_and_by_its_place(
    index, photos, tmp_path, monkeypatch, tripletnet
):
    for folder in ("more", "others"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (30, 30), "red").save(tmp_path / folder / "red.png")
        assert tripletnet("index", index, "--add", tmp_path / folder)[0] == 0
    assert {"../more/red.png", "../others/red.png"} < set(Index.load(index).images.paths)
    assert "1 pictures removed" in tripletnet("index", index, "--remove", "../more")[1]
    monkeypatch.chdir(photos)
    assert "11 pictures removed" in tripletnet("index", index, "--remove", ".")[1]
    assert "1 pictures removed" in tripletnet("index", index, "--remove", "..")[1]


def test_a_table_that_cannot_be_made_leaves_the_one_before(index, photos, tmp_path, tripletnet):
    table = tmp_path / "table.csv"
    table.write_text("before")
    (tmp_path / "bad.png").write_bytes(b"")
    status, said, _ = tripletnet("search", index, tmp_path / "bad.png", "--csv", table)
    assert status == 2 and table.read_text() == "before"
    status, said, _ = tripletnet("search", index, tmp_path / "none.png", "--json")
    assert status == 2 and said == ""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--remove", ""], "an argument is empty"),
        (["--root="], "an argument is empty"),
        (["--remove", "x", "--seed", "-1"], "'-1' is no seed"),
        (["--root", "."], None),
        (["--root", "no such folder"], "no such folder: name the one that the pictures lie in"),
        (["--info", "--precision", "int8"], "--precision and --device are for pictures"),
        (["--add", b"\xff.png".decode("utf-8", "surrogateescape")], "not valid UTF-8"),
        (["--root", NO_UNICODE], "not valid UTF-8"),
    ],
)
def test_odd_names(index, tmp_path, monkeypatch, options, complaint, tripletnet):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NO_UNICODE).mkdir()
    status, _, said = tripletnet("index", index, *options)
    assert (status, said) == (0, "") if complaint is None else status == 2 and complaint in said


@pytest.mark.parametrize("command", ["make", "of codes", "--info", "--add", "search", "duplicates"])
def test_an_index_whose_name_is_not_unicode_is_refused_before_the_work(
    index, small_run, photos, tmp_path, monkeypatch, tripletnet, command
):
    write_codes(tmp_path / "codes.npz", EncodedImages(np.eye(4, 16, dtype=np.float32)))
    odd = tmp_path / NO_UNICODE
    if command not in ("make", "of codes"):
        index.rename(odd)
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(Encoder, "load", None)  # a TypeError, if it came to that
    status, _, said = tripletnet(
        *{
            "make": ("index", small_run, photos, "--out", odd),
            "of codes": ("index", tmp_path / "codes.npz", "--out", odd),
            "--info": ("index", odd, "--info"),
            "--add": ("index", odd, "--add", photos),
            "search": ("search", odd, photos),
            "duplicates": ("duplicates", odd),
        }[command]
    )
    assert status == 2 and said.count("\n") == 1
    assert "no\ufffdname: its name is not valid UTF-8: rename it" in said
    assert sorted(tmp_path.iterdir()) == before


def test_a_run_whose_name_is_not_unicode_is_refused(index, small_run, photos, tmp_path, tripletnet):
    odd, link = shutil.copytree(small_run, tmp_path / NO_UNICODE), tmp_path / "link"
    link.symlink_to(odd)
    for command in (
        ("encode", link, photos, "--out", tmp_path / "codes.npz"),
        ("encode", odd, photos, "--out", tmp_path / "codes.npz"),
        ("index", odd, photos, "--out", tmp_path / "other"),
        ("search", index, photos, "--run", odd),
        ("compare", odd, photos / "a/0.png", photos / "a/1.png"),
        ("evaluate", odd, photos, "--out", tmp_path / "report"),
    ):
        status, _, said = tripletnet(*command)
        assert status == 2 and said.count("\n") == 1
        assert "no\ufffdname: its name is not valid UTF-8: rename it" in said


def test_many_neighbours_of_many_are_found_part_by_part(index, photos, monkeypatch, tripletnet):
    search = ("search", index, photos, "-k", 4, "--max-distance", "inf", "--json")
    whole = tripletnet(*search)
    most, found = 13, []  # two at a time: each has up to two copies of itself there
    monkeypatch.setattr("tripletnet.retrieval.search_pictures._MOST_FOUND", most)
    real = faiss.IndexFlatL2.search

    def noted(self, queries, k, **given):
        found.append(len(queries) * k)
        return real(self, queries, k, **given)

    monkeypatch.setattr(faiss.IndexFlatL2, "search", noted)
    assert tripletnet(*search) == whole
    assert len(found) == 6 and max(found) <= most


def test_huge_numbers(index, photos, tripletnet):
    status, said, _ = tripletnet(
        "search", index, photos / "a/1.png", "-k", 10**11, "--max-distance", "inf", "--json"
    )
    assert status == 0 and len(json.loads(said)["results"][0]["neighbours"]) == 10
    pair = (photos / "a/0.png", photos / "a/1.png", "--max-distance", "inf", "--json")
    run = Index.load(index).images.run
    assert json.loads(tripletnet("compare", run, *pair)[1])["threshold"] is None
    status, _, said = tripletnet("search", index, photos / "a/1.png", "--plot", photos)
    assert status == 2 and "is a folder" in said
