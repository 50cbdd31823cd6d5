"""Metrics, searches and thresholds in every distance, against its formula."""

from __future__ import annotations

import argparse
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.codes.file import EncodedImages
from tripletnet.codes.nearest import nearest
from tripletnet.commands import evaluate
from tripletnet.errors import InputError
from tripletnet.evaluation import retrieval_metrics
from tripletnet.evaluation.judgement import judge
from tripletnet.evaluation.pairs import pair_distances
from tripletnet.evaluation.parts import Codes
from tripletnet.evaluation.threshold import choose_threshold
from tripletnet.registry import DISTANCES
from tripletnet.retrieval.compare import compare
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index

NAMES = list(DISTANCES)


def by_formula(name, a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if name == "cosine":
        lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
        return 1 - a @ b.T / lengths
    squared = ((a[:, None] - b) ** 2).sum(axis=2)
    return np.sqrt(squared) if name == "euclidean" else squared


@st.composite
def labelled_codes(draw):
    """Draw codes of lengths from 0.1 to 10, and labels with two classes of two or more."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(4, 12))
    codes = random.normal(size=(count, draw(st.integers(2, 5))))
    codes *= 10 ** random.uniform(-1, 1, (count, 1)) / np.linalg.norm(codes, axis=1)[:, None]
    labels = np.concatenate([[0, 0, 1, 1], random.integers(0, 3, count - 4)])
    return codes.astype(np.float32), labels


@pytest.mark.parametrize("name", NAMES)
@given(batch=labelled_codes())
@settings(max_examples=80, deadline=None)
def test_metrics_pairs_and_neighbours_go_by_the_formula(name, batch):
    codes, labels = batch
    expected = by_formula(name, codes, codes)
    distances, found = nearest(
        codes, codes, k=len(codes) - 1, exclude_self=np.arange(len(codes)), distance=name
    )
    tolerance = {"rtol": 1e-3, "atol": 1e-3 if name == "euclidean" else 1e-4}
    np.testing.assert_allclose(distances, np.take_along_axis(expected, found, 1), **tolerance)
    assert (np.diff(distances, axis=1) >= 0).all()

    pairs = pair_distances(codes, labels, distance=name)
    once = np.triu_indices(len(codes), 1)
    alike = labels[once[0]] == labels[once[1]]
    np.testing.assert_allclose(pairs.same, np.sort(expected[once][alike]), **tolerance)
    np.testing.assert_allclose(pairs.different, np.sort(expected[once][~alike]), **tolerance)

    metrics = retrieval_metrics(codes, labels, ks=[1], distance=name)
    able = np.array([(labels == label).sum() > 1 for label in labels])
    hits = labels[found[:, 0]] == labels
    assert metrics.precision_at[1] == pytest.approx(hits[able].mean())


@pytest.mark.parametrize("name", NAMES)
def test_codes_of_numpy_and_of_mxnet_are_equally_far_apart(name):
    codes = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    distance = DISTANCES[name]()
    prepared = distance.prepared(codes).astype(np.float64)
    squared = ((prepared[:, None] - prepared) ** 2).sum(axis=2)
    np.testing.assert_allclose(
        distance.from_squared(squared), distance.matrix(mx.nd.array(codes)), atol=2e-3, rtol=1e-5
    )
    assert distance.to_squared(1e39) > 1e38
    for value in (0.0, 0.3, 2.0, math.inf):
        assert distance.to_squared(distance.from_squared(value)) == pytest.approx(value)
    assert distance.from_squared(4.0) == distance.largest


@given(squared=st.floats(2**-60, 16, width=32))
@pytest.mark.parametrize("name", NAMES)
def test_a_distance_squared_holds_all_that_are_no_farther_and_no_others(name, squared):
    distance = DISTANCES[name]()
    squares = np.float32(squared) + np.arange(-4, 5) * np.spacing(np.float32(squared))
    distances = distance.from_squared(squares.astype(np.float32))
    reach = distance.to_squared(float(distances[4]))
    np.testing.assert_array_equal(squares <= reach, distances <= distances[4])


def test_cosine_ranks_by_direction_and_the_others_by_place():
    codes = np.array([[1, 0], [10, 0.1], [0.9, 0.5], [0, 1]], dtype=np.float32)
    labels = np.array([0, 0, 1, 1])
    first = {
        name: retrieval_metrics(codes, labels, queries=[0], ks=[1], distance=name) for name in NAMES
    }
    assert {name: found.precision_at[1] for name, found in first.items()} == {
        "squared": 0.0,
        "euclidean": 0.0,
        "cosine": 1.0,
    }
    gallery = retrieval_metrics(
        codes[:1], labels[:1], ks=[1], gallery_codes=codes[1:], gallery_labels=labels[1:],
        distance="cosine",
    )  # fmt: skip
    assert gallery.precision_at[1] == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_threshold_of_unit_codes_is_the_same_in_each_distance(name):
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 10)
    codes = (random.normal(size=(40, 6)) + 2 * np.eye(6)[labels]).astype(np.float32)
    codes /= np.linalg.norm(codes, axis=1)[:, None]
    distance = DISTANCES[name]()
    squared = choose_threshold(pair_distances(codes, labels), "recall", 0.5)
    ours = choose_threshold(pair_distances(codes, labels, distance=distance), "recall", 0.5)
    assert ours.unit == distance.label
    assert ours.distance == pytest.approx(distance.from_squared(squared.distance), abs=1e-6)
    assert (ours.recall, ours.precision) == (squared.recall, squared.precision)
    back = ours.squared(distance)
    assert back.unit == "squared Euclidean"
    assert back.distance == pytest.approx(squared.distance, abs=1e-6)
    np.testing.assert_allclose(back.curve["distance"], squared.curve["distance"], rtol=1e-4)


def test_a_judgement_says_its_distance():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    # a direction each, at any length
    codes = np.eye(4)[labels] + 0.1 * random.normal(size=(40, 4))
    codes = (codes * 10 ** random.uniform(-2, 2, (40, 1))).astype(np.float32)
    told = {name: judge(Codes(codes, labels), ["a", "b"], distance=name) for name in NAMES}
    assert told["cosine"].test.retrieval.map == 1.0
    assert told["cosine"].test.nmi == pytest.approx(1.0)
    assert told["squared"].test.retrieval.map < 0.9
    assert told["squared"].test.retrieval == told["euclidean"].test.retrieval
    for name, judgement in told.items():
        label = DISTANCES[name]().label
        assert judgement.to_json()["distance"] == judgement.threshold.unit == label
        assert any(f"their {label} distances" in note for note in judgement.notes)


def evaluate_codes(*words):
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    evaluate.run(parser.parse_args([str(word) for word in words]))


def test_evaluate_in_another_distance(tmp_path, capsys):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "c.npz", codes=random.normal(size=(40, 4)), labels=np.arange(40) % 2)
    report = tmp_path / "report"
    evaluate_codes(tmp_path / "c.npz", "--out", report, "--distance", "cosine", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["distance"] == told["threshold"]["unit"] == "cosine"
    assert "ranked by the cosine distance" in (report / "report.html").read_text("utf-8")
    with pytest.raises(InputError, match="distance 'far' is not known: use one of squared, euc"):
        evaluate_codes(tmp_path / "c.npz", "--out", report, "--distance", "far")


@pytest.mark.parametrize("name", NAMES)
def test_two_pictures_in_each_distance(name, small_run, photos):
    encoder, pair = Encoder.load(small_run), (photos / "a/0.png", photos / "a/1.png")
    codes = encoder.encode(pair)
    told = compare(encoder, *pair, distance=name)
    distance = DISTANCES[name]()
    assert told.distance == pytest.approx(by_formula(name, codes, codes)[0, 1], abs=1e-6)
    assert told.threshold == pytest.approx(distance.from_squared(0.05))  # the run's, squared
    assert str(told).partition(": ")[2].startswith(f"{distance.label} distance ")


def unit_codes(count=60, seed=0):
    codes = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return codes / np.linalg.norm(codes, axis=1)[:, None]


@pytest.mark.parametrize("name", NAMES)
def test_an_index_gives_and_takes_each_distance(name, tmp_path):
    codes, distance = unit_codes(), DISTANCES[name]()
    paths = [f"{i}.png" for i in range(len(codes))]
    index = Index.build(EncodedImages(codes, paths=paths), kind="flat")
    expected, rows = nearest(codes, codes[:4], 5, distance=name)
    tolerance = 1e-3 if name == "euclidean" else 1e-5
    found = index.search(codes[:4], 5, distance=distance)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.distances, expected, atol=tolerance)
    limit = float(expected[0, 2] + expected[0, 3]) / 2
    near = index.search(codes[:1], 5, max_distance=limit, distance=name)
    assert len(near[0]) == 3
    assert np.isinf(near.distances[0, 3:]).all()

    (of, others, distances), *_ = index.within(limit, distance=name)
    every = by_formula(name, codes, codes)
    assert len(of) == (every[~np.eye(len(codes), dtype=bool)] <= limit).sum()
    np.testing.assert_allclose(distances, every[of, others], atol=tolerance)

    for row in range(len(codes)):
        query = codes[row : row + 1]
        reach = float(index.search(query, 2, distance=name).distances[0, 1])
        # a distance is within itself, rounded as it may be
        assert len(index.search(query, 2, max_distance=reach, distance=name)[0]) == 2

    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index")
    assert again.unit_length
    np.testing.assert_array_equal(
        again.search(codes[:4], 5, distance=name).distances, found.distances
    )


def test_an_index_of_any_codes_has_no_cosines():
    codes = unit_codes()
    index = Index.build(EncodedImages(codes[:50], paths=[f"{i}" for i in range(50)]))
    index.search(codes, 1, distance="cosine")
    index.add(EncodedImages(3 * codes[50:], paths=[f"{i}" for i in range(50, 60)]))
    index.search(codes, 1, distance="euclidean")
    for ask in (index.search, lambda codes, k, distance: list(index.within(1.0, k, distance))):
        with pytest.raises(InputError, match="not of unit length has no cosine distances: scale"):
            ask(codes, 1, distance="cosine")
    with pytest.raises(InputError, match="distance 'far' is not known"):
        index.search(codes, 1, distance="far")


def test_search_in_another_distance(small_run, photos, tmp_path, own_cache, tripletnet):
    index, unit = tmp_path / "index", {}
    assert tripletnet("index", small_run, photos, "--out", index)[0] == 0
    for name in NAMES:
        search = ("search", index, photos / "a/1.png", "--distance", name, "--json")
        status, said, _ = tripletnet(*search, "--plot", tmp_path / "found.png")
        assert status == 0
        unit[name] = json.loads(said)
        assert unit[name]["distance"] == DISTANCES[name]().label
    assert unit["euclidean"]["max_distance"] == pytest.approx(0.05**0.5)  # the run's threshold
    for name in NAMES:
        squared, ours = (unit[n]["results"][0] for n in ("squared", name))
        assert [n["path"] for n in ours["neighbours"]] == [n["path"] for n in squared["neighbours"]]
        assert ours["nearest"]["distance"] == pytest.approx(
            DISTANCES[name]().from_squared(squared["nearest"]["distance"]), abs=1e-6
        )
    status, _, said = tripletnet("search", index, photos / "a/1.png", "--distance", "far")
    assert status == 2
    assert "distance 'far' is not known: use one of squared, euclidean, cosine" in said


class OnlyToTrain(Distance):
    """One that says nothing of squared distances."""


def test_what_cannot_be_measured_is_refused():
    codes, labels = np.array([[1, 0], [0, 0], [0, 1]], np.float32), np.array([0, 0, 1])
    with pytest.raises(InputError, match=r"1 of 3 rows are all zeros, .* the first is row 1"):
        retrieval_metrics(codes, labels, ks=[1], distance="cosine")
    with pytest.raises(InputError, match=r"^queries: 1 of 3 rows are all zeros"):
        nearest(codes[:1], codes, 1, distance="cosine")
    with pytest.raises(InputError, match="distance OnlyToTrain: is for training alone"):
        nearest(codes, codes, 1, distance=OnlyToTrain())
    with pytest.raises(InputError, match="distance 'far' is not known"):
        pair_distances(codes, labels, distance="far")
