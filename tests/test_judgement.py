"""All figures of some codes at once."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.errors import InputError
from tripletnet.evaluation.comparison import WORST_OF_A_CLASS
from tripletnet.evaluation.judgement import Control, judge
from tripletnet.evaluation.parts import Codes, halves
from tripletnet.evaluation.verdict import percent, verdict, wilson_interval

CLASSES = ["ant", "bee", "cow", "dog", "elk"]


def blobs(each, labels=(0, 1, 2), spread=0.5, seed=0) -> Codes:
    """Unit codes around a direction for each label."""
    random = np.random.default_rng(seed)
    named = np.repeat(labels, each)
    codes = np.eye(8)[named] + spread * random.normal(size=(len(named), 8))
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return Codes(codes.astype(np.float32), named)


def squared_distances(codes):
    wide = codes.astype(np.float64)
    return ((wide[:, None] - wide) ** 2).sum(axis=2)


@pytest.fixture(scope="module")
def judgement():
    return judge(
        blobs(30, seed=1),
        CLASSES,
        train=blobs(40, seed=2),
        validation=blobs(20, seed=3),
        held_out=blobs(15, labels=(3, 4), seed=4),
        dataset="blobs",
        value=0.05,
        notes=["Two files were no images."],
    )


def test_three_codes_of_a_class_are_enough():
    found = judge(blobs(3, spread=0.01), CLASSES[:3])
    assert found.threshold is not None and found.test.at_threshold is None
    assert any("no class has two codes, or there is one" in note for note in found.notes)


def test_one_large_class_among_single_codes_can_be_judged():
    labels = np.r_[np.zeros(40, np.int64), np.arange(1, 9)]
    codes = np.random.default_rng(0).normal(size=(48, 4)).astype(np.float32)
    found = judge(Codes(codes, labels), [f"c{i}" for i in range(9)])
    assert found.test.at_threshold is None and found.test.left_out == 8


def test_codes_of_one_class_are_refused_by_its_name():
    codes = np.eye(4, dtype=np.float32)
    with pytest.raises(InputError, match="all are cat"):
        judge(Codes(codes, np.ones(4, np.int64)), ["dog", "cat"])


@pytest.mark.parametrize("part", ["test", "held_out"])
def test_figures_are_those_of_brute_force(judgement, part):
    found = getattr(judgement, part)
    labels = found.codes.labels
    distances = squared_distances(found.codes.codes)
    alike = labels[:, None] == labels
    pairs = np.triu_indices(len(labels), 1)
    same, different = distances[pairs][alike[pairs]], distances[pairs][~alike[pairs]]
    nearer = np.mean(same[:, None] < different)
    assert found.roc_auc == pytest.approx(nearer, abs=1e-3)
    np.fill_diagonal(distances, np.inf)
    hits = labels[distances.argmin(axis=1)] == labels
    assert found.retrieval.recall_at[1] == hits.mean()
    for label, metrics in found.per_class.items():
        assert metrics.recall_at[1] == hits[labels == label].mean()
    each = np.count_nonzero(labels == labels[0])
    assert found.chance == pytest.approx((each - 1) / (len(labels) - 1))
    limit = judgement.threshold.distance
    assert found.at_threshold.recall == pytest.approx(np.mean(same <= limit), abs=1e-3)
    assert found.at_threshold.false_positive_rate == pytest.approx(
        np.mean(different <= limit), abs=1e-3
    )
    accepted = np.count_nonzero(same <= limit) + np.count_nonzero(different <= limit)
    precision = np.count_nonzero(same <= limit) / accepted
    assert found.at_threshold.precision == pytest.approx(precision, abs=1e-3)


def test_the_threshold_is_of_validation_and_the_svm_of_train(judgement):
    assert judgement.threshold.same_pairs == 3 * 20 * 19 // 2
    assert judgement.threshold.different_pairs == 3 * 20 * 20
    assert judgement.threshold.false_positive_rate <= 0.05
    assert (judgement.probe.fitted_on, judgement.probe.scored_on) == (120, 90)
    assert judgement.probe.confusion.sum(axis=1).tolist() == [30, 30, 30, 0, 0]
    assert judgement.probe.accuracy == np.trace(judgement.probe.confusion) / 90
    assert judgement.probe.largest_class == pytest.approx(1 / 3)
    assert judgement.notes == ("Two files were no images.",)


def test_shown_queries_are_never_their_own_neighbours(judgement):
    test = judgement.test
    distances = squared_distances(test.codes.codes)
    for shown in (test.random, test.worst):
        assert len(set(shown.queries.tolist())) == len(shown.queries)
        assert shown.found.shape == (len(shown.queries), 10)
        assert not np.any(shown.found == shown.queries[:, None])
        true = distances[shown.queries[:, None], shown.found]
        np.testing.assert_allclose(shown.distances, true, atol=1e-5)
    _, counts = np.unique(test.codes.labels[test.worst.queries], return_counts=True)
    assert counts.tolist() == [WORST_OF_A_CLASS] * 3


def test_json_holds_every_figure_and_no_nan(judgement):
    told = json.loads(json.dumps(judgement.to_json(), allow_nan=False))
    test = judgement.test.retrieval
    assert told["dataset"] == "blobs"
    assert told["recall_at_1"] == test.recall_at[1]
    assert (told["precision_at_10"], told["map_at_r"]) == (test.precision_at[10], test.map_at_r)
    assert told["probe_accuracy"] == judgement.probe.accuracy
    assert told["nmi"] == judgement.test.nmi
    assert told["threshold"]["distance"] == judgement.threshold.distance
    assert set(told["per_class"]) == {"ant", "bee", "cow"}
    assert set(told["held_out"]["per_class"]) == {"dog", "elk"}
    assert told["held_out"]["roc_auc"] == judgement.held_out.roc_auc
    assert told["notes"] == ["Two files were no images."]


def test_codes_without_parts_are_cut_into_halves_and_this_is_told():
    test = blobs(21)
    found = judge(test, CLASSES)
    assert (found.probe.fitted_on, found.probe.scored_on) == (33, 30)
    assert found.threshold.same_pairs == 3 * 11 * 10 // 2
    assert found.test.retrieval.queries == 63
    assert found.held_out is None and found.control is None
    assert any("33, stratified" in note and "SVM and the threshold" in note for note in found.notes)
    first, second = (test.subset(half) for half in halves(test.labels))
    apart = judge(second, CLASSES, train=first, validation=first)
    assert found.threshold == apart.threshold
    assert found.test.at_threshold == apart.test.at_threshold
    assert np.array_equal(found.probe.confusion, apart.probe.confusion)


def test_only_what_is_missing_is_cut_off():
    found = judge(blobs(20), CLASSES, train=blobs(20, seed=5))
    assert found.probe.scored_on == 60
    assert any("for the threshold: it was made" in note for note in found.notes)


def test_parts_without_codes_are_no_parts():
    test = blobs(20)
    none = test.subset(np.array([], np.int64))
    found = judge(test, CLASSES, train=none, validation=none)
    assert found.to_json() == judge(test, CLASSES).to_json()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 9))
def test_halves_are_even_in_every_class(labels, seed):
    labels = np.array(labels)
    first, second = halves(labels, seed)
    assert sorted([*first, *second]) == list(range(len(labels)))
    for label in labels:
        more = np.count_nonzero(labels[first] == label) - np.count_nonzero(labels[second] == label)
        assert more in (0, 1)


def test_codes_that_are_alone_are_left_out_and_counted():
    part = blobs(10)
    codes = np.concatenate([part.codes, np.eye(8, dtype=np.float32)[[3, 4]]])
    test = Codes(codes, np.concatenate([part.labels, [3, 4]]))
    found = judge(test, CLASSES, train=blobs(10, labels=range(5)))
    assert (found.test.retrieval.queries, found.test.left_out) == (30, 2)
    assert any("2 of 32 test codes are alone" in note for note in found.notes)
    json.dumps(found.to_json(), allow_nan=False)
    assert not np.isin(found.test.random.queries, [30, 31]).any()


def test_classes_that_the_svm_has_not_met_count_as_wrong():
    found = judge(blobs(10), CLASSES, train=blobs(10, labels=(0, 1)))
    assert found.probe.accuracy <= 2 / 3
    assert found.probe.confusion[2, :2].sum() == 10
    assert any("10 of 30 test codes are of classes" in note for note in found.notes)


@pytest.mark.parametrize("scale", [0.0, 3.0])
def test_codes_are_taken_as_they_are(scale):
    test = blobs(12)
    found = judge(Codes(scale * test.codes, test.labels), CLASSES)
    assert not found.test.unit_length
    assert any("nothing was normalised" in note for note in found.notes)
    if scale:
        unit = judge(test, CLASSES)
        assert found.threshold.distance == pytest.approx(scale**2 * unit.threshold.distance)
        assert found.test.retrieval == unit.test.retrieval
    else:  # all codes are one point
        assert found.threshold is None and found.test.at_threshold is None
        assert any("There is no threshold: " in note for note in found.notes)
        assert any("collapsed" in caution for caution in verdict(found).cautions)


def test_held_out_codes_that_cannot_be_compared_are_told():
    found = judge(blobs(10), CLASSES, held_out=blobs(10, labels=[3]))
    assert found.held_out is None
    assert any("held-out classes could not be judged" in note for note in found.notes)


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        (blobs(10, labels=[0]), "nothing to tell apart"),
        (blobs(1), "no class has two codes"),
        (Codes(np.empty((0, 4), np.float32), np.empty(0, int)), "there are none"),
    ],
)
def test_what_cannot_be_judged_is_refused(test, complaint):
    with pytest.raises(InputError, match=complaint):
        judge(test, CLASSES)


def test_a_threshold_that_makes_no_sense_is_refused():
    with pytest.raises(InputError, match="makes no sense"):
        judge(blobs(10), CLASSES, target="recall", value=2.0)


@pytest.mark.parametrize(
    ("spread", "grade", "begins"),
    [
        (0.05, "good", "Yes"),
        (0.42, "fair", "With care"),
        (0.7, "poor", "Not yet"),
        (50, "poor", "No"),
    ],
)
def test_verdict(spread, grade, begins):
    found = judge(blobs(70, spread=spread), CLASSES, control=Control(0.5, 0.6))
    words = verdict(found)
    assert (words.grade, words.headline.startswith(begins)) == (grade, True)
    recall = percent(found.test.retrieval.recall_at[1])
    assert f"{recall} of 210 queries" in words.reasons[0]
    assert any("The control" in reason and "50.0 %" in reason for reason in words.reasons)


def test_verdict_warns_of_weak_classes_and_few_queries():
    part = blobs(20, spread=0.05)
    lost = np.flatnonzero(part.labels == 2)[:8]
    part.codes[lost] = blobs(8, labels=[0], spread=0.05, seed=9).codes
    cautions = verdict(judge(part, CLASSES)).cautions
    assert any("only 60 queries" in caution for caution in cautions)
    assert any("the weakest, " in caution for caution in cautions)


def test_percentages_never_claim_too_much():
    shares = (0, 0.0004, 0.5, 0.99999, 1)
    assert [percent(share) for share in shares] == [
        "0.0 %", "under 0.1 %", "50.0 %", "over 99.9 %", "100.0 %"
    ]  # fmt: skip


@given(st.integers(1, 2000), st.data())
def test_interval_holds_the_share(count, data):
    share = data.draw(st.integers(0, count)) / count
    low, high = wilson_interval(share, count)
    assert 0 <= low <= share + 1e-9 and share - 1e-9 <= high <= 1
