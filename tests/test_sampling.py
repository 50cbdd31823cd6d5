"""Which images make up each batch: who is drawn, how evenly, and from what it follows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from tripletnet.data.sampling import BALANCES, BalancedSampler, TripletSampler, UniformSampler
from tripletnet.errors import InputError

BALANCE = pytest.mark.parametrize("balance", BALANCES)


def labels_of(sizes, seed: int = 0) -> np.ndarray:
    """Return labels of classes of these sizes, in a random order and with gaps between them."""
    labels = np.repeat(3 * np.arange(len(sizes)) + 1, sizes)
    return np.random.default_rng(seed).permutation(labels)


def evenness(counts, expected=None) -> float:
    """Return the chance of counts at least as uneven as these (chi-square)."""
    return float(stats.chisquare(counts, expected).pvalue)


class_sizes = st.lists(st.integers(1, 12), min_size=2, max_size=7).filter(lambda s: max(s) >= 2)
seeds = st.integers(0, 2**32)


def split_triplets(sampler: TripletSampler, step: int):
    return np.split(sampler.indices(step), 3)


# --- random triplets


@given(class_sizes, st.sampled_from(BALANCES), st.integers(1, 20), seeds, st.integers(0, 10**6))
@settings(max_examples=150, deadline=None)
def test_triplets_are_triplets(sizes, balance, count, seed, step):
    labels = labels_of(sizes)
    sampler = TripletSampler(labels, count, seed, balance)
    anchor, same, diff = split_triplets(sampler, step)
    assert len(anchor) == len(same) == len(diff) == count
    assert sampler.batch_size == 3 * count
    assert (anchor != same).all()
    assert (labels[anchor] == labels[same]).all()
    assert (labels[anchor] != labels[diff]).all()


SIZES = (2, 3, 10, 1, 40)


def test_triplets_draw_classes_evenly():
    labels = labels_of(SIZES)
    anchor, _, diff = split_triplets(TripletSampler(labels, 20_000, seed=1), 0)
    names, counts = np.unique(labels[anchor], return_counts=True)
    assert names.tolist() == [1, 4, 7, 13]  # the class of one image is no anchor
    assert evenness(counts) > 0.01
    for name in names:
        others, counts = np.unique(labels[diff[labels[anchor] == name]], return_counts=True)
        assert len(others) == 4
        assert evenness(counts) > 0.01


def test_triplets_draw_images_evenly():
    labels = labels_of(SIZES)
    anchor, same, diff = split_triplets(TripletSampler(labels, 20_000, 1, "images"), 0)
    pairable = np.flatnonzero(labels != 10)
    for drawn in (anchor, same):
        counts = np.bincount(drawn, minlength=len(labels))
        assert counts[labels == 10] == 0
        assert evenness(counts[pairable]) > 0.01
    for name in (1, 4, 7, 13):
        counts = np.bincount(diff[labels[anchor] == name], minlength=len(labels))
        assert evenness(counts[labels != name]) > 0.01


@BALANCE
def test_triplets_reach_every_pair_of_a_class(balance):
    labels = labels_of((4, 2))
    anchor, same, _ = split_triplets(TripletSampler(labels, 12_000, 2, balance), 0)
    members = np.flatnonzero(labels == 1)
    inside = labels[anchor] == 1
    pairs, counts = np.unique(np.stack([anchor, same])[:, inside], axis=1, return_counts=True)
    assert pairs.shape[1] == len(members) * (len(members) - 1)
    assert evenness(counts) > 0.01


# --- balanced batches


@given(class_sizes, st.sampled_from(BALANCES), st.integers(4, 40), seeds, st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_balanced_batches_have_one_size_and_no_image_twice(sizes, balance, batch, seed, step):
    labels = labels_of(sizes)
    sampler = BalancedSampler(labels, batch, seed=seed, balance=balance)
    assert sampler.batch_size <= max(batch, 2 * len(sizes))
    for number in (0, step, step + 1):
        indices = sampler.indices(number)
        assert len(indices) == len(np.unique(indices)) == sampler.batch_size
        assert ((indices >= 0) & (indices < len(labels))).all()


@given(class_sizes, st.integers(4, 40), seeds, st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_balanced_batches_have_two_classes_or_more(sizes, batch, seed, step):
    labels = labels_of(sizes)
    indices = BalancedSampler(labels, batch, seed=seed).indices(step)
    assert len(np.unique(labels[indices])) >= 2


@given(
    st.lists(st.integers(8, 30), min_size=2, max_size=12),
    st.integers(2, 12),
    st.integers(2, 4),
    seeds,
)
@settings(max_examples=100, deadline=None)
def test_balanced_batches_are_p_classes_of_k_images(sizes, p, k, seed):
    assume(p <= len(sizes))
    labels = labels_of(sizes)
    sampler = BalancedSampler(labels, max(4, p * k), classes_per_batch=p, seed=seed)
    for step in range(20):
        _, counts = np.unique(labels[sampler.indices(step)], return_counts=True)
        assert counts.tolist() == [k] * p


def test_balanced_batches_of_the_usual_size():
    """Ten classes share 384 images; hundred classes are too many for four images each."""
    assert BalancedSampler(labels_of([50] * 10)).batch_size == 380
    labels = labels_of([50] * 100)
    sampler = BalancedSampler(labels)
    assert sampler.batch_size == 384
    for step in range(10):
        _, counts = np.unique(labels[sampler.indices(step)], return_counts=True)
        assert counts.tolist() == [4] * 96


@given(class_sizes, st.integers(4, 40), seeds)
@settings(max_examples=60, deadline=None)
def test_every_image_of_every_class_comes_up_within_its_pass(sizes, batch, seed):
    """With all classes in every batch, a class of n images is through after ceil(n / K) batches."""
    labels = labels_of(sizes)
    sampler = BalancedSampler(labels, batch, classes_per_batch=len(sizes), seed=seed)
    k = max(2, batch // len(sizes))
    drawn = [sampler.indices(step) for step in range(2 * max(sizes))]
    for name in np.unique(labels):
        members = np.flatnonzero(labels == name)
        length = -(-len(members) // k)
        own = [indices[labels[indices] == name] for indices in drawn]
        for first in range(0, len(drawn) - length + 1, length):
            assert set(np.concatenate(own[first : first + length])) == set(members)


def test_each_pass_has_an_order_of_its_own():
    labels = labels_of([30, 30])
    sampler = BalancedSampler(labels, 20)
    passes = [np.concatenate([sampler.indices(3 * p + b) for b in range(3)]) for p in range(4)]
    own = [indices[labels[indices] == 1].tolist() for indices in passes]
    assert all(sorted(a) == sorted(own[0]) for a in own)
    assert len({tuple(a) for a in own}) == 4


def test_more_classes_than_a_batch_holds_come_up_evenly():
    labels = labels_of([6] * 13)
    sampler = BalancedSampler(labels, 20)
    drawn = [np.unique(labels[sampler.indices(step)]) for step in range(1500)]
    assert all(len(names) == 5 for names in drawn)
    _, counts = np.unique(np.concatenate(drawn), return_counts=True)
    assert len(counts) == 13
    assert evenness(counts) > 0.01
    for first in range(0, 300, 3):  # a round is three batches: 5 + 5 + 3 classes and two again
        assert len(np.unique(np.concatenate(drawn[first : first + 3]))) == 13


def test_which_classes_meet_in_a_batch_changes():
    labels = labels_of([6] * 13)
    sampler = BalancedSampler(labels, 20)
    met = np.zeros((13, 13), dtype=bool)
    for step in range(300):
        names = np.unique(labels[sampler.indices(step)]) // 3
        met[np.ix_(names, names)] = True
    assert met.all()


def test_small_classes_give_what_they_have():
    labels = labels_of((2, 1, 5, 300))
    sampler = BalancedSampler(labels, 64)
    for step in range(20):
        _, counts = np.unique(labels[sampler.indices(step)], return_counts=True)
        assert counts.tolist() == [2, 1, 5, 16]


@given(class_sizes, st.integers(4, 40), seeds)
@settings(max_examples=100, deadline=None)
def test_balanced_by_images_every_image_comes_up_in_a_pass_over_the_set(sizes, batch, seed):
    labels = labels_of(sizes)
    sampler = BalancedSampler(labels, batch, seed=seed, balance="images")
    steps = -(-len(labels) // sampler.batch_size)
    for first in range(0, 3 * steps, steps):
        drawn = np.concatenate([sampler.indices(first + step) for step in range(steps)])
        once = drawn[: len(labels)]
        assert sorted(once) == list(range(len(labels)))


def test_balanced_by_images_draws_images_evenly():
    sizes = np.array([5, 39, 9, 1, 150])
    labels = labels_of(sizes)
    sampler = BalancedSampler(labels, 64, seed=3, balance="images")
    drawn = np.concatenate([sampler.indices(step) for step in range(600)])
    counts = np.bincount(drawn, minlength=len(labels))
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
    _, by_class = np.unique(labels[drawn], return_counts=True)
    np.testing.assert_allclose(by_class / by_class.sum(), sizes / sizes.sum(), rtol=0.05)


def test_balanced_by_images_two_classes_meet_in_every_batch():
    labels = labels_of([500, 500])
    sampler = BalancedSampler(labels, balance="images")
    for step in range(100):
        _, counts = np.unique(labels[sampler.indices(step)], return_counts=True)
        assert len(counts) == 2 and counts.min() > 100


# --- uniform batches


@given(st.integers(1, 30), st.integers(1, 70), seeds)
@settings(max_examples=60, deadline=None)
def test_uniform_draws_every_image_once_an_epoch(count, batch, seed):
    sampler = UniformSampler(count, batch, seed)
    drawn = np.concatenate([sampler.indices(step) for step in range(3 * count // batch + 3)])
    assert len(drawn) % batch == 0
    for epoch in range(3):
        assert sorted(drawn[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_uniform_draws_each_epoch_anew():
    sampler = UniformSampler(50, 50)
    assert len({tuple(sampler.indices(epoch)) for epoch in range(10)}) == 10


# --- what all of them share

LABELS = labels_of([7, 9, 4, 1])
SAMPLERS = {
    "triplets": lambda seed: TripletSampler(LABELS, 8, seed),
    "triplets by images": lambda seed: TripletSampler(LABELS, 8, seed, "images"),
    "balanced": lambda seed: BalancedSampler(LABELS, 10, seed=seed),
    "balanced by images": lambda seed: BalancedSampler(LABELS, 10, seed=seed, balance="images"),
    "uniform": lambda seed: UniformSampler(21, 10, seed),
}


@pytest.mark.parametrize("make", SAMPLERS.values(), ids=SAMPLERS.keys())
def test_batches_follow_from_seed_and_step_alone(make):
    sampler = make(5)
    drawn = [sampler.indices(step) for step in range(40)]
    other = make(5)
    np.random.seed(1)  # noqa: NPY002 - the global state must not count
    for step in np.random.default_rng(0).permutation(40):
        np.testing.assert_array_equal(other.indices(int(step)), drawn[step])
    assert drawn[0].dtype == np.int64
    assert any((make(6).indices(step) != drawn[step]).any() for step in range(3))
    assert len({tuple(batch) for batch in drawn}) > 30


@pytest.mark.parametrize("make", [TripletSampler, BalancedSampler])
@pytest.mark.parametrize(
    ("sizes", "message"),
    [([5], "two classes or more"), ([1, 1, 1], "no class has two images")],
)
def test_labels_without_triplets_are_refused(make, sizes, message):
    with pytest.raises(InputError, match=message):
        make(labels_of(sizes))


@pytest.mark.parametrize("make", [TripletSampler, BalancedSampler])
def test_an_unknown_balance_is_answered_with_the_known_ones(make):
    with pytest.raises(InputError, match="balance 'both' is not known: use one of classes, images"):
        make(LABELS, balance="both")


def test_batches_too_small_for_triplets_are_refused():
    with pytest.raises(InputError, match="batch size is 3"):
        BalancedSampler(LABELS, 3)
    with pytest.raises(InputError, match="classes per batch is 1"):
        BalancedSampler(LABELS, 8, classes_per_batch=1)
