"""Retrieval metrics against values worked out by hand and against brute force."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.errors import InputError
from tripletnet.evaluation import retrieval_metrics
from tripletnet.evaluation.metrics import query_metrics


def on_a_line(*places: float) -> np.ndarray:
    return np.array(places, np.float32)[:, None]


def brute_force(distances, hits, ks):
    """The figures of one query by their definitions: its ranking, item by item."""
    ranking = [hits[i] for i in sorted(range(len(hits)), key=lambda i: (distances[i], i))]
    R = sum(ranking)
    precision = [sum(ranking[: i + 1]) / (i + 1) for i in range(len(ranking))]
    return {
        **{f"precision_at_{k}": sum(ranking[:k]) / k for k in ks},
        **{f"recall_at_{k}": float(any(ranking[:k])) for k in ks},
        "r_precision": sum(ranking[:R]) / R,
        "map_at_r": sum(precision[i] for i in range(R) if ranking[i]) / R,
        "map": sum(p for p, hit in zip(precision, ranking) if hit) / R,
    }


def average(figures):
    return {name: np.mean([f[name] for f in figures]) for name in figures[0]}


def test_worked_example():
    # from the query at 0, hits (a) and misses (b) follow as b a a b a: R = 3
    codes, labels = on_a_line(0, 1, 2, 3, 4, 5), list("abaaba")
    metrics = retrieval_metrics(codes, labels, ks=(1, 2, 5), queries=[0])
    assert metrics.precision_at == {1: 0, 2: 1 / 2, 5: 3 / 5}
    assert metrics.recall_at == {1: 0, 2: 1, 5: 1}
    assert metrics.r_precision == pytest.approx(2 / 3)
    assert metrics.map_at_r == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert metrics.map == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)
    assert (metrics.queries, metrics.left_out) == (1, 0)


def test_perfect_codes_score_one():
    codes = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
    metrics = retrieval_metrics(codes, [5, 6, 7, 5, 6, 7], ks=np.array([1]))
    assert (metrics.precision_at[1], metrics.r_precision, metrics.map_at_r, metrics.map) == (
        1,
        1,
        1,
        1,
    )


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_agrees_with_brute_force(data):
    # few places on a grid: many ties, which the index decides
    count = data.draw(st.integers(3, 30))
    places = data.draw(st.lists(st.integers(0, 4), min_size=2 * count, max_size=2 * count))
    labels = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    codes = np.array(places, np.float32).reshape(count, 2)
    ks = sorted({1, 2, count - 1})
    sizes = {label: labels.count(label) for label in labels}
    if len(sizes) < 2 or max(sizes.values()) < 2:
        with pytest.raises(InputError):
            retrieval_metrics(codes, labels, ks=ks)
        return
    expected = []
    for query in range(count):
        others = [i for i in range(count) if i != query]
        if sizes[labels[query]] > 1:
            distances = ((codes[others] - codes[query]) ** 2).sum(axis=1)
            expected.append(
                brute_force(distances, [labels[i] == labels[query] for i in others], ks)
            )
    found = retrieval_metrics(codes, labels, ks=ks).as_dict()
    assert found.pop("queries") == len(expected)
    assert found.pop("left_out") == count - len(expected)
    assert found == pytest.approx(average(expected))


def test_other_images_as_gallery():
    random = np.random.default_rng(0)
    queries, gallery = random.standard_normal((2, 40, 6)).astype(np.float32)
    labels, gallery_labels = random.integers(0, 4, (2, 40))
    expected = [
        brute_force(((gallery - code) ** 2).sum(axis=1), gallery_labels == label, (1, 5))
        for code, label in zip(queries, labels)
    ]
    found = retrieval_metrics(
        queries, labels, ks=(1, 5), gallery_codes=gallery, gallery_labels=gallery_labels
    ).as_dict()
    assert (found.pop("queries"), found.pop("left_out")) == (40, 0)
    assert found == pytest.approx(average(expected))


def test_a_gallery_may_hold_the_query_again():
    codes = on_a_line(0, 1)
    metrics = retrieval_metrics(
        codes, ["a", "b"], ks=[1], gallery_codes=codes, gallery_labels=["a", "b"]
    )
    assert metrics.map == 1


def test_queries_without_another_of_their_class_are_left_out_and_counted():
    codes = on_a_line(0, 1, 10, 20)
    metrics = query_metrics(codes, ["a", "a", "b", "c"], ks=[1])
    assert (metrics.mean().queries, metrics.mean().left_out, metrics.mean().map) == (2, 2, 1)
    assert np.isnan(metrics.average_precision).tolist() == [False, False, True, True]


def test_per_class():
    codes = on_a_line(0, 1, 2, 3, 50)
    metrics = query_metrics(codes, ["a", "a", "b", "b", "c"], ks=[1]).per_class()
    assert list(metrics) == ["a", "b", "c"]
    # 0 and 3 look at their neighbour first; 1 and 2 are tied between both and take the lower index
    assert metrics["a"].precision_at[1] == 1
    assert metrics["b"].precision_at[1] == 1 / 2
    assert (metrics["c"].queries, metrics["c"].left_out) == (0, 1)
    assert math.isnan(metrics["c"].map)
    assert json.loads(json.dumps(metrics["c"].as_dict(), allow_nan=False))["map"] is None


def test_chosen_queries_are_those_of_the_whole():
    random = np.random.default_rng(0)
    codes, labels = random.standard_normal((90, 5)).astype(np.float32), random.integers(0, 5, 90)
    rows = np.array([3, 80, 41])
    whole = query_metrics(codes, labels)
    assert retrieval_metrics(codes, labels, queries=rows) == whole.mean(rows)


def test_the_result_cannot_be_changed():
    metrics = retrieval_metrics(on_a_line(0, 1, 2), ["a", "a", "b"], ks=[1])
    with pytest.raises(dataclasses.FrozenInstanceError):
        metrics.map = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, r"labels: expected one for each of the 4 codes, got shape \(2,\)"),
        ({"labels": [0.5, 1.0, 0.5, 1.0]}, "labels: expected integers or strings"),
        ({"labels": [7, 7, 7, 7]}, "labels: all are 7"),
        ({"labels": [0, 1, 2, 3]}, "labels: no query shares its class"),
        ({"codes": on_a_line(0, np.nan, 2, np.inf)}, "codes: 2 of 4 rows .* the first is row 1"),
        ({"codes": np.zeros((0, 3), np.float32), "labels": []}, "codes: there are none"),
        ({"ks": [4]}, r"ks: \[4\] must be from 1 to 3"),
        ({"ks": [0, 1]}, r"ks: \[0, 1\] must be from 1 to 3"),
        ({"ks": 1}, r"ks: 1 must be a list of whole numbers"),
        ({"ks": []}, r"ks: \[\] must be a list of whole numbers"),
        ({"ks": np.array([], int)}, "ks: .* must be a list of whole numbers"),
        ({"ks": ((1, 2), 3)}, r"ks: \(\(1, 2\), 3\) must be a list of whole numbers"),
        ({"ks": [1.5]}, r"ks: \[1.5\] must be a list of whole numbers"),
        ({"queries": [4]}, "queries: indices must be from 0 to 3"),
        ({"queries": []}, "queries: expected indices"),
        ({"gallery_codes": on_a_line(0)}, "gallery_codes and gallery_labels: give both"),
        (
            {"gallery_codes": np.zeros((4, 2), np.float32), "gallery_labels": [0, 1, 0, 1]},
            "codes of 1 numbers cannot be compared with codes of 2",
        ),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"codes": on_a_line(0, 1, 2, 3), "labels": [0, 1, 0, 1], "ks": [1], **change}
    with pytest.raises(InputError, match=message) as raised:
        retrieval_metrics(**arguments)
    assert "\n" not in str(raised.value)


def test_strings_as_pandas_keeps_them():
    codes = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    labels = np.array(list("abcabc"))
    told = retrieval_metrics(codes, labels.astype(object), ks=[1])
    assert told.map == retrieval_metrics(codes, labels, ks=[1]).map
