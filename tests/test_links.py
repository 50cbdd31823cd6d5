"""Pictures and indexes that links lead to, as a user names them."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from tripletnet.files import absolute
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.originals import Originals

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def link(photos, tmp_path):
    """Another name of the folder of photos, which lies deeper on the disk."""
    (tmp_path / "deep").mkdir()
    photos.rename(tmp_path / "deep/photos")
    photos.symlink_to(tmp_path / "deep/photos")
    return photos


@pytest.fixture
def index(small_run, link, tmp_path, tripletnet):
    assert tripletnet("index", small_run, link, "--out", tmp_path / "index")[0] == 0
    return tmp_path / "index"


def test_where_a_path_leads(tmp_path, monkeypatch):
    (tmp_path / "deep/photos").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep/photos")
    monkeypatch.chdir(tmp_path)
    assert absolute("link/a.png") == tmp_path / "link/a.png"
    assert absolute("link/..") == tmp_path / "deep"
    assert absolute("link/../a.png") == tmp_path / "deep/a.png"
    (tmp_path / "deep/a.png").symlink_to("b.png")
    assert absolute("link/../a.png") == tmp_path / "deep/a.png"
    assert absolute(".") == tmp_path


@pytest.mark.parametrize("named", ["photos", "deep/photos", "deep/photos/a", "photos/../photos/b"])
def test_pictures_are_known_by_any_name_of_their_folder(
    index, tmp_path, monkeypatch, tripletnet, named
):
    monkeypatch.chdir(tmp_path)
    for root in ("photos", "deep/photos"):
        assert tripletnet("index", index, "--root", root)[0] == 0
        assert "0 pictures added, 0 renewed" in tripletnet("index", index, "--add", named)[1]
    assert len(Index.load(index)) == 11


def test_an_index_whose_root_is_a_link_is_changed_by_any_name(
    index, link, tmp_path, monkeypatch, tripletnet
):
    held = Index.load(index)
    assert held.images.root == str(tmp_path / "deep/photos")
    held.images = replace(held.images, root=str(link))
    held.save(index)
    monkeypatch.chdir(link)
    assert "0 pictures added, 0 renewed" in tripletnet("index", index, "--add", ".")[1]
    monkeypatch.chdir(link / "a")
    assert "1 pictures removed" in tripletnet("index", index, "--remove", "0.png")[1]
    assert "4 pictures removed" in tripletnet("index", index, "--remove", ".")[1]


def test_a_link_below_the_root(small_run, photos, tmp_path, tripletnet):
    (photos / "a").rename(tmp_path / "far")
    (photos / "a").symlink_to(tmp_path / "far")
    index = tmp_path / "index"
    tripletnet("index", small_run, photos, "--out", index)
    assert "a/0.png" in Index.load(index).images.paths
    for name in (photos / "a", tmp_path / "far", tmp_path / "far/0.png"):
        assert "0 pictures added, 0 renewed" in tripletnet("index", index, "--add", name)[1]
    Image.new("RGB", (20, 20), "red").save(tmp_path / "far/1.png")
    said = tripletnet("index", index, "--add", photos, tmp_path / "far")[1]
    assert "0 pictures added, 1 renewed, 10 were there already" in said
    assert "1 pictures removed" in tripletnet("index", index, "--remove", tmp_path / "far/0.png")[1]
    assert "4 pictures removed" in tripletnet("index", index, "--remove", tmp_path / "far")[1]
    assert set(Index.load(index).images.labels) == {"b", ""}


def test_pictures_beside_a_root_that_is_a_link_are_found_again(
    index, link, tmp_path, monkeypatch, tripletnet
):
    for folder in ("deep/other", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(link / "a/2.png", tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    # as the disk has it: what lies around the folder that the link points to
    assert "1 pictures added" in tripletnet("index", index, "--add", "photos/../other")[1]
    assert "../other/2.png" in Index.load(index).images.paths
    assert "1 pictures added" in tripletnet("index", index, "--add", "other")[1]
    images = Index.load(index).images
    assert {"../other/2.png", "../../other/2.png"} < set(images.paths)
    for path in images.paths:
        Originals(images).read(path)


def test_the_folder_that_one_is_in_is_an_index(index, small_run, link, monkeypatch, tripletnet):
    monkeypatch.chdir(index)
    assert "0 pictures added" in tripletnet("index", ".", "--add", link)[1]
    empty = index.with_name("empty")
    empty.mkdir()
    monkeypatch.chdir(empty)
    status, said, _ = tripletnet("index", small_run, link, "--out", ".")
    assert status == 0 and "11" in said and len(Index.load(empty)) == 11


def test_triplets_written_through_a_link(link, tmp_path, monkeypatch, tripletnet):
    (tmp_path / "far/out").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "far/out")
    written = tmp_path / "out/triplets.csv"
    status, _, _ = tripletnet(
        "triplets", link, "--size", 16, "--validation", 0, "--test", 0, "--out", written
    )
    assert status == 0
    with written.open(newline="") as file:
        for row in csv.DictReader(file):
            assert all((written.parent.resolve() / path).is_file() for path in row.values())
    run = tmp_path / "run"
    train = ("train", "--triplets", written, "--size", 16, "--images", 60, "--batch-size", 6)
    status, _, said = tripletnet(*train, "--network", "article", "--quiet", "--out", run)
    assert status == 0, said
