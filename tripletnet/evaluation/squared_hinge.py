"""The problem of the linear SVM with squared hinge, one class against the rest, and its solution.

For each class, with y = 1 for its rows and -1 for all others, liblinear's primal problem is::

    minimise over w, b:  (|w|^2 + b^2) / 2 + C sum_i max(0, 1 - y_i (w.x_i + b))^2
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from scipy.optimize import brentq, minimize
from threadpoolctl import ThreadpoolController

from tripletnet.evaluation.preconditioner import RowProducts, factor, gram, solve, with_one

BLOCK_FLOATS = 2**21
# Steps for all classes together, after which each goes on alone if any still gains; fewer where
# there are at most twice as many rows as columns, so that Newton's steps are cheap. Steps without
# gain that end either.
TOGETHER, TOGETHER_FEW, PATIENCE = 40, 25, 5

Own = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Solution:
    """Where the minimiser ended.

    Parameters
    ----------
    weights : ndarray of float64, shape (D + 1, K)
        One column a problem; the last row is the intercept.
    objective : ndarray of float64, shape (K,)
        The value of each problem.
    steps : int
        Steps of L-BFGS and Newton's, for the problem that took the most.
    solved : ndarray of bool, shape (K,)
        For which problems the tolerance was reached.
    """

    weights: np.ndarray
    objective: np.ndarray
    steps: int
    solved: np.ndarray


class SquaredHinge:
    """K problems over the same rows, solved together.

    Parameters
    ----------
    rows : ndarray of float32 or float64, shape (N, D)
        The samples. Neither copied nor converted.
    positive : ndarray of int, shape (N,)
        For which of the K problems each row is positive; -1 for none.
    problems : int
        K.

    Notes
    -----
    All classes are one smooth problem for SciPy's L-BFGS-B, so that each step reads the rows once
    for two matrix products, in their own precision; sums run in double precision. The steps are
    taken in coordinates in which the Hessian, I + 2 C X'X over the rows within the margin, is near
    to the identity, see :mod:`tripletnet.evaluation.preconditioner`. They end when no problem can
    gain more than `tol` of its value: its curvature is 1 or more everywhere, so that it gains half
    its squared gradient at the most. On 50,000 codes of 1,024 numbers this ends after some 20 steps
    for any C from 0.01 to 100, where it takes hundreds in the plain coordinates. Where it does not,
    mostly on few rows that are separable, each class goes on alone by Newton's method on the rows
    within its margin with exact line search, mostly for one to five steps. Where these are fewer
    than the columns, it is their Gram matrix that is solved for.

    References
    ----------
    Keerthi, DeCoste. "A Modified Finite Newton Method for Fast Solution of Large Scale Linear
    SVMs." JMLR 6, 2005.
    """

    def __init__(self, rows: np.ndarray, positive: np.ndarray, problems: int) -> None:
        self.rows = rows
        self.positive = positive
        self.problems = problems
        self._held: Optional[np.ndarray] = None
        self._products = RowProducts(rows)

    def without(self, held: np.ndarray) -> SquaredHinge:
        """Return the same problems with some rows held out, given as (N,) bool; shares the rows."""
        other = copy.copy(self)
        other._held = held
        return other

    def value_and_gradient(self, weights: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the objective of each problem, (K,), and its gradient, (D + 1, K).

        Parameters
        ----------
        weights : ndarray of float64, shape (D + 1, K)
            The last row is the intercept.
        C : float
            Weight of the errors.
        """
        loss = np.zeros(self.problems)
        gradient = np.zeros_like(weights)
        for part, slack, own in self._slacks(weights):
            loss += np.einsum("nk,nk->k", slack, slack, dtype=np.float64)
            slack[own] *= -1
            gradient[:-1] += self.rows[part].T @ slack
            gradient[-1] += slack.sum(axis=0, dtype=np.float64)
        objective = 0.5 * np.einsum("dk,dk->k", weights, weights) + C * loss
        return objective, weights + 2 * C * gradient

    def minimise(
        self,
        C: float,
        *,
        start: Optional[np.ndarray] = None,
        tol: float = 1e-4,
        max_iter: int = 1000,
    ) -> Solution:
        """Solve all problems for one C.

        Parameters
        ----------
        C : float
            Weight of the errors.
        start : ndarray of float64, shape (D + 1, K), optional
            Where to start, for example the solution for another C. Default: zeros.
        tol : float
            A problem is solved when it can gain no more than `tol` of its value, when the last few
            steps, at least five, changed it by no more, or when a step of Newton's method had no
            more to gain.
        max_iter : int
            Stop after so many steps in any case.
        """
        columns = self.rows.shape[1] + 1
        if start is None:
            start = np.zeros((columns, self.problems))
        few = len(self.rows) <= 2 * columns
        most = min(max_iter, TOGETHER_FEW if few else TOGETHER)
        together = self._descend(C, start, tol, most)
        if together.solved.all() or together.steps >= max_iter:
            return together
        left = max_iter - together.steps
        alone = [
            self._only(k)._finish(C, together.weights[:, [k]], tol, left)
            for k in range(self.problems)
        ]
        weights = np.hstack([one.weights for one in alone])
        return Solution(
            weights,
            self.value_and_gradient(weights, C)[0],
            together.steps + max(one.steps for one in alone),
            np.concatenate([one.solved for one in alone]),
        )

    def _slacks(self, weights: np.ndarray) -> Iterator[tuple[slice, np.ndarray, tuple[Any, Any]]]:
        """Yield, block by block, max(0, 1 - y (w.x + b)), (n, K), and where y = 1 in it."""
        slope = weights[:-1].astype(self.rows.dtype)
        intercept = weights[-1].astype(self.rows.dtype)
        step = max(1, BLOCK_FLOATS // max(weights.shape))
        for start in range(0, len(self.rows), step):
            part = slice(start, start + step)
            positive = self.positive[part]
            with_own = np.flatnonzero(positive >= 0)
            own = with_own, positive[with_own]
            slack = self.rows[part] @ slope
            slack += intercept
            slack[own] *= -1
            slack += 1
            np.maximum(slack, 0, out=slack)
            if self._held is not None:
                slack[self._held[part]] = 0
            yield part, slack, own

    def _only(self, problem: int) -> SquaredHinge:
        """Return one of the problems."""
        other = copy.copy(self)
        other.positive = np.where(self.positive == problem, 0, -1)
        other.problems = 1
        return other

    def _descend(self, C: float, start: np.ndarray, tol: float, max_iter: int) -> Solution:
        """Take steps in better coordinates until all problems are solved."""
        coordinates = self._products.coordinates(C)
        # weights, objectives, and what these can gain at the most: of the point tried last, and of
        # the end of the last step
        tried: tuple[np.ndarray, ...] = ()
        reached: tuple[np.ndarray, ...] = ()
        history: list[np.ndarray] = []  # the objectives at the end of each step

        def evaluate(point: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal tried, reached
            weights = coordinates.weights(point.reshape(start.shape))
            value, gradient = self.value_and_gradient(weights, C)
            tried = weights, value, 0.5 * np.einsum("dk,dk->k", gradient, gradient)
            reached = reached or tried
            return float(value.sum()), coordinates.gradient(gradient).ravel()

        def solved() -> np.ndarray:
            _, value, gain = reached
            back = max(PATIENCE, len(history) // 3)
            if len(history) > back:
                gain = np.minimum(gain, np.abs(history[-1 - back] - history[-1]))
            return gain <= tol * value

        def end_step(_: np.ndarray) -> None:
            nonlocal reached
            reached = tried
            history.append(reached[1])
            if solved().all():
                raise StopIteration

        minimize(
            evaluate,
            coordinates.point(start).ravel(),
            jac=True,
            method="L-BFGS-B",
            callback=end_step,
            options={"maxiter": max_iter, "ftol": 0, "gtol": 0},
        )
        return Solution(reached[0], reached[1], len(history), solved())

    def _finish(self, C: float, start: np.ndarray, tol: float, max_iter: int) -> Solution:
        """Solve the one problem by Newton's method."""
        weights, steps, idle, solved = start, 0, 0, False
        value, gradient = self.value_and_gradient(weights, C)
        rounding = np.finfo(self.rows.dtype).eps
        while steps < max_iter and idle < PATIENCE and not solved:
            step = self._newton_step(weights, gradient, C)
            # what a step gains at the most, as long as the same rows are within the margin
            solved = -0.5 * float((gradient * step).sum()) <= tol * float(value[0])
            weights = weights + self._share_of(step, weights, C) * step
            before, (value, gradient) = value, self.value_and_gradient(weights, C)
            idle = 0 if before - value > rounding * value else idle + 1
            steps += 1
        return Solution(weights, value, steps, np.array([solved]))

    def _newton_step(self, weights: np.ndarray, gradient: np.ndarray, C: float) -> np.ndarray:
        """Return -H^-1 gradient, with the Hessian H = I + 2 C X'X of the rows within the margin."""
        slacks = self._slacks(weights)
        within = np.concatenate([part.start + np.flatnonzero(slack) for part, slack, _ in slacks])
        if len(within) >= len(weights):
            lower = factor(gram(self.rows, within), C)
            return -solve(lower, solve(lower, gradient), trans="T")
        if not len(within):  # LAPACK before 3.10 takes no empty factor
            return -gradient
        # few rows: H^-1 = I - 2 C X' (I + 2 C X X')^-1 X
        rows = with_one(self.rows[within])
        lower = factor(rows @ rows.T, C)
        inner = solve(lower, solve(lower, rows @ gradient), trans="T")
        return 2 * C * (rows.T @ inner) - gradient

    def _share_of(self, step: np.ndarray, weights: np.ndarray, C: float) -> float:
        """Return by which share of `step` the one problem's objective is least."""
        sign = np.where(self.positive == 0, 1.0, -1.0)
        if self._held is not None:
            sign[self._held] = 0
        both = np.hstack([weights, step])
        scores = self.rows @ both[:-1].astype(self.rows.dtype) + both[-1]
        slack, falls = np.abs(sign) - sign * scores[:, 0], sign * scores[:, 1]
        along, square = float((weights * step).sum()), float((step * step).sum())

        def slope(share: float) -> float:
            left = np.maximum(slack - share * falls, 0)
            return along + share * square - 2 * C * float(left @ falls)

        upper = 1.0
        while slope(upper) < 0:
            upper *= 2
        # else there is nothing to gain but rounding, or the numbers are too large
        falling = slope(0.0) < 0 <= slope(upper)
        return float(brentq(slope, 0.0, upper, xtol=1e-9)) if falling else 0.0


def scipy_on_one_thread() -> AbstractContextManager[Any]:
    """Let SciPy compute on one thread where it has a BLAS of its own, as its wheels do.

    Threads of an OpenBLAS go on spinning for a while when their work is done. Where NumPy's and
    SciPy's take turns, each thus holds up the other; with one thread SciPy has none that spins.
    """
    controller = ThreadpoolController()
    paths = [Path(library.filepath) for library in controller.lib_controllers]
    own = [str(p) for p in paths if "scipy" in (p.parent.name.split(".")[0], p.parent.parent.name)]
    return controller.select(filepath=own).limit(limits=1)
