"""Distances between codes: the smaller, the closer; one class each, one line in `DISTANCES`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx

# Under the root: keeps the gradient finite where two codes are equal.
_TINY = 1e-8


class Distance:
    """A distance between codes; the base of all.

    The smaller a distance, the closer two codes are: a similarity has to be turned round.
    """

    #: The distance of two opposite codes of unit length, the farthest that there are.
    largest = 2.0

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return the distance of each row of `a`, (N, D), to each row of `b`, (M, D), as (N, M).

        `F` is ``mx.nd`` or ``mx.sym``, as in a HybridBlock.
        """
        raise NotImplementedError

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return the distance of each row of `a` to the same row of `b`, (N, D) each, as (N,)."""
        raise NotImplementedError

    def matrix(self, codes: Any) -> np.ndarray:
        """Return the distances of all rows of an NDArray, (N, D), as a NumPy array, (N, N)."""
        return self.pairwise(mx.nd, codes, codes).asnumpy()

    def closer(self, a: Any, b: Any) -> Any:
        """Tell whether distance `a` is the closer one."""
        return a < b


class SquaredEuclidean(Distance):
    """|a - b|^2; for codes of unit length 2 - 2 cos(a, b), between 0 and 4.

    Notes
    -----
    Of all pairs it is formed as |a|^2 + |b|^2 - 2 a.b and cut off at 0, where rounding would go
    below.
    """

    largest = 4.0

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_j|^2, (N, M)."""
        squares_a = _squares(a)
        squares_b = squares_a if b is a else _squares(b)
        sums = F.broadcast_add(squares_a, F.transpose(squares_b))
        return F.relu(F.broadcast_sub(sums, 2.0 * _products(F, a, b)))

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_i|^2, (N,)."""
        difference = a - b
        return (difference * difference).sum(axis=1)


class Euclidean(SquaredEuclidean):
    """sqrt(|a - b|^2 + 1e-8); for codes of unit length between 1e-4 and 2.

    The small number makes the gradient of equal codes 0, and all others' length 1 at the most.
    """

    largest = 2.0

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_j|, (N, M)."""
        return F.sqrt(super().pairwise(F, a, b) + _TINY)

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_i|, (N,)."""
        return F.sqrt(super().paired(F, a, b) + _TINY)


class Cosine(Distance):
    """1 - cos(a, b), between 0 and 2; codes need not be of unit length.

    Rounding would go below 0: it is cut off there.

    Lengths are sqrt(|a|^2 + 1e-8), so that a code of zeros is at distance 1 from all others and
    the gradient is finite there.
    """

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return 1 - cos(a_i, b_j), (N, M)."""
        units_a = _units(F, a)
        return F.relu(1.0 - _products(F, units_a, units_a if b is a else _units(F, b)))

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return 1 - cos(a_i, b_i), (N,)."""
        return F.relu(1.0 - (_units(F, a) * _units(F, b)).sum(axis=1))


#: The distances that can be chosen by name.
DISTANCES: dict[str, type[Distance]] = {
    "squared": SquaredEuclidean,
    "euclidean": Euclidean,
    "cosine": Cosine,
}


def squared_euclidean(a: Any, b: Any) -> Any:
    """Return |a - b|^2 of the rows of `a` and `b`, (N, D) each, as (N,).

    For codes of unit length this is 2 - 2 cos(a, b), between 0 and 4.
    """
    return SquaredEuclidean().paired(None, a, b)


def pairwise_squared_euclidean(codes: Any) -> Any:
    """Return |c_i - c_j|^2 for all rows of `codes`, (N, D), as (N, N)."""
    F = mx.sym if isinstance(codes, mx.sym.Symbol) else mx.nd
    return SquaredEuclidean().pairwise(F, codes, codes)


def _squares(codes: Any) -> Any:
    return (codes * codes).sum(axis=1, keepdims=True)


def _units(F: Any, codes: Any) -> Any:
    return F.broadcast_div(codes, F.sqrt(_squares(codes) + _TINY))


def _products(F: Any, a: Any, b: Any) -> Any:
    """Return a_i.b_j, (N, M)."""
    if F is mx.sym:
        return F.dot(a, b, transpose_b=True)
    # oneDNN's product: dot's BLAS takes processors younger than itself for a Pentium 4
    return F.FullyConnected(a, b, no_bias=True, num_hidden=len(b))
