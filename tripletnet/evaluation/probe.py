"""The SVM probe: how well do the codes tell the classes apart by straight cuts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from numbers import Real
from typing import Any, Optional, Union

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from tripletnet.errors import InputError
from tripletnet.evaluation.squared_hinge import Solution, SquaredHinge, scipy_on_one_thread

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # scikit-learn before 1.6

    def validate_data(estimator: Any, *data: Any, **options: Any) -> Any:
        """Do what `validate_data` of later versions does."""
        return estimator._validate_data(*data, **options)


class SVMProbe(ClassifierMixin, BaseEstimator):
    """Linear support vector machine with squared hinge, one class against the rest.

    Solves liblinear's primal problem, that of ``LinearSVC(dual=False)``, for all classes at once.

    Parameters
    ----------
    C : float or "validate"
        Weight of the errors against the length of the weights. ``"validate"`` tries `grid` on a
        part of the training codes, and fits again on all of them with the best.
    grid : sequence of float
        The values of C to try.
    validation : float
        Share of each class to try them on, between 0 and 1. At least one code of each class stays
        to learn from, and one is held out if the class has two.
    tol : float
        Stop when the last few steps changed no class's objective by more than this share of it.
    max_iter : int
        The most steps for one C.
    random_state : int, RandomState instance or None
        Draws the validation part.

    Attributes
    ----------
    classes_ : ndarray, shape (K,)
        The labels seen, sorted.
    coef_ : ndarray, shape (K, D), or (1, D) for two classes
        Weights, of the codes' precision.
    intercept_ : ndarray, shape (K,) or (1,)
        The b of each class's problem.
    objective_ : ndarray of float64, shape (K,) or (1,)
        Value of each class's problem at the solution, all training codes counted.
    C_ : float
        The C of the solution.
    validation_scores_ : dict
        Accuracy on the validation part for each C of the grid; empty if C was given.
    n_iter_ : int
        Steps of the optimiser in the last fit.
    n_features_in_ : int
        D.

    Notes
    -----
    The objective of each class is ``(|w|^2 + b^2) / 2 + C sum_i max(0, 1 - y_i (w.x_i + b))^2``.
    The intercept is regularised like a weight, as in liblinear. float32 codes are neither copied
    nor converted: beside them the fit needs some megabytes and a few matrices of D x D.

    References
    ----------
    Fan et al. "LIBLINEAR: a library for large linear classification." JMLR 9, 2008.

    Examples
    --------
    >>> codes = np.array([[1, 0], [0.8, 0.6], [0, 1], [-0.6, 0.8]], dtype=np.float32)
    >>> probe = SVMProbe(C=10.0).fit(codes, ["cat", "cat", "dog", "dog"])
    >>> probe.predict(codes)
    array(['cat', 'cat', 'dog', 'dog'], dtype='<U3')
    """

    def __init__(
        self,
        C: Union[float, str] = "validate",
        *,
        grid: Sequence[float] = (0.01, 0.1, 1.0, 10.0, 100.0),
        validation: float = 0.2,
        tol: float = 1e-4,
        max_iter: int = 1000,
        random_state: Any = 0,
    ) -> None:
        self.C = C
        self.grid = grid
        self.validation = validation
        self.tol = tol
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> SVMProbe:
        """Fit to codes and their labels.

        Parameters
        ----------
        X : array_like of float32 or float64, shape (N, D)
            Codes.
        y : array_like, shape (N,)
            Labels of at least two classes.

        Raises
        ------
        InputError
            If codes and labels do not fit together, are not finite or hold one class only, or if a
            parameter is out of range.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` or the numbers' precision ended the search before `tol` was reached.
        """
        self._check_parameters()
        X, y = self._check_data(X, y)
        check_classification_targets(y)
        self.classes_, label = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"labels: all are of one class, {self.classes_[0]!s}; "
                "an SVM needs codes of at least two classes"
            )
        # two classes are one problem, in which the second is positive
        positive = label if len(self.classes_) > 2 else label - 1
        hinge = SquaredHinge(X, positive, int(positive.max()) + 1)

        self.validation_scores_: dict[float, float] = {}
        start: Optional[np.ndarray] = None
        with scipy_on_one_thread():
            if isinstance(self.C, str):
                self.C_, start = self._choose_C(hinge, label)
            else:
                self.C_ = self.C
            solution = self._solve(hinge, self.C_, start)

        self.coef_ = np.ascontiguousarray(solution.weights[:-1].T, dtype=X.dtype)
        self.intercept_ = solution.weights[-1].astype(X.dtype)
        self.objective_ = solution.objective
        self.n_iter_ = solution.steps
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return w.x + b of each class, (N, K); for two classes that of the second, (N,)."""
        check_is_fitted(self)
        scores = self._check_data(X, reset=False) @ self.coef_.T + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the label whose score is the highest for each row, (N,)."""
        winners = _winners(self.decision_function(X))
        return self.classes_[winners]

    def _choose_C(self, hinge: SquaredHinge, label: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the C that scores best on rows held out, the lowest of equals, and its weights."""
        held = self._hold_out(label)
        learning = hinge.without(held)
        weights, solutions = None, {}
        for C in sorted(self.grid):
            solutions[C] = weights = self._solve(learning, C, weights).weights
            scores = hinge.rows @ weights[:-1].astype(hinge.rows.dtype) + weights[-1]
            right = _winners(scores)[held] == label[held]
            self.validation_scores_[C] = float(right.mean())
        best = max(self.validation_scores_, key=self.validation_scores_.__getitem__)
        return best, solutions[best]

    def _hold_out(self, label: np.ndarray) -> np.ndarray:
        """Return which rows are the validation part, (N,) bool: a share of each class."""
        random = check_random_state(self.random_state)
        held = np.zeros(len(label), bool)
        for members in np.split(np.argsort(label, kind="stable"), np.bincount(label).cumsum()[:-1]):
            count = min(int(np.ceil(self.validation * len(members))), len(members) - 1)
            held[random.permutation(members)[:count]] = True
        if not held.any():
            raise InputError(
                "labels: each class has one code, so none can be held out to choose C; "
                "give C a number or add codes"
            )
        return held

    def _solve(self, hinge: SquaredHinge, C: float, start: Optional[np.ndarray]) -> Solution:
        solution = hinge.minimise(C, start=start, tol=self.tol, max_iter=self.max_iter)
        if not solution.solved.all():
            warnings.warn(
                f"the SVM with C = {C} was not within tol = {self.tol} of its minimum after "
                f"{solution.steps} steps: raise max_iter or tol, lower C, or use float64 codes",
                ConvergenceWarning,
                stacklevel=4,
            )
        return solution

    def _check_data(self, *data: np.ndarray, reset: bool = True) -> Any:
        """Return the data as scikit-learn wants it, in the precision that it came in."""
        try:
            return validate_data(self, *data, reset=reset, dtype=[np.float32, np.float64])
        except ValueError as error:
            raise InputError(str(error)) from None

    def _check_parameters(self) -> None:
        if not (self.C == "validate" or (isinstance(self.C, Real) and 0 < self.C < np.inf)):
            raise InputError(f'C: {self.C!r} is neither a positive number nor "validate"')
        if self.C == "validate":
            if not (len(self.grid) and all(0 < C < np.inf for C in self.grid)):
                raise InputError(f"grid: {self.grid!r} does not hold positive numbers")
            if not 0 < self.validation < 1:
                raise InputError(f"validation: {self.validation!r} is not between 0 and 1")


def _winners(scores: np.ndarray) -> np.ndarray:
    """Return the index of each row's class from scores, (N, K), or for two classes (N,), (N, 1)."""
    if scores.ndim == 2 and scores.shape[1] > 1:
        return scores.argmax(axis=1)
    return (scores.ravel() > 0).astype(np.int64)
