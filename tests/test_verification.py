"""ROC-AUC and NMI against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats  # noqa: F401 - slow to import, which is not to be timed by the first example
from hypothesis import given
from hypothesis import strategies as st

from tripletnet.errors import InputError
from tripletnet.evaluation import verification
from tripletnet.evaluation.verification import nmi, roc_auc

distances = st.lists(st.integers(0, 6), min_size=1, max_size=20)


@given(distances, distances)
def test_roc_auc_is_the_chance_that_a_same_pair_is_nearer(same, different):
    wins = [(s < d) + (s == d) / 2 for s in same for d in different]
    assert roc_auc(np.array(same), np.array(different)) == pytest.approx(np.mean(wins))


@pytest.mark.parametrize(
    ("same", "different", "message"),
    [
        ([], [1.0], "0 same and 1 different"),
        ([1.0], [], "1 same and 0 different"),
        ([np.nan], [1.0], "NaN"),
    ],
)
def test_roc_auc_names_what_is_missing(same, different, message):
    with pytest.raises(InputError, match=message):
        roc_auc(np.array(same), np.array(different))


def entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def clustered(labels: np.ndarray, spread: float) -> np.ndarray:
    random = np.random.default_rng(0)
    centres = random.standard_normal((labels.max() + 1, 8))
    codes = centres[labels] + spread * random.standard_normal((len(labels), 8))
    return (codes / np.linalg.norm(codes, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("at_once", [True, False])
def test_nmi_of_clear_clusters_is_one(at_once, monkeypatch):
    monkeypatch.setattr(verification, "ALL_AT_ONCE", 1000 if at_once else 10)
    labels = np.arange(300) % 5
    assert nmi(clustered(labels, 0.05), labels) == pytest.approx(1)
    assert nmi(clustered(labels, 0.05), np.array(list("abcde"))[labels]) == pytest.approx(1)


def test_nmi_follows_its_formula():
    # two far clusters of four; each holds three of one class and one of the other
    codes = np.array([[0], [0.1], [0.2], [0.3], [9], [9.1], [9.2], [9.3]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    table = np.array([[3, 1], [1, 3]])
    information = entropy(table.sum(0)) + entropy(table.sum(1)) - entropy(table.ravel())
    mean = (entropy(table.sum(0)) + entropy(table.sum(1))) / 2
    assert nmi(codes, labels) == pytest.approx(information / mean)


def test_nmi_is_repeatable():
    labels = np.arange(200) % 4
    codes = clustered(labels, 1.0)
    assert nmi(codes, labels, seed=3) == nmi(codes, labels, seed=3)
    assert 0 <= nmi(codes, labels, seed=3) < 1


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1]])
def test_nmi_names_bad_labels(labels):
    with pytest.raises(InputError, match="labels"):
        nmi(np.eye(3, dtype=np.float32), labels)
