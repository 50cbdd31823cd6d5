"""Coordinates in which the Hessian of a linear SVM, I + 2 C X'X, is near to the identity.

X are the rows of the problem with a one appended, for the intercept.
"""

from __future__ import annotations

from functools import cached_property
from typing import Optional, Protocol, Union

import numpy as np
from scipy.linalg import solve_triangular

# Of all rows, about how many lie within the margin: anything between 0.05 and 0.5 takes as many
# steps.
WITHIN_MARGIN = 0.1
# Rows that are enough to know X'X by, for each of its columns.
SAMPLE = 8
# The same for its largest eigenvalues, at all, and how many of these are looked for.
FEW_ROWS, RANK = 2048, 32
# The trace of 2 C p X'X up to which they are enough.
SMALL_TRACE = 1000.0
_ROUNDS = 2  # of the search for them


class Coordinates(Protocol):
    """Points u for weights w = T u, such that T' H T is near to the identity."""

    def weights(self, point: np.ndarray) -> np.ndarray:
        """Return T u, (D + 1, K)."""

    def point(self, weights: np.ndarray) -> np.ndarray:
        """Return the u of weights."""

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return T' g of a gradient by the weights."""


class RowProducts:
    """X'X of the rows of a problem, or what is needed of it; computed when it is first asked for.

    Parameters
    ----------
    rows : ndarray of float32 or float64, shape (N, D)
        The rows, without the one.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows

    def coordinates(self, C: float) -> Coordinates:
        """Return coordinates for I + 2 C p X'X, p being the share of rows within the margin."""
        scale = 2 * C * WITHIN_MARGIN
        if scale * self._trace <= SMALL_TRACE:
            vectors, values, rest = self._largest
            return LargestDirections(vectors, scale * values, scale * rest)
        return CholeskyFactor(factor(WITHIN_MARGIN * self._gram, C))

    @cached_property
    def _trace(self) -> float:
        squares = np.einsum("nd,nd->n", self._rows, self._rows)
        return float(squares.sum(dtype=np.float64)) + len(self._rows)

    @cached_property
    def _gram(self) -> np.ndarray:
        return gram(self._rows)

    @cached_property
    def _largest(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the largest eigenvalues of X'X, their vectors, and the mean of the others.

        By subspace iteration from random vectors: Halko, Martinsson, Tropp (2011), "Finding
        Structure with Randomness", SIAM Review 53.
        """
        every = max(1, len(self._rows) // FEW_ROWS)
        sample = with_one(self._rows[::every], self._rows.dtype)
        columns = sample.shape[1]
        rank = min(RANK, *sample.shape)
        basis = np.random.default_rng(0).standard_normal((columns, rank), dtype=np.float32)
        basis = basis.astype(sample.dtype)
        for _ in range(_ROUNDS):
            basis = np.linalg.qr(sample.T @ (sample @ basis))[0]
        seen = sample @ basis
        values, within = np.linalg.eigh((seen.T @ seen).astype(np.float64))
        values = every * np.maximum(values, 0)
        rest = max(0.0, self._trace - values.sum()) / max(1, columns - rank)
        return basis @ within, values, rest


class CholeskyFactor:
    """T' = L^-1 for a lower Cholesky factor L of the Hessian."""

    def __init__(self, lower: np.ndarray) -> None:
        self._lower = lower

    def weights(self, point: np.ndarray) -> np.ndarray:
        """Return L'^-1 u."""
        return solve(self._lower, point, trans="T")

    def point(self, weights: np.ndarray) -> np.ndarray:
        """Return L' w."""
        return self._lower.T @ weights

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return L^-1 g."""
        return solve(self._lower, gradient)


class LargestDirections:
    """T = H^-1/2 for H = (1 + rest) I + V (values - rest) V', its largest directions V.

    Parameters
    ----------
    vectors : ndarray, shape (D + 1, R)
        V, orthonormal.
    values : ndarray of float64, shape (R,)
        What H has beyond 1 in these directions.
    rest : float
        What it has beyond 1 in all others.
    """

    def __init__(self, vectors: np.ndarray, values: np.ndarray, rest: float) -> None:
        self._vectors = vectors
        self._root = np.sqrt(1 + rest)
        self._stretch = np.sqrt((1 + np.maximum(values, rest)) / (1 + rest))[:, None]

    def weights(self, point: np.ndarray) -> np.ndarray:
        """Return H^-1/2 u."""
        return self._scaled(point, 1 / self._stretch) / self._root

    def point(self, weights: np.ndarray) -> np.ndarray:
        """Return H^1/2 w."""
        return self._scaled(weights, self._stretch) * self._root

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return H^-1/2 g."""
        return self.weights(gradient)

    def _scaled(self, values: np.ndarray, by: np.ndarray) -> np.ndarray:
        """Return `values` with their parts along the vectors multiplied."""
        return values + self._vectors @ ((by - 1) * (self._vectors.T @ values))


def with_one(rows: np.ndarray, dtype: Union[type, np.dtype] = np.float64) -> np.ndarray:
    """Return rows with a one appended."""
    longer = np.ones((len(rows), rows.shape[1] + 1), dtype)
    longer[:, :-1] = rows
    return longer


def gram(rows: np.ndarray, chosen: Optional[np.ndarray] = None) -> np.ndarray:
    """Return about X'X, (D + 1, D + 1) float64, of the chosen rows or all, by a sample of them."""
    number = len(rows if chosen is None else chosen)
    every = max(1, number // (SAMPLE * (rows.shape[1] + 1)))
    sample = with_one(rows[::every] if chosen is None else rows[chosen[::every]])
    return sample.T @ sample * every


def factor(products: np.ndarray, C: float) -> np.ndarray:
    """Return the lower Cholesky factor of I + 2 C products."""
    matrix = 2 * C * products
    # where codes are so large that 1 is lost in rounding, what is not lost
    lost = len(matrix) * np.finfo(matrix.dtype).eps * matrix.trace()
    matrix[np.diag_indices_from(matrix)] += 1 + lost
    return np.linalg.cholesky(matrix)


def solve(lower: np.ndarray, values: np.ndarray, trans: str = "N") -> np.ndarray:
    """Solve for a lower Cholesky factor, or its transpose ("T")."""
    return solve_triangular(lower, values, lower=True, trans=trans, check_finite=False)
