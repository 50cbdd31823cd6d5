"""The index: exact against brute force, every kind's recall, changes, and files on the disk."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.codes.file import EncodedImages
from tripletnet.errors import InputError
from tripletnet.files import write_json
from tripletnet.retrieval import index_store
from tripletnet.retrieval.changes import add_pictures
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.index_plan import KINDS, plan_index


def clustered(count: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Unit codes around 40 centres, as those of images of 40 classes."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, size))
    codes = centres[random.integers(0, 40, count)] + 0.4 * random.standard_normal((count, size))
    return (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)


def encoded(codes: np.ndarray, first: int = 0, **fields: object) -> EncodedImages:
    numbers = range(first, first + len(codes))
    known = {
        "labels": np.array([f"class {n % 3}" for n in numbers]),
        "paths": [f"{n}.jpg" for n in numbers],
        "fingerprint": "abc",
        "root": "/pictures",
        "digests": [f"{n:064x}" for n in numbers],
        "sizes": np.array([(n, n + 1) for n in numbers]),
        "run": "/run",
    }
    return EncodedImages(codes, **{**known, **fields})


def brute_force(codes: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances in double precision, (Q, N)."""
    return ((queries[:, None].astype(float) - codes[None].astype(float)) ** 2).sum(axis=2)


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return clustered(3000)


@pytest.fixture(scope="module")
def built(codes) -> dict[str, Index]:
    """An index of each kind, not to be changed."""
    return {kind: Index.build(encoded(codes), kind=kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def index(request, codes) -> Index:
    return Index.build(encoded(codes[:1000]), kind=request.param)


def test_flat_agrees_with_brute_force(codes, built):
    queries = clustered(40, seed=1)
    expected = brute_force(codes, queries)
    found = built["flat"].search(queries, k=7)
    np.testing.assert_array_equal(found.rows, expected.argsort(axis=1)[:, :7])
    np.testing.assert_allclose(found.distances, np.sort(expected, axis=1)[:, :7], atol=1e-6)
    assert (found.distances.dtype, found.rows.dtype) == (np.float32, np.int64)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=60),
    st.lists(st.integers(-3, 3), min_size=1, max_size=30),
    st.integers(1, 70),
)
def test_ties_and_more_neighbours_than_there_are(places, asked, k):
    codes, queries = (np.array(values, np.float32)[:, None] for values in (places, asked))
    found = Index.build(encoded(codes), kind="flat").search(queries, k)
    assert found.rows.shape == found.distances.shape == (len(asked), k)
    exact = brute_force(codes, queries)
    there = min(k, len(places))
    np.testing.assert_array_equal(found.distances[:, :there], np.sort(exact, axis=1)[:, :there])
    for query, rows in enumerate(found.rows[:, :there]):
        assert len(set(rows.tolist())) == there
        np.testing.assert_array_equal(exact[query, rows], found.distances[query, :there])
    assert (found.rows[:, there:] == -1).all() and np.isinf(found.distances[:, there:]).all()


@pytest.mark.parametrize(("kind", "least"), list(zip(KINDS, (1, 0.97, 0.95, 0.75))))
def test_recall_of_every_kind(built, codes, kind, least):
    queries = clustered(200, seed=1)
    exact = brute_force(codes, queries).argsort(axis=1)[:, :10]
    found = built[kind].search(queries).rows
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact.tolist(), found.tolist())])
    assert recall >= least
    assert built[kind].recall == pytest.approx(recall, abs=0.04)
    assert built[kind].kind == kind


def near_each_other(how: str) -> np.ndarray:
    """Codes whose neighbours are at a ten-thousandth of their squared length, or less."""
    random = np.random.default_rng(0)
    noise = random.standard_normal((1000, 256))
    if how == "far from the origin":
        return (10 + 0.03 * noise).astype(np.float32)
    if how == "bursts":  # of four side by side
        codes = random.standard_normal((250, 256)).repeat(4, axis=0) + 0.003 * noise
    else:
        centres = random.standard_normal((10, 256)) if how == "tight classes" else np.ones((1, 256))
        codes = centres[np.arange(1000) % len(centres)] + 0.003 * noise
    return (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(
    "how", ["far from the origin", "nearly one direction", "tight classes", "bursts"]
)
def test_codes_that_are_near_each_other_are_told_apart(how):
    codes = near_each_other(how)
    exact = np.array([((codes - q.astype(float)) ** 2).sum(axis=1) for q in codes[:600]])
    expected = np.sort(exact, axis=1)[:, :10]
    indexes = {kind: Index.build(encoded(codes), kind=kind) for kind in ("flat", "sq8")}
    found = indexes["flat"].search(codes[:600])
    np.testing.assert_allclose(found.distances, expected, rtol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(exact, found.rows, 1), expected, rtol=1e-4)
    rows = np.concatenate([rows for rows, _, _ in indexes["flat"].within(expected[0, 9])])
    there = (exact[:600] <= expected[0, 9]).sum() - 600
    assert (rows < 600).sum() == pytest.approx(there, rel=1e-3)
    order = exact.argsort(axis=1)[:, 1:11]
    rows = indexes["sq8"].search(codes[:600], exclude=[[n] for n in range(600)]).rows
    share = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(order.tolist(), rows.tolist())])
    assert indexes["flat"].recall == 1
    assert indexes["sq8"].recall == pytest.approx(share, abs=0.02)


def test_equal_codes_are_found_however_long_they_are():
    random = np.random.default_rng(0)
    codes = 1.3 * np.abs(random.standard_normal((300, 512)).astype(np.float32)).repeat(2, axis=0)
    index = Index.build(encoded(codes))
    found = index.search(codes, k=3, max_distance=0)
    assert (found.distances[:, :2] == 0).all() and (found.rows[:, 2] == -1).all()
    found = np.concatenate([others for _, others, _ in index.within(1e-5)])
    assert sorted(found.tolist()) == list(range(600))


def test_codes_that_are_spread_are_found_as_faiss_finds_them():
    codes = clustered(1000, 256)
    index = Index.build(encoded(codes))
    distances, rows = index.faiss_index.search(codes[:600], 10)
    found = index.search(codes[:600], max_distance=0.5)
    np.testing.assert_array_equal(found.rows, np.where(distances <= 0.5, rows, -1))
    np.testing.assert_array_equal(found.distances, np.where(distances <= 0.5, distances, np.inf))


def test_what_is_added_and_removed_may_be_nearer_to_each_other():
    spread, near = clustered(1010, 256), near_each_other("far from the origin")
    added = Index.build(encoded(spread[:10]))
    left = Index.build(encoded(np.concatenate([near, spread[10:], -spread])))
    for index in (added, left):  # what it finds out about its codes is to hold no longer
        index.search(near[:600], k=1)
    added.add(encoded(near, first=10))
    left.remove(left.images.paths[1000:])
    for index in (added, left):
        assert (index.search(near[:600], k=1).distances == 0).all()


@pytest.mark.parametrize("kind", ["sq8", "hnsw", "ivfpq"])
def test_the_scale_of_codes_does_not_change_the_recall(built, codes, kind):
    small = Index.build(encoded(codes / 1024), kind=kind)
    assert small.recall == pytest.approx(built[kind].recall, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plan_estimates_what_is_written(built, kind):
    stored = len(faiss.serialize_index(built[kind].faiss_index))
    assert built[kind].info()["memory"] == pytest.approx(stored, rel=0.1)
    subquantizers = built[kind].faiss_index.pq.M if kind == "ivfpq" else 0
    plan = plan_index(3000, 32, kind=kind)
    assert plan.subquantizers == subquantizers
    assert plan.memory == built[kind].info()["memory"]


def test_the_most_exact_kind_that_fits():
    million = {"count": 10**6, "size": 1024}
    kinds = [plan_index(**million, memory=memory) for memory in (6 * 10**9, 2 * 10**9, 5 * 10**8)]
    assert [plan.kind for plan in kinds] == ["flat", "sq8", "ivfpq"]
    assert all(
        plan.memory <= memory for plan, memory in zip(kinds, (6 * 10**9, 2 * 10**9, 5 * 10**8))
    )
    assert kinds[2].subquantizers == 256  # 512 would take 535 MB
    assert plan_index(**million, memory=4_096_000_000).kind == "flat"
    assert plan_index(**million, memory=4_095_999_999).kind == "sq8"
    assert plan_index(10, 1024).kind == "flat"


def test_the_least_memory_that_would_do():
    with pytest.raises(
        InputError, match=r"memory: no index of 1,000,000 codes .* at least"
    ) as error:
        plan_index(10**6, 1024, memory=10**6)
    least = int(str(error.value).split("at least ")[1].split(" bytes")[0].replace(",", ""))
    assert plan_index(10**6, 1024, memory=least).kind == "ivfpq"
    with pytest.raises(InputError, match=r"no index of kind flat .* at least 4,000 bytes"):
        plan_index(100, 10, memory=3999, kind="flat")
    with pytest.raises(InputError, match="ivfpq needs at least 256 images"):
        plan_index(100, 10, kind="ivfpq")
    with pytest.raises(InputError, match="kind 'exact' is not known: use auto or one of flat"):
        plan_index(100, 10, kind="exact")


def test_a_query_does_not_find_what_is_excluded(index, codes):
    queries, exclude = codes[:50], [[n] for n in range(50)]
    plain = index.search(queries, k=12).rows
    exclude[7] = plain[7, [0, 2, 3]].tolist()
    exclude[8] = []
    found = index.search(queries, k=5, exclude=exclude)
    for query in range(50):
        kept = [row for row in plain[query].tolist() if row not in exclude[query]]
        assert found.rows[query].tolist() == kept[:5]
    assert (np.diff(found.distances) >= 0).all()


def test_excluding_all_but_one(codes):
    found = Index.build(encoded(codes[:4])).search(codes[:1], k=3, exclude=[[0, 1, 3]])
    assert found.rows.tolist() == [[2, -1, -1]]
    assert np.isinf(found.distances[0, 1:]).all()


def test_max_distance_is_included_and_a_picture_of_nothing_finds_nothing():
    codes = np.array([[0, 0], [1, 0], [2, 0]], np.float32)
    found = Index.build(encoded(codes)).search(codes[:1], k=3, max_distance=1)
    assert found.rows.tolist() == [[0, 1, -1]]
    nothing = Index.build(encoded(codes)).search(codes[:1] + 9, max_distance=1)
    assert str(nothing[0]) == "nothing found" and len(nothing[0]) == 0


def test_within_finds_every_pair(index):
    kept = index.codes(np.arange(1000))
    exact = brute_force(kept, kept)
    np.fill_diagonal(exact, np.inf)
    radius = float(np.quantile(exact, 0.002))
    told = []
    blocks = list(index.within(radius, block=300, progress=lambda *counts: told.append(counts)))
    assert len(blocks) == 4 and told == [(300, 1000), (600, 1000), (900, 1000), (1000, 1000)]
    rows, neighbours, distances = map(np.concatenate, zip(*blocks))
    np.testing.assert_allclose(distances, exact[rows, neighbours], atol=1e-5)
    found = set(zip(rows.tolist(), neighbours.tolist()))
    assert len(found) == len(rows)
    expected = set(zip(*map(np.ndarray.tolist, np.nonzero(exact <= radius - 1e-5))))
    assert len(found & expected) >= (0.97 if index.kind == "ivfpq" else 1) * len(expected)
    assert not any((rows == neighbours).tolist())


def test_within_includes_the_distance_itself():
    codes = np.array([[0], [1], [3]], np.float32)
    ((rows, neighbours, distances),) = Index.build(encoded(codes)).within(1)
    assert (rows.tolist(), neighbours.tolist(), distances.tolist()) == ([0, 1], [1, 0], [1, 1])


@pytest.mark.parametrize("kind", ["flat", "sq8"])
def test_changes_equal_a_fresh_build(codes, kind):
    codes = codes[:900].copy()
    codes[0], codes[1] = codes.min(axis=0), codes.max(axis=0)  # the range that sq8 learns
    changed = Index.build(encoded(codes[:500]), kind=kind)
    changed.add(encoded(codes[500:], first=500))
    changed.remove([f"{n}.jpg" for n in range(100, 600)])
    left = np.r_[:100, 600:900]
    parts = encoded(codes)
    fresh = Index.build(
        replace(
            parts,
            codes=codes[left],
            labels=parts.labels[left],
            paths=[parts.paths[n] for n in left],
            digests=[parts.digests[n] for n in left],
            sizes=parts.sizes[left],
        ),
        kind=kind,
    )
    np.testing.assert_array_equal(
        faiss.serialize_index(changed.faiss_index), faiss.serialize_index(fresh.faiss_index)
    )
    assert changed.images.paths == fresh.images.paths
    assert changed.images.digests == fresh.images.digests
    np.testing.assert_array_equal(changed.images.labels, fresh.images.labels)
    np.testing.assert_array_equal(changed.images.sizes, fresh.images.sizes)


def test_every_kind_adds_and_removes(index, codes, tmp_path):
    index.remove([f"{n}.jpg" for n in range(0, 1000, 2)])
    index.add(encoded(codes[1000:1200], first=1000))
    index.remove([f"{n}.jpg" for n in range(1001, 1200, 2)])
    left = np.r_[1:1000:2, 1000:1200:2]
    index.save(tmp_path / "i")
    for one in (index, Index.load(tmp_path / "i")):
        assert one.images.paths == [f"{n}.jpg" for n in left] and len(one) == 600
        np.testing.assert_allclose(one.codes(np.arange(600)), codes[left], atol=0.4)
        found = one.search(codes[left], k=5)
        assert found.rows.max() == 599
        assert np.mean(found.rows[:, 0] == np.arange(600)) > 0.9
        blocks = list(one.within(0.01))
        assert all(rows.max(initial=0) < 600 for rows, _, _ in blocks)
    gone = index.search(codes[[2]], k=1)[0].neighbours[0]
    assert gone.path != "2.jpg"


def test_nothing_is_left(index, codes):
    index.remove(list(index.images.paths))
    assert len(index) == 0
    assert (index.search(codes[:3], k=2).rows == -1).all()
    index.add(encoded(codes[:2]))
    assert index.search(codes[1:2], k=2).rows[0].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("images", "complaint"),
    [
        (encoded(clustered(2), first=999), "paths: 999.jpg is in the index already"),
        (encoded(clustered(2), first=2000, fingerprint="xyz"), "encoder abc .* of xyz: encode"),
        (encoded(clustered(2), first=2000, fingerprint=None), "encoder abc .* of None"),
        (encoded(clustered(2, 16), first=2000), "codes of 16 numbers, .* index have 32"),
        (encoded(clustered(2), paths=["a", "a"]), "paths: a is there twice"),
        (encoded(clustered(2), paths=None), "paths: these codes have none"),
        (encoded(clustered(2), paths=["a"]), "paths: 1 for 2 codes"),
        (
            encoded(clustered(2), first=2000, digests=None),
            "digests: known of the index's images or",
        ),
        (encoded(np.full((2, 32), np.nan, np.float32)), "2 of 2 rows hold NaN"),
    ],
)
def test_what_cannot_be_added_changes_nothing(built, images, complaint):
    index = built["flat"]
    with pytest.raises(InputError, match=complaint) as caught:
        index.add(images)
    assert "\n" not in str(caught.value)
    assert (len(index), index.faiss_index.ntotal) == (3000, 3000)


def test_added_paths_are_relative_to_the_root_of_the_index(codes):
    index = Index.build(encoded(codes[:2]))
    index.add(encoded(codes[2:3], paths=["a.jpg"], root="/pictures/2024"))
    index.add(encoded(codes[3:4], paths=["a.jpg"], root="/other", labels=None))
    assert index.images.paths == ["0.jpg", "1.jpg", "2024/a.jpg", "../other/a.jpg"]
    assert index.images.labels.tolist() == ["class 0", "class 1", "class 0", ""]
    # around the root, and a file that is in the index already
    index.add(encoded(codes[4:5], paths=["pictures/2023/b.jpg"], root="/"))
    index.add(encoded(codes[5:6], paths=["../pictures/2023/../c.jpg"], root="/other"))
    assert index.images.paths[4:] == ["2023/b.jpg", "c.jpg"]
    with pytest.raises(InputError, match=r"2024/a\.jpg is in the index already"):
        index.add(encoded(codes[6:7], paths=["pictures/2024/a.jpg"], root="/"))


def test_images_take_the_place_of_others(index, codes):
    index.add(encoded(codes[1000:1003], paths=["5.jpg", "a", "b"]), replacing=["5.jpg", "7.jpg"])
    assert len(index) == 1001 and index.images.paths[-3:] == ["5.jpg", "a", "b"]
    assert "7.jpg" not in index.images.paths
    np.testing.assert_allclose(index.codes([998])[0], codes[1000], atol=0.4)
    before = index.images.paths
    for wrong in ({"first": 3}, {"first": 2000, "fingerprint": "xyz"}):
        with pytest.raises(InputError):
            index.add(encoded(codes[:1], **wrong), replacing="9.jpg")
    with pytest.raises(InputError, match="none is not in the index"):
        index.add(encoded(codes[:1], first=2000), replacing="none")
    assert index.images.paths == before and len(index.codes(np.arange(1001))) == 1001


def test_where_there_is_no_memory_for_more_the_index_stays_as_it_was(codes, monkeypatch):
    index = Index.build(encoded(codes[:5]))

    def refuse(new):
        raise MemoryError

    monkeypatch.setattr(index._codes, "add", refuse)
    with pytest.raises(MemoryError):
        index.add(encoded(codes[5:6], paths=["0.jpg"]), replacing="0.jpg")
    assert index.images.paths == [f"{row}.jpg" for row in range(5)]
    np.testing.assert_array_equal(index.codes(np.arange(5)), codes[:5])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"fingerprint": "xyz"}, "encoder abc .* of xyz"),
        ({"codes": clustered(3, 16)}, "codes of 16 numbers"),
        ({"codes": np.full((3, 32), np.nan, np.float32)}, "3 of 3 rows hold NaN"),
        ({"sizes": None}, "sizes: known of"),
    ],
)
def test_pictures_that_cannot_be_added_do_not_remove_those_before(codes, wrong, complaint):
    index = Index.build(encoded(codes[:6]))
    changed = encoded(codes[6:9], digests=["f" * 64, "e" * 64, "d" * 64])
    with pytest.raises(InputError, match=complaint):
        add_pictures(index, replace(changed, **wrong))
    assert index.images.paths == [f"{n}.jpg" for n in range(6)]
    assert str(add_pictures(index, changed)).startswith("0 pictures added, 3 renewed")
    np.testing.assert_array_equal(index.codes(np.arange(6)), codes[3:9])


def test_a_class_may_be_the_number_0(codes):
    paths = ["cat/0.jpg", "dog/1.jpg"]
    index = Index.build(encoded(codes[:2], paths=paths, labels=np.array(["cat", "dog"])))
    paths = ["new/2.jpg", "new/3.jpg", "cat/4.jpg"]
    add_pictures(index, encoded(codes[2:5], first=2, paths=paths, labels=np.array([0, 1, 0])))
    assert index.images.labels.tolist() == ["cat", "dog", "0", "1", "cat"]


def test_what_cannot_be_removed_changes_nothing(built):
    with pytest.raises(InputError, match=r"no\.jpg is not in the index; .* relative to /pictures"):
        built["flat"].remove(["1.jpg", "no.jpg"])
    assert len(built["flat"]) == 3000


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"queries": np.full((1, 32), np.nan)}, "queries: 1 of 1 rows hold NaN"),
        ({"queries": np.zeros((1, 3))}, "queries: codes of 3 numbers, .* have 32"),
        ({"queries": np.zeros(32)}, "queries: expected numbers of shape"),
        ({"k": 0}, "k: 0 neighbours asked for"),
        ({"exclude": [[1], [2]]}, "exclude: 2 lists of rows for 1 queries"),
        ({"exclude": [[3000]]}, "exclude: indices must be from 0 to 2999"),
    ],
)
def test_a_bad_search_is_named(built, change, complaint):
    arguments = {"queries": np.zeros((1, 32), np.float32), **change}
    with pytest.raises(InputError, match=complaint):
        built["flat"].search(**arguments)


def test_other_bad_arguments(built, codes):
    with pytest.raises(InputError, match="threshold is nan"):
        Index.build(encoded(codes[:2]), threshold=float("nan"))
    with pytest.raises(InputError, match="max_distance is -1"):
        next(built["flat"].within(-1))
    with pytest.raises(InputError, match="rows: indices must be from 0 to 2999"):
        built["flat"].codes([3000])


@pytest.mark.parametrize("kind", ["flat", "sq8", "ivfpq"])
def test_the_same_build_gives_the_same_index(built, codes, kind):
    again = Index.build(encoded(codes), kind=kind)
    first, second = (faiss.serialize_index(i.faiss_index) for i in (built[kind], again))
    np.testing.assert_array_equal(first, second)
    assert again.recall == built[kind].recall


def test_codes_on_the_disk_and_progress(codes, tmp_path):
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    calls = []
    index = Index.build(encoded(mapped), progress=lambda *call: calls.append(call))
    assert calls == [("indexing", 3000, 3000)]
    np.testing.assert_array_equal(index.codes([5, 3]), codes[[5, 3]])


def test_results_for_people(codes):
    index = Index.build(encoded(codes[:20]))
    results = index.search(codes[:12], k=2, exclude=[[n] for n in range(12)])
    first = results[0].neighbours[0]
    row = int(results.rows[0, 0])
    assert (first.path, first.label, first.row) == (f"{row}.jpg", f"class {row % 3}", row)
    assert first.distance == pytest.approx(float(results.distances[0, 0]))
    assert f"{row}.jpg  (class {row % 3})" in str(results[0])
    assert str(results).startswith("query 0:\n") and str(results).endswith("and 2 more queries")
    table = results.to_pandas()
    assert list(table.columns) == ["query", "rank", "path", "distance", "label", "row"]
    assert len(table) == 24 and table["path"][0] == first.path
    unknown = Index.build(encoded(codes[:2], labels=None)).search(codes[:1], k=1)
    assert unknown[0].neighbours[0].label == "" and str(unknown[0]).endswith("0.jpg")


def test_without_pandas_or_faiss(built, codes, monkeypatch):
    results = built["flat"].search(codes[:1])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pip install pandas"):
        results.to_pandas()
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match="pip install faiss-cpu"):
        Index.build(encoded(codes[:2]))


def test_save_and_load(index, codes, tmp_path):
    index.threshold = 0.25
    index.save(tmp_path / "i")
    loaded = Index.load(tmp_path / "i")
    assert loaded.info() == index.info() and json.dumps(loaded.info())
    before, after = index.search(codes[:50]), loaded.search(codes[:50])
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.distances, after.distances)
    assert loaded.images.paths == index.images.paths
    np.testing.assert_array_equal(loaded.images.sizes, index.images.sizes)
    np.testing.assert_array_equal(loaded.images.labels, index.images.labels)


def test_names_that_are_not_utf8_and_unknown_fields(codes, tmp_path):
    paths = ["ö \n.jpg", b"\xff.jpg".decode("utf-8", "surrogateescape")]
    Index.build(EncodedImages(codes[:2], paths=paths)).save(tmp_path / "i")
    images = Index.load(tmp_path / "i").images
    assert images.paths == paths
    assert (images.labels, images.digests, images.sizes, images.root) == (None,) * 4


@pytest.fixture
def saved(codes, tmp_path):
    Index.build(encoded(codes[:300])).save(tmp_path / "i")
    return tmp_path / "i"


FILES = ["index.json", "codes.1.faiss", "catalogue.1.npz"]


@pytest.mark.parametrize("name", FILES)
def test_damage_is_named(saved, name):
    path = saved / name
    whole = path.read_bytes()
    damages = [whole[:-1], whole[: len(whole) // 2], b"", whole + b"x", b"{}", b"\x80\x04junk"]
    for position in np.linspace(0, len(whole) - 2, 20).astype(int):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        damages.append(bytes(flipped))
    for damage in damages:
        path.write_bytes(damage)
        if name == "index.json" and damage.split() == whole.split():
            continue  # white space alone
        with pytest.raises(InputError, match=name) as caught:
            Index.load(saved)
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(InputError, match=name):
        Index.load(saved)


def test_no_index(tmp_path, built):
    with pytest.raises(InputError, match=r"none: not an index, it has no index\.json"):
        Index.load(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="file: is a file, and an index is a folder"):
        built["flat"].save(tmp_path / "file")
    write_json(tmp_path / "index.json", {"format": 2, "sha256": index_store._digest({"format": 2})})
    with pytest.raises(InputError, match="its format is 2, and this version reads 1"):
        Index.load(tmp_path)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_save_that_is_stopped_leaves_the_old_index(saved, codes, monkeypatch, step):
    index = Index.build(encoded(codes[:400]))
    real, calls = index_store.atomic_path, []

    def stopping(path):
        calls.append(path)
        if len(calls) > step:
            raise KeyboardInterrupt
        return real(path)

    def stopping_json(path, value):
        raise KeyboardInterrupt

    monkeypatch.setattr(index_store, "atomic_path", stopping)
    monkeypatch.setattr(index_store, "write_json", stopping_json)
    with pytest.raises(KeyboardInterrupt):
        index.save(saved)
    assert len(Index.load(saved)) == 300
    monkeypatch.undo()
    index.save(saved)
    assert len(Index.load(saved)) == 400
    assert len(list(saved.iterdir())) == 3


@pytest.mark.parametrize("step", ["read_about", "_sha256", "load_faiss"])
def test_an_index_that_is_saved_while_it_is_read(saved, codes, monkeypatch, step):
    later, real = Index.build(encoded(codes[:400])), getattr(index_store, step)

    def saved_meanwhile(*given):
        answer = real(*given)
        monkeypatch.setattr(index_store, step, real)
        later.save(saved)
        return answer

    monkeypatch.setattr(index_store, step, saved_meanwhile)
    assert len(Index.load(saved)) == 400


def test_an_index_that_is_saved_again_and_again_is_not_called_damaged(saved, monkeypatch):
    index, real = Index.load(saved), index_store.read_about

    def saved_meanwhile(folder):
        about = real(folder)
        index.save(folder)
        return about

    monkeypatch.setattr(index_store, "read_about", saved_meanwhile)
    with pytest.raises(InputError, match="i: another command keeps changing it: try again"):
        Index.load(saved)


def test_saving_over_a_ruin_and_beside_other_files(saved, built):
    (saved / "index.json").write_text("junk")
    (saved / "notes.txt").write_text("mine")
    built["flat"].save(saved)
    assert len(Index.load(saved)) == 3000
    assert (saved / "notes.txt").exists() and len(list(saved.iterdir())) == 4
    shutil.move(saved, saved.parent / "elsewhere")
    assert len(Index.load(saved.parent / "elsewhere")) == 3000


@pytest.mark.parametrize("name", ["a\0b.jpg", "a\ud800.jpg"])
def test_what_can_be_no_name_is_refused(codes, name):
    with pytest.raises(InputError, match="can be no name of a file"):
        Index.build(EncodedImages(codes[:2], paths=["a.jpg", name]))


def test_paths_may_be_of_pathlib_and_one_alone(codes):
    index = Index.build(encoded(codes[:6]))
    first, second, third = index.images.paths[:3]
    index.remove(Path(first))
    index.remove(second)
    index.remove([Path(third)])
    assert len(index) == 3
