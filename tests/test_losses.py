"""The losses, against values worked out by hand, brute force and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_codes import draw_codes, gradient_of
from hypothesis import given
from hypothesis import strategies as st

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses import (
    DISTANCES,
    LOSSES,
    MINERS,
    AllTriplets,
    Contrastive,
    MarginLoss,
    MultiSimilarity,
    NTXent,
    Prototypical,
    RandomTriplets,
    SoftmaxCrossEntropy,
    SquaredEuclidean,
    SupervisedContrastive,
    TripletHinge,
    TripletLoss,
    contrastive,
    get_loss,
    options_of,
    prototypical,
    squared_euclidean,
    supervised_contrastive,
    triplet_hinge,
)
from tripletnet.losses.log_sum_exp import masked_softplus
from tripletnet.losses.mining import BatchHard, PairMasks
from tripletnet.training.callbacks import Callback


def distances_of(codes: np.ndarray, distance: str = "squared") -> np.ndarray:
    if distance == "cosine":
        units = codes / np.sqrt((codes**2).sum(axis=1, keepdims=True) + 1e-8)
        return 1 - units @ units.T
    squares = ((codes[:, None] - codes[None, :]) ** 2).sum(axis=2)
    return squares if distance == "squared" else np.sqrt(squares + 1e-8)


def numeric_gradient(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Return central differences of a scalar function of a float64 array."""
    gradient = np.empty_like(x)
    for place in np.ndindex(x.shape):
        change = np.zeros_like(x)
        change[place] = step
        gradient[place] = (function(x + change) - function(x - change)) / (2 * step)
    return gradient


# --- distances


def test_squared_euclidean_by_hand():
    a, b = mx.nd.array([[0, 0, 0], [1, 2, 3]]), mx.nd.array([[1, 2, 2], [1, 2, 3]])
    assert squared_euclidean(a, b).asnumpy().tolist() == [9, 0]


def test_squared_distances_are_not_below_0():
    copies = mx.nd.array(np.repeat(draw_codes(9), 2, axis=0))
    assert SquaredEuclidean().pairwise(mx.nd, copies, copies).asnumpy().min() >= 0


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_of_all_pairs_and_of_given_ones(name):
    distance = DISTANCES[name]()
    a, b = 3 * draw_codes(4, seed=1), draw_codes(6, seed=2)
    expected = distances_of(np.concatenate([a, b]), name)[:4, 4:]
    ours = distance.pairwise(mx.nd, mx.nd.array(a), mx.nd.array(b)).asnumpy()
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    paired = distance.paired(mx.nd, mx.nd.array(a), mx.nd.array(b[:4])).asnumpy()
    np.testing.assert_allclose(paired, np.diag(expected), atol=1e-5)
    graphs = (
        distance.pairwise(mx.sym, mx.sym.var("a"), mx.sym.var("b")),
        distance.paired(mx.sym, mx.sym.var("a"), mx.sym.var("b")),
    )
    for graph, rows in zip(graphs, (b, b[:4])):
        (value,) = graph.eval(a=mx.nd.array(a), b=mx.nd.array(rows))
        np.testing.assert_allclose(value.asnumpy(), ours if len(rows) == 6 else paired, atol=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
def test_which_way_is_closer_and_what_is_farthest(name):
    codes = mx.nd.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]])
    row = DISTANCES[name]().matrix(codes)[0]
    assert row[0] == pytest.approx(0, abs=2e-4)
    assert row[3] == pytest.approx(DISTANCES[name].largest)
    assert (np.diff(row) > 0).all()


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_of_distances_are_finite_at_equal_codes_and_right_elsewhere(name):
    distance = DISTANCES[name]()
    for codes in (np.ones((3, 4)), np.zeros((3, 4)), np.repeat(draw_codes(1, 1024), 3, axis=0)):
        for form in ("pairwise", "paired"):
            x = mx.nd.array(codes)
            x.attach_grad()
            with mx.autograd.record():
                value = getattr(distance, form)(mx.nd, x, x)
            value.backward()
            np.testing.assert_allclose(x.grad.asnumpy(), 0, atol=0.01)
    codes, weights = draw_codes(5), np.random.default_rng(1).normal(size=(5, 5))
    np.fill_diagonal(weights, 0)
    x = mx.nd.array(codes)
    x.attach_grad()
    with mx.autograd.record():
        value = (distance.pairwise(mx.nd, x, x) * mx.nd.array(weights)).sum()
    value.backward()
    numeric = numeric_gradient(lambda c: (distances_of(c, name) * weights).sum(), codes)
    np.testing.assert_allclose(x.grad.asnumpy(), numeric, atol=1e-4)


# --- the hinge over given triplets

D_SAME = [[0.5, 0.5, 0.0], [2.0, 0.25, 4.0]]
D_DIFF = [[0.25, 2.0, 1.0], [1.5, 0.5, 0.0]]
HINGE_AT_1 = [[1.25, 0.0, 0.0], [1.5, 0.75, 5.0]]
HINGE_AT_HALF = [[0.75, 0.0, 0.0], [1.0, 0.25, 4.5]]


@pytest.mark.parametrize(("margin", "expected"), [(1.0, HINGE_AT_1), (0.5, HINGE_AT_HALF)])
def test_triplet_hinge_by_hand(margin, expected):
    assert triplet_hinge(np.array(D_SAME), np.array(D_DIFF), margin).tolist() == expected
    same, diff = mx.nd.array(D_SAME), mx.nd.array(D_DIFF)
    assert triplet_hinge(same, diff, margin).asnumpy().tolist() == expected
    graph = triplet_hinge(mx.sym.var("same"), mx.sym.var("diff"), margin)
    assert graph.eval(same=same, diff=diff)[0].asnumpy().tolist() == expected


def test_triplet_hinge_takes_any_shape_and_type():
    assert triplet_hinge(np.float64(1.0), np.float64(0.5)) == 1.5
    assert triplet_hinge(np.zeros((2, 3, 4), np.float32), np.ones((2, 3, 4), np.float32)).shape == (
        2,
        3,
        4,
    )
    assert triplet_hinge(np.ones(2, np.float32), np.ones(2, np.float32)).dtype == np.float32


@given(st.floats(0, 4), st.floats(0, 4), st.floats(0.01, 3))
def test_triplet_hinge_is_its_formula(d_same, d_diff, margin):
    ours = triplet_hinge(np.array(d_same), np.array(d_diff), margin)
    assert ours == pytest.approx(max(0.0, margin - (d_diff - d_same)))


FA = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
FS = [[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]]  # 1, 0 and 4 away
FD = [[1.0, 0.0], [3.0, 0.0], [0.0, 0.5]]  # 1, 4 and 1/4 away


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
@pytest.mark.parametrize(("margin", "expected"), [(1.0, [1, 0, 4.75]), (4.5, [4.5, 0.5, 8.25])])
def test_triplet_hinge_block_by_hand(hybrid, margin, expected):
    block = TripletHinge(margin)
    if hybrid:
        block.hybridize()
    loss = block(mx.nd.array(FA), mx.nd.array(FS), mx.nd.array(FD))
    assert loss.asnumpy().tolist() == expected


@pytest.mark.parametrize("hybrid", [False, True], ids=["imperative", "hybridized"])
def test_triplet_hinge_block_gradient_by_hand(hybrid):
    """Where active: 2 (fd - fs), 2 (fs - fa) and 2 (fa - fd); else 0."""
    codes = [mx.nd.array(c) for c in (FA, FS, FD)]
    block = TripletHinge(1.0)
    if hybrid:
        block.hybridize()
    for code in codes:
        code.attach_grad()
    with mx.autograd.record():
        loss = block(*codes)
    loss.backward()
    fa, fs, fd = (np.array(c) for c in (FA, FS, FD))
    active = np.array([[1], [0], [1]])
    for code, expected in zip(codes, (2 * (fd - fs), 2 * (fs - fa), 2 * (fa - fd))):
        np.testing.assert_allclose(code.grad.asnumpy(), expected * active, atol=1e-6)


# --- random triplets


def test_random_triplets():
    codes = draw_codes(9)
    loss = RandomTriplets(0.75)
    value = loss(mx.nd.array(codes), np.zeros(9, np.int64))
    d_same = ((codes[:3] - codes[3:6]) ** 2).sum(axis=1)
    d_diff = ((codes[:3] - codes[6:]) ** 2).sum(axis=1)
    expected = np.maximum(0, 0.75 + d_same - d_diff)
    np.testing.assert_allclose(value.asnumpy(), expected, atol=1e-6)
    assert loss.statistics["active"].asscalar() == pytest.approx((expected > 0).mean())


def test_gradient_of_random_triplets():
    codes = draw_codes(12, seed=4)

    def reference(x):
        fa, fs, fd = np.split(x, 3)
        return np.maximum(0, 1 + ((fa - fs) ** 2 - (fa - fd) ** 2).sum(axis=1)).mean()

    ours = gradient_of(RandomTriplets(), codes, np.zeros(12, np.int64))
    assert ours.any()
    np.testing.assert_allclose(ours, numeric_gradient(reference, codes), atol=1e-5)


# --- supervised contrastive

LABELS = np.array([0, 1, 0, 2, 1, 0, 3, 2])


def khosla(
    codes: np.ndarray, labels: np.ndarray, temperature: float, smoothing: float = 0
) -> np.ndarray:
    """Return equation 2 of Khosla et al. 2020, term by term, smoothed."""
    scores = codes @ codes.T / temperature
    losses = np.zeros(len(codes))
    for i in range(len(codes)):
        others = [a for a in range(len(codes)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            normaliser = np.logaddexp.reduce(scores[i, others])
            first = -np.mean([scores[i, p] - normaliser for p in positives])
            alike = -np.mean([scores[i, a] - normaliser for a in others])
            losses[i] = (1 - smoothing) * first + smoothing * alike
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01, 0.001])
def test_supervised_contrastive(temperature, smoothing):
    codes = draw_codes(8)
    loss = SupervisedContrastive(temperature, smoothing=smoothing)
    value = loss(mx.nd.array(codes), LABELS).asnumpy()
    expected = khosla(codes, LABELS, temperature, smoothing)
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)
    assert value[6] == 0  # the only one of its class


def test_supervised_contrastive_by_hand():
    """Two of a class at distance 0 and one at distance 4: scores 0, 0 and -2 at temperature 1."""
    distances = mx.nd.array([[0, 0, 4], [0, 0, 4], [4, 4, 0]])
    positives = mx.nd.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    value = supervised_contrastive(distances, positives, 1.0).asnumpy()
    np.testing.assert_allclose(value, [np.log(1 + np.exp(-2))] * 2 + [0], atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02])
def test_gradient_of_supervised_contrastive(temperature):
    codes = draw_codes(8)

    def reference(x):
        # the loss of distances, also off the sphere
        scores = -distances_of(x) / (2 * temperature)
        np.fill_diagonal(scores, -np.inf)
        shares = scores - np.logaddexp.reduce(scores, axis=1)[:, None]
        same = (LABELS[:, None] == LABELS) & ~np.eye(8, dtype=bool)
        sums = np.where(same, shares, 0).sum(axis=1)
        return (-sums / np.maximum(1, same.sum(axis=1))).mean()

    numeric = numeric_gradient(reference, codes)
    ours = gradient_of(SupervisedContrastive(temperature), codes, LABELS)
    np.testing.assert_allclose(ours, numeric, atol=1e-4 * np.abs(numeric).max())


@pytest.mark.parametrize("labels", [[0], [0, 1], [0, 0]])
def test_supervised_contrastive_with_nothing_to_tell_apart(labels):
    codes = draw_codes(len(labels))
    value = SupervisedContrastive()(mx.nd.array(codes), np.array(labels)).asnumpy()
    np.testing.assert_allclose(value, 0, atol=1e-5)


# --- the prototypical loss


def test_prototypical_by_hand():
    """Two of a class at distance 0 and one opposite, alone in its own."""
    distances = mx.nd.array([[0, 0, 4], [0, 0, 4], [4, 4, 0]])
    members = mx.nd.array([[1, 0], [1, 0], [0, 1]])
    value = prototypical(distances, members, 1.0).asnumpy()
    np.testing.assert_allclose(value, [np.log(1 + np.exp(-2))] * 2 + [0], atol=1e-5)
    # a tenth of the target is the other class's, which is 2 below
    value = prototypical(distances, members, 1.0, smoothing=0.2).asnumpy()
    np.testing.assert_allclose(value, [np.log(1 + np.exp(-2)) + 0.2] * 2 + [0], atol=1e-5)


def test_the_prototypical_loss_goes_by_mean_codes_without_the_anchor():
    codes, labels = draw_codes(9), np.repeat([0, 1, 2], 3)
    value = Prototypical(0.5)(mx.nd.array(codes), labels).asnumpy()
    for i in range(9):
        means = [codes[(labels == c) & (np.arange(9) != i)].mean(axis=0) for c in range(3)]
        scores = np.array([codes[i] @ mean / 0.5 for mean in means])
        expected = np.logaddexp.reduce(scores) - scores[labels[i]]
        assert value[i] == pytest.approx(expected, rel=1e-4)


# --- the triplet loss over any miner and distance

#: Anchors, sames and diffs, so that every miner can take it.
DRAWN = np.array([0, 1, 2, 0, 1, 0, 1, 2, 0, 1, 1, 0, 0, 1, 2])


def mined_list(loss: TripletLoss, codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the triplets that the loss's miner picks, (T, 3)."""
    random = np.random.default_rng(5)
    mined = loss.miner.mine(mx.nd.array(codes), labels, loss.distance, random)
    if isinstance(mined, PairMasks):
        return np.argwhere(mined.same[:, :, None] & mined.diff[:, None, :])
    return np.stack(mined, axis=1)


@pytest.mark.parametrize(
    ("soft", "average"), [(False, "all"), (False, "active"), (True, "all"), (False, None)]
)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("mining", MINERS)
def test_the_triplet_loss_and_its_gradient(mining, distance, soft, average):
    codes = draw_codes(15, seed=2)
    loss = TripletLoss(0.4, mining, distance, soft, average)
    triplets = mined_list(loss, codes, DRAWN)

    def slack_of(x):
        d = distances_of(x, distance)
        i, p, n = triplets.T
        return d[i, p] - d[i, n]

    def reference(x):
        slack = slack_of(x)
        losses = np.logaddexp(0, slack) if soft else np.maximum(0, 0.4 + slack)
        active = average == "active" or (average is None and mining == "all")
        return losses.sum() / ((losses > 0).sum() if active else len(losses))

    loss.random = np.random.default_rng(5)
    value = loss(mx.nd.array(codes), DRAWN).mean().asscalar()
    assert value == pytest.approx(reference(codes), rel=1e-4)
    share = (slack_of(codes) >= 0).mean() if soft else (slack_of(codes) + 0.4 > 0).mean()
    active = loss.statistics["active"]
    assert (active if isinstance(active, float) else active.asscalar()) == pytest.approx(share)
    loss.random = np.random.default_rng(5)
    ours = gradient_of(loss, codes, DRAWN)
    np.testing.assert_allclose(ours, numeric_gradient(reference, codes), atol=2e-5)


def test_a_triplet_loss_of_nothing_is_0():
    for mining in MINERS:
        if mining != "random":
            assert not gradient_of(TripletLoss(mining=mining), draw_codes(3), np.arange(3)).any()


def test_averages_that_make_no_sense():
    with pytest.raises(InputError, match="average 'most' is not known: use one of all, active"):
        TripletLoss(average="most")
    with pytest.raises(InputError, match=r"'active' does not go with a soft margin.*use all"):
        TripletLoss(soft_margin=True, average="active")


# --- losses of pairs


def test_contrastive_by_hand():
    distances, same = np.array([0.5, 0.5, 2.0, 0.0]), np.array([1, 0, 0, 1])
    assert contrastive(distances, same).tolist() == [0.125, 0.125, 0, 0]
    assert contrastive(distances, same, 3.0).tolist() == [0.125, 3.125, 0.5, 0]


def reference_contrastive(codes, labels, distance):
    d = distances_of(codes, distance)
    size = len(labels)
    losses = [
        0.5 * (d[i, j] ** 2 if labels[i] == labels[j] else max(0, 0.7 - d[i, j]) ** 2)
        for i in range(size)
        for j in range(size)
        if i != j
    ]
    return np.mean(losses)


def reference_margin(codes, labels, distance):
    """Return the loss of Wu et al. 2017 over all triplets of a batch, their pairs one by one."""
    d = distances_of(codes, distance)
    losses = []
    for i in range(len(labels)):
        for p in range(len(labels)):
            for n in range(len(labels)):
                if i != p and labels[i] == labels[p] != labels[n]:
                    losses += [max(0, 0.2 + d[i, p] - 1.0), max(0, 0.2 - d[i, n] + 1.0)]
    return np.sum(losses) / np.sum(np.array(losses) > 0)


def similarities_of(codes, distance):
    return 1 - 2 * distances_of(codes, distance) / DISTANCES[distance].largest


def reference_multi_similarity(codes, labels, distance):
    """Return equation 15 of Wang et al. 2019, anchor by anchor, over the pairs of 11 and 12."""
    s, total = similarities_of(codes, distance), 0.0
    for i in range(len(labels)):
        same = [s[i, j] for j in range(len(labels)) if j != i and labels[j] == labels[i]]
        diff = [s[i, j] for j in range(len(labels)) if labels[j] != labels[i]]
        if same and diff:
            kept_same = np.array([x for x in same if x < max(diff) + 0.1])
            kept_diff = np.array([x for x in diff if x > min(same) - 0.1])
            if len(kept_same) and len(kept_diff):
                total += np.log(1 + np.exp(-2 * (kept_same - 0.5)).sum()) / 2
                total += np.log(1 + np.exp(50 * (kept_diff - 0.5)).sum()) / 50
    return total / len(labels)


def reference_nt_xent(codes, labels, distance):
    s, losses = np.exp(similarities_of(codes, distance) / 0.3), []
    for i in range(len(labels)):
        others = s[i][labels != labels[i]].sum()
        for p in range(len(labels)):
            if p != i and labels[p] == labels[i]:
                losses.append(-np.log(s[i, p] / (s[i, p] + others)))
    return np.mean(losses)


def reference_prototypical(codes, labels, distance):
    s, losses = similarities_of(codes, distance) / 0.3, []
    classes = sorted(set(labels))
    for i in range(len(labels)):
        others = np.arange(len(labels)) != i
        if not (others & (labels == labels[i])).any():
            losses.append(0)
            continue
        means = np.array([s[i][others & (labels == c)].mean() for c in classes])
        target = 0.8 * (np.array(classes) == labels[i]) + 0.2 / len(classes)
        losses.append(-target @ (means - np.logaddexp.reduce(means)))
    return np.mean(losses)


OTHERS = {
    "prototypical": (lambda d: Prototypical(0.3, d, 0.2), reference_prototypical),
    "contrastive": (lambda d: Contrastive(0.7, d), reference_contrastive),
    "margin": (lambda d: MarginLoss(beta=1.0, mining="all", distance=d), reference_margin),
    "multi-similarity": (lambda d: MultiSimilarity(distance=d), reference_multi_similarity),
    "nt-xent": (lambda d: NTXent(0.3, d), reference_nt_xent),
}


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", OTHERS)
def test_losses_of_pairs_and_their_gradients(name, distance):
    make, reference = OTHERS[name]
    loss, codes = make(distance), draw_codes(8, seed=3)
    loss.bind(4)
    loss.initialize()
    value = loss(mx.nd.array(codes), LABELS).mean().asscalar()
    assert value == pytest.approx(reference(codes, LABELS, distance), rel=1e-4)
    numeric = numeric_gradient(lambda x: reference(x, LABELS, distance), codes)
    ours = gradient_of(loss, codes, LABELS)
    np.testing.assert_allclose(ours, numeric, atol=1e-4 * max(1, np.abs(numeric).max()))


def test_each_class_has_a_boundary_that_learns():
    """Up where sames lie outside it, down where diffs lie inside."""
    loss = MarginLoss(mining="all")
    loss.bind(3)
    loss.initialize()
    # class 0 lies at one point, class 1 far apart, class 2 is alone
    codes = np.array([[1.0, 0], [1, 0], [-1, 0], [0, 1], [-0.9, -0.1]])
    labels = np.array([0, 0, 1, 1, 2])
    with mx.autograd.record():
        value = loss(mx.nd.array(codes), labels).mean()
    value.backward()
    gradient = loss.boundary.grad().asnumpy()
    assert gradient[0] == 0 and gradient[1] != 0 and gradient[2] == 0
    counts = {"same": 0, "diff": 0}
    d = distances_of(codes, "euclidean")
    for i, p, n in [(2, 3, j) for j in (0, 1, 4)] + [(3, 2, j) for j in (0, 1, 4)]:
        counts["same"] += 0.2 + d[i, p] > 1.2
        counts["diff"] += 0.2 - d[i, n] > -1.2
    expected = (counts["diff"] - counts["same"]) / (counts["diff"] + counts["same"])
    assert gradient[1] == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="3 boundaries, not 4"):
        loss.bind(4)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_of_two_views_is_the_supervised_contrastive_loss(temperature):
    codes, labels = mx.nd.array(draw_codes(8)), np.array([0, 1, 2, 3, 0, 1, 2, 3])
    ours = NTXent(temperature)(codes, labels).asnumpy()
    theirs = SupervisedContrastive(temperature)(codes, labels).asnumpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


# --- the control's loss, and all of them


def test_softmax_cross_entropy_by_hand():
    scores = mx.nd.array([[0.0, 0.0], [np.log(3.0), 0.0]])
    value = SoftmaxCrossEntropy()(scores, np.array([1, 0])).asnumpy()
    np.testing.assert_allclose(value, [np.log(2), np.log(4 / 3)], atol=1e-5)
    # a tenth of the second target is the other class's, at log(4)
    value = SoftmaxCrossEntropy(smoothing=0.2)(scores, np.array([1, 0])).asnumpy()
    expected = [np.log(2), 0.9 * np.log(4 / 3) + 0.1 * np.log(4)]
    np.testing.assert_allclose(value, expected, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_codes_that_are_no_numbers_is_none_either(name):
    """So that training sees it and stops."""
    codes = mx.nd.array(np.full((6, 3), np.nan))
    for mining in MINERS if "mining" in options_of(name) else ["all"]:
        loss = get_loss(name, mining)
        loss.bind(2)
        loss.initialize()
        assert np.isnan(loss(codes, np.array([0, 1] * 3)).mean().asscalar())


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [0]], ids=["one class", "singles", "one"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_batches_without_triplets_are_finite(name, labels):
    loss = get_loss(name)
    loss.bind(3)
    loss.initialize()
    for codes in (draw_codes(len(labels)), np.ones((len(labels), 3))):
        assert np.isfinite(loss(mx.nd.array(codes), np.array(labels)).mean().asscalar())
        assert np.isfinite(gradient_of(loss, codes, np.array(labels))).all()


def test_losses_by_name():
    for name, kind in LOSSES.items():
        assert type(get_loss(name)) is kind
    assert get_loss("triplet", margin=0.3).margin == 0.3
    assert get_loss("supcon", temperature=0.3).temperature == 0.3
    assert type(get_loss("triplet", "batch-hard").miner) is BatchHard
    assert get_loss("triplet", "random").sampling == "triplets"


def test_parts_can_be_objects():
    miner, distance = BatchHard(), DISTANCES["cosine"]()
    loss = get_loss("triplet", miner, distance=distance)
    assert loss.miner is miner and loss.distance is distance


UNKNOWN = {
    "loss 'arcface' is not known": (("arcface",), {}, LOSSES),
    "mining 'hard-ish' is not known": (("triplet", "hard-ish"), {}, MINERS),
    "distance 'far' is not known": (("nt-xent",), {"distance": "far"}, DISTANCES),
    "mining 'random' does not go with loss 'supcon'": (
        ("supcon", "random"),
        {},
        ("all", "triplet", "margin"),
    ),
    "soft margin does not go with loss 'margin'": (("margin",), {"soft_margin": True}, ["triplet"]),
    "average does not go with loss 'nt-xent'": (("nt-xent",), {"average": "all"}, ["triplet"]),
    "temperature does not go with loss 'triplet'": (
        ("triplet",),
        {"temperature": 0.1},
        ("supcon", "nt-xent"),
    ),
}


@pytest.mark.parametrize("message", UNKNOWN)
def test_what_is_not_known_or_does_not_go_is_answered_with_what_is(message):
    names, options, known = UNKNOWN[message]
    with pytest.raises(InputError, match=message) as caught:
        get_loss(*names, **options)
    assert all(name in str(caught.value) for name in known)


@pytest.mark.parametrize("margin", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [TripletHinge, AllTriplets, RandomTriplets])
def test_margins_that_make_no_sense(kind, margin):
    with pytest.raises(InputError, match=r"margin is .*: give a number above 0"):
        kind(margin)


@pytest.mark.parametrize("temperature", [0, -0.1, float("nan")])
def test_temperatures_that_make_no_sense(temperature):
    with pytest.raises(InputError, match=r"temperature is .*: give a number above 0"):
        SupervisedContrastive(temperature)


@pytest.mark.parametrize("smoothing", [1, -0.1, float("nan")])
@pytest.mark.parametrize("kind", [SupervisedContrastive, Prototypical, SoftmaxCrossEntropy])
def test_smoothings_that_make_no_sense(kind, smoothing):
    with pytest.raises(InputError, match=r"smoothing is .*: give a share from 0 to below 1"):
        kind(smoothing=smoothing)


# --- runs of earlier versions


SMALL = ("--network", "article", "--size", 16, "--code-size", 8, "--batch-size", 8, "--quiet")
SMALL += ("--validation", 0, "--test", 0)


def test_a_run_of_an_earlier_version_goes_on(photos, tmp_path, tripletnet):
    import json

    out = tmp_path / "run"
    train = ("train", photos, "--out", out, *SMALL, "--loss", "triplet")
    assert tripletnet(*train, "--images", 24)[0] == 0
    description = json.loads((out / "run.json").read_text())
    for name in ("distance", "soft_margin", "average"):
        del description["training"][name]
    (out / "run.json").write_text(json.dumps(description))
    assert tripletnet(*train, "--images", 48, "--resume")[0] == 0
    assert json.loads((out / "run.json").read_text())["images_seen"] >= 48
    assert tripletnet(*train, "--images", 48, "--resume", "--soft-margin")[0] == 2


class StopAfterOne(Callback):
    def wants_weights(self, trainer):
        trainer.stop()
        return False


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "margin", "mining": "distance-weighted"},
        {"mining": "random-in-batch", "soft_margin": True, "distance": "cosine"},
    ],
    ids=["margin", "random in batch"],
)
def test_mining_follows_from_seed_and_step(striped_images, changes):
    """A run that stops after each step and is taken up again ends with the same weights."""
    from tripletnet.training import Trainer, TrainingConfig
    from tripletnet.training.fit import make_encoder, make_loss

    config = TrainingConfig(
        images=96, code_size=8, batch_size=24, shift=2, learning_rate=0.05, **changes
    )

    def trainer():
        return Trainer(
            make_encoder(config, striped_images), make_loss(config), striped_images, config
        )

    whole, state = trainer(), None
    whole.start()
    whole.run()
    for step in range(4):
        part = trainer()
        part.restore(state) if state else part.start()
        assert part.step == step
        part.callbacks = [StopAfterOne()]
        part.run()
        state = part.state()
    for name, array in whole.state().arrays.items():
        np.testing.assert_array_equal(array, state.arrays[name])
    if "loss" in changes:
        assert not (state.arrays["weight/loss/boundary"] == 1.2).all()


def test_the_softplus_of_a_sum_neither_overflows_nor_vanishes():
    random = np.random.default_rng(0)
    scores = random.normal(size=(6, 6)) * np.array([[0], [1], [30], [300], [1e4], [5]])
    mask = random.random((6, 6)) < 0.6
    np.fill_diagonal(mask, False)
    mask[0] = False  # nothing counts: log(1 + 0)
    x = mx.nd.array(scores)
    x.attach_grad()
    with mx.autograd.record():
        found = masked_softplus(x, mx.nd.array(mask))
    found.backward()

    marked = np.where(mask, scores, -np.inf)
    expected = np.logaddexp.reduce(np.column_stack([np.zeros(6), marked]), axis=1)
    np.testing.assert_allclose(found.asnumpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        x.grad.asnumpy(), np.exp(marked - expected[:, None]), rtol=1e-4, atol=1e-6
    )
