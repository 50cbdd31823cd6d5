"""The SVM probe against liblinear, and as a scikit-learn estimator."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info, threadpool_limits

from tripletnet.errors import InputError
from tripletnet.evaluation import SVMProbe
from tripletnet.evaluation.preconditioner import RowProducts
from tripletnet.evaluation.squared_hinge import SquaredHinge, scipy_on_one_thread


@pytest.fixture(scope="module")
def digits():
    """Training codes, test codes and their labels: noisy digits in unit length."""
    pixels, labels = load_digits(return_X_y=True)
    codes = pixels + np.random.default_rng(0).normal(0, 5, pixels.shape)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    return train_test_split(codes.astype(np.float32), labels, random_state=0)


def clustered(count: int, size: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    labels = np.arange(count) % classes
    codes = random.standard_normal((classes, size))[labels]
    return (codes + random.standard_normal((count, size))).astype(np.float32), labels


def objective(codes, signs, weights, intercept, C):
    """The problem of one class as liblinear states it, sample by sample."""
    slack = [max(0, 1 - y * (weights @ x + intercept)) for x, y in zip(codes, signs)]
    return (weights @ weights + intercept**2) / 2 + C * sum(s**2 for s in slack)


@parametrize_with_checks([SVMProbe()])
def test_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [0.01, 1, 100])
def test_solves_the_problem_of_liblinear(digits, C, dtype):
    codes, test_codes, labels, test_labels = digits
    codes = codes.astype(dtype)
    rival = LinearSVC(C=C, dual=False, tol=1e-6, max_iter=10_000).fit(codes, labels)
    probe = SVMProbe(C=C).fit(codes, labels)
    for k, label in enumerate(probe.classes_):
        signs = np.where(labels == label, 1, -1)
        best = objective(codes, signs, rival.coef_[k], rival.intercept_[k], C)
        ours = objective(codes, signs, probe.coef_[k], probe.intercept_[k], C)
        assert ours == pytest.approx(best, rel=1e-3)
        assert probe.objective_[k] == pytest.approx(ours, rel=1e-5)
    accuracy = probe.score(test_codes, test_labels), rival.score(test_codes, test_labels)
    assert accuracy[0] == pytest.approx(accuracy[1], abs=0.005)
    assert probe.coef_.dtype == probe.decision_function(codes).dtype == dtype


@pytest.mark.parametrize("count", [90, 600])
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_codes_that_can_be_separated_are_solved_to_the_end(count, C):
    """Where steps for all classes together hardly gain, fewer codes than numbers and more."""
    codes, labels = clustered(count, 200, classes=4)
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    held = np.arange(count) % 5 == 0
    hinge = SquaredHinge(codes.astype(np.float64), labels, 4).without(held)
    solution = hinge.minimise(C, tol=1e-10)
    assert solution.solved.all()
    rival = LinearSVC(C=C, tol=1e-9, max_iter=1_000_000).fit(codes[~held], labels[~held])
    for k in range(4):
        signs = np.where(labels[~held] == k, 1, -1)
        best = objective(codes[~held], signs, rival.coef_[k], rival.intercept_[k], C)
        assert solution.objective[k] == pytest.approx(best, rel=1e-6)
    value, gradient = hinge.value_and_gradient(solution.weights, C)
    np.testing.assert_array_equal(value, solution.objective)
    assert np.abs(gradient).max() < 1e-4 * np.abs(solution.weights).max()


@pytest.mark.parametrize("count", [3, 40, 400])
@pytest.mark.parametrize("C", [0.1, 1000.0])
def test_coordinates_bring_the_hessian_near_to_the_identity(count, C):
    codes, _ = clustered(count, 60)
    coordinates = RowProducts(codes).coordinates(C)
    weights = np.random.default_rng(1).standard_normal((61, 2))
    np.testing.assert_allclose(coordinates.weights(coordinates.point(weights)), weights, atol=1e-4)
    to_weights, to_gradient = coordinates.weights(np.eye(61)), coordinates.gradient(np.eye(61))
    np.testing.assert_allclose(to_weights.T, to_gradient, atol=1e-4)
    rows = np.hstack([codes, np.ones((count, 1))])
    hessian = np.eye(61) + 2 * C * 0.1 * rows.T @ rows
    before = np.linalg.cond(hessian)
    after = np.linalg.cond(to_gradient @ hessian @ to_weights)
    assert after == pytest.approx(1, rel=0.01) if C > 1 else after < min(2 + before / 8, 12)


def test_the_largest_directions_are_those_of_the_products():
    random = np.random.default_rng(0)
    scales = 10.0 ** -np.arange(100)
    codes = (random.standard_normal((300, 100)) * scales).astype(np.float32)
    rows = np.hstack([codes, np.ones((300, 1))])
    C = 1e-3
    hessian = np.eye(101) + 2 * C * 0.1 * rows.T @ rows
    directions = RowProducts(codes).coordinates(C).weights(np.eye(101))
    np.testing.assert_allclose(directions @ hessian @ directions, np.eye(101), atol=1e-3)


def test_two_classes_are_one_problem(digits):
    codes, _, labels, _ = digits
    names = np.array(["even", "odd"])[labels % 2]
    rival = LinearSVC(C=1, dual=False, tol=1e-6).fit(codes, names)
    probe = SVMProbe(C=1, tol=1e-7).fit(codes, names)
    assert probe.coef_.shape == (1, 64)
    assert probe.objective_.shape == probe.intercept_.shape == (1,)
    np.testing.assert_allclose(probe.coef_, rival.coef_, atol=5e-3)
    np.testing.assert_allclose(
        probe.decision_function(codes), rival.decision_function(codes), atol=5e-3
    )
    assert (probe.predict(codes) == rival.predict(codes)).mean() > 0.998


def test_value_and_gradient():
    random = np.random.default_rng(0)
    rows, positive = random.standard_normal((50, 4)), random.integers(-1, 3, 50)
    hinge = SquaredHinge(rows, positive, 3)
    weights = random.standard_normal((5, 3))
    expected = [
        objective(rows, np.where(positive == k, 1, -1), weights[:4, k], weights[4, k], 0.7)
        for k in range(3)
    ]
    np.testing.assert_allclose(hinge.value_and_gradient(weights, 0.7)[0], expected)
    assert (
        check_grad(
            lambda w: hinge.value_and_gradient(w.reshape(5, 3), 0.7)[0].sum(),
            lambda w: hinge.value_and_gradient(w.reshape(5, 3), 0.7)[1].ravel(),
            weights.ravel(),
        )
        < 1e-3
    )


def test_rows_held_out_do_not_count():
    codes, labels = clustered(60, 5)
    held = np.arange(60) % 4 == 0
    weights = np.random.default_rng(0).standard_normal((6, 3))
    part = SquaredHinge(codes, labels, 3).without(held).value_and_gradient(weights, 2.0)
    alone = SquaredHinge(codes[~held], labels[~held], 3).value_and_gradient(weights, 2.0)
    for found, expected in zip(part, alone):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_C_is_the_best_on_held_out_codes_and_all_codes_are_fitted(digits):
    codes, _, labels, _ = digits
    probe = SVMProbe(grid=(10, 0.001, 1)).fit(codes, labels)
    scores = probe.validation_scores_
    assert list(scores) == [0.001, 1, 10]
    assert scores[probe.C_] == max(scores.values())
    assert scores[0.001] < scores[probe.C_]
    given = SVMProbe(C=probe.C_).fit(codes, labels)
    np.testing.assert_allclose(probe.objective_, given.objective_, rtol=1e-3)
    assert given.validation_scores_ == {}


def test_the_lowest_of_equally_good_C_is_taken():
    codes = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    probe = SVMProbe(grid=(100, 1, 10)).fit(codes, np.repeat([0, 1, 2], 10))
    assert probe.validation_scores_ == {1: 1, 10: 1, 100: 1}
    assert probe.C_ == 1


def test_the_same_seed_gives_the_same_probe(digits):
    codes, _, labels, _ = digits
    one, two = (SVMProbe(random_state=3).fit(codes, labels) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    assert one.validation_scores_ == two.validation_scores_


def test_a_class_of_one_code_is_learnt_from():
    codes = np.eye(4, dtype=np.float32)[[0] * 5 + [1] * 5 + [3]]
    probe = SVMProbe(grid=(10,)).fit(codes, ["a"] * 5 + ["b"] * 5 + ["c"])
    assert probe.predict(codes[-1:]) == ["c"]


def test_codes_of_any_length_are_fitted():
    codes = np.random.default_rng(0).normal(size=(100, 600)).astype(np.float32)
    labels = np.repeat(range(4), 25)
    for scale in (1e-6, 1.0, 1e6, 1e9):
        scaled = codes * np.float32(scale)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            right = SVMProbe().fit(scaled, labels).score(scaled, labels)
        assert right > (0.9 if scale >= 1 else 0.2)


def test_codes_are_not_copied():
    codes, labels = clustered(40_000, 128)
    tracemalloc.start()
    SVMProbe(grid=(0.01, 0.1)).fit(codes, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < codes.nbytes / 2


def test_only_scipy_keeps_to_one_thread_and_only_while_it_solves():
    def threads(package: str) -> set[int]:
        found = [lib for lib in threadpool_info() if f"{package}.libs" in lib["filepath"]]
        return {lib["num_threads"] for lib in found}

    if not (threads("scipy") and threads("numpy")):
        pytest.skip("NumPy and SciPy share a BLAS here: there is nothing to hold back")
    with threadpool_limits(2):
        with scipy_on_one_thread():
            assert (threads("scipy"), threads("numpy")) == ({1}, {2})
        assert threads("scipy") == {2}


def test_a_search_cut_short_warns(digits):
    codes, _, labels, _ = digits
    with pytest.warns(ConvergenceWarning, match="C = 10.* after 2 steps: raise max_iter"):
        SVMProbe(C=10, max_iter=2).fit(codes, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SVMProbe(C=10).fit(codes, labels)


@pytest.mark.parametrize(
    ("parameters", "codes", "labels", "message"),
    [
        ({"C": 0}, np.eye(4), [0, 1, 0, 1], "C: 0 is neither"),
        ({"C": "best"}, np.eye(4), [0, 1, 0, 1], "C: 'best' is neither"),
        ({"grid": ()}, np.eye(4), [0, 1, 0, 1], "grid: "),
        ({"grid": (1, -1)}, np.eye(4), [0, 1, 0, 1], "grid: "),
        ({"validation": 1}, np.eye(4), [0, 1, 0, 1], "validation: 1 is not between"),
        ({}, np.eye(4), [7, 7, 7, 7], "labels: all are of one class, 7"),
        ({}, np.eye(4), [0, 1, 2, 3], "labels: each class has one code"),
        ({}, np.eye(4), [0, 1, 0], "inconsistent numbers of samples"),
        ({}, np.full((4, 4), np.nan), [0, 1, 0, 1], "contains NaN"),
        ({}, np.empty((0, 4)), [], "0 sample"),
    ],
)
def test_bad_input_is_named(parameters, codes, labels, message):
    with pytest.raises(InputError, match=message):
        SVMProbe(**parameters).fit(codes, labels)
