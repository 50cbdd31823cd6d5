"""What the pairs of a batch tell, against a brute-force reference and by hand."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.backend import mx
from tripletnet.losses import DISTANCES, LOSSES, BatchLoss, TripletLoss, get_loss
from tripletnet.losses.batch_statistics import BatchStatistics, pair_statistics
from tripletnet.losses.mining import MINERS
from tripletnet.networks import WithNorms, get_network
from tripletnet.training import TrainingConfig, train_run


def reference(distances, labels, margin, anchors=None):
    """Every pair and every triplet, one by one."""
    same, diff, active, triplets = [], [], 0, 0
    size = len(labels)
    for i in range(size) if anchors is None else anchors:
        for p in range(size):
            if labels[p] != labels[i]:
                diff.append(distances[i, p])
            elif p != i:
                same.append(distances[i, p])
                for n in range(size):
                    if labels[n] != labels[i]:
                        triplets += 1
                        active += distances[i, n] <= distances[i, p] + margin
    return {
        "same_distance": np.mean(same) if same else np.nan,
        "diff_distance": np.mean(diff) if diff else np.nan,
        "active_triplets": active / triplets if triplets else np.nan,
    }


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([0.0, 0.25, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_pairs_are_those_of_brute_force(labels, margin, seed):
    """Distances are quarters, so that ties, also at the very margin, are common."""
    labels = np.array(labels)
    size = len(labels)
    distances = np.random.default_rng(seed).integers(0, 9, (size, size)).astype(np.float32) / 4
    diff = labels[:, None] != labels
    same = ~diff & ~np.eye(size, dtype=bool)
    told = pair_statistics(distances, same, diff, margin)
    assert told == pytest.approx(reference(distances, labels, margin), nan_ok=True)


def draw_codes(rows: int, seed: int = 0, size: int = 6) -> np.ndarray:
    codes = np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_watched_in_its_own_distance(name, distance):
    codes, labels = draw_codes(14), np.arange(14) % 4
    loss = get_loss(name, distance=distance)
    told = BatchStatistics(mx.nd.array(codes), labels, loss).read()
    matrix = DISTANCES[distance]().matrix(mx.nd.array(codes))
    margin = 1.0 if name == "triplet" else 0.0
    assert told == pytest.approx(reference(matrix, labels, margin), rel=1e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_with_every_triplet_the_loss_says_the_same(soft):
    codes, labels = mx.nd.array(draw_codes(15, seed=1)), np.arange(15) % 3
    loss = TripletLoss(0.4, soft_margin=soft)
    loss(codes, labels)
    told = BatchStatistics(codes, labels, loss).read()
    assert told["active_triplets"] == pytest.approx(loss.statistics["active"])


def test_triplets_as_drawn_are_the_pairs():
    """The labels do not count: those of triplets from a file say nothing."""
    codes = draw_codes(12, seed=2)
    told = BatchStatistics(
        mx.nd.array(codes), np.zeros(12, np.int64), get_loss("triplet", "random")
    )
    d_same = ((codes[:4] - codes[4:8]) ** 2).sum(axis=1)
    d_diff = ((codes[:4] - codes[8:]) ** 2).sum(axis=1)
    assert told.read() == pytest.approx(
        {
            "same_distance": d_same.mean(),
            "diff_distance": d_diff.mean(),
            "active_triplets": (d_diff <= d_same + 1).mean(),
        },
        rel=1e-5,
    )


def test_given_pairs_are_the_pairs():
    codes, similar = draw_codes(10, seed=3), np.array([1, 0, 0, 1, 0])
    loss = get_loss("contrastive", given_pairs=True, distance="squared")
    told = BatchStatistics(mx.nd.array(codes), similar, loss).read()
    distances = ((codes[:5] - codes[5:]) ** 2).sum(axis=1)
    same, diff = distances[[0, 3]], distances[[1, 2, 4]]
    assert told == pytest.approx(
        {
            "same_distance": same.mean(),
            "diff_distance": diff.mean(),
            "active_triplets": (diff[:, None] <= same).mean(),
        },
        rel=1e-5,
    )


def test_one_point_is_not_taken_for_the_right_order():
    codes = mx.nd.array(np.tile([[0.6, 0.8]], (8, 1)))
    told = BatchStatistics(codes, np.arange(8) % 2, get_loss("supcon")).read()
    assert told["active_triplets"] == 1.0


def test_of_a_large_batch_some_are_anchors(monkeypatch):
    monkeypatch.setattr("tripletnet.losses.batch_statistics.ANCHORS", 3)
    codes, labels = draw_codes(9), np.arange(9) % 3
    told = BatchStatistics(mx.nd.array(codes), labels, BatchLoss()).read()
    matrix = ((codes[:, None] - codes) ** 2).sum(axis=2)
    assert told == pytest.approx(reference(matrix, labels, 0.0, anchors=(0, 4, 8)), rel=1e-5)


# --- the norm before normalisation


def test_norms_come_beside_the_very_codes_and_change_no_gradient():
    network = get_network("article", code_size=5, image_size=12)
    network.initialize(mx.init.Xavier())
    watched = WithNorms(network)
    x = mx.nd.array(np.random.default_rng(0).integers(0, 256, (4, 3, 12, 12)), dtype="uint8")
    for hybrid in (False, True):
        if hybrid:
            watched.hybridize(static_alloc=True, static_shape=True)
        seen = []
        for block in (network, watched):
            with mx.autograd.record():
                outputs = block(x)
                codes = outputs if block is network else outputs[0]
                loss = (codes * mx.nd.arange(5)).sum()
            loss.backward()
            seen.append((codes.asnumpy(), network.layers[-1].weight.grad().asnumpy().copy()))
        for ours, theirs in zip(*seen):
            np.testing.assert_array_equal(ours, theirs)
        expected = np.linalg.norm(network.embed(x).asnumpy(), axis=1)
        np.testing.assert_allclose(outputs[1].asnumpy()[:, 0], expected, rtol=1e-5)


# --- in the history


SHORT = TrainingConfig(images=72, code_size=8, batch_size=24, shift=2, learning_rate=0.01)
COLUMNS = {
    "images", "loss", "learning_rate", "same_distance", "diff_distance", "active_triplets",
    "norm", "spread",
}  # fmt: skip
OWN = {
    "triplet": {"active"}, "supcon": set(), "prototypical": set(), "contrastive": {"active"},
    "margin": {"active", "boundary"}, "multi-similarity": {"active"}, "nt-xent": set(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("loss", "mining"),
    [*((name, "all") for name in LOSSES), *(("triplet", name) for name in MINERS if name != "all")],
)
def test_the_history_of_every_loss_and_miner_tells_the_same(striped_images, tmp_path, loss, mining):
    train_run(striped_images, SHORT.replace(loss=loss, mining=mining), tmp_path)
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        values = {name: float(value) for name, value in row.items()}
        assert set(values) == COLUMNS | OWN[loss]
        assert 0 <= values["active_triplets"] <= 1
        assert 0 < values["same_distance"] < 4 and 0 < values["diff_distance"] < 4
        assert values["norm"] > 0
