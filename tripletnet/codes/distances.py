"""Distances between codes: the smaller, the closer; one class each.

Losses and miners take them of MXNet's arrays. Metrics, thresholds and searches take them of NumPy
codes by way of the squared Euclidean distance, of which each is a rising function: so they rank
alike, but for the cosine, which goes by the directions of codes alone.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from tripletnet.codes import unit_rows
from tripletnet.errors import InputError

# Under the root: keeps the gradient finite where two codes are equal.
_TINY = 1e-8
_TOO_FAR = 1.8e19  # for float32 to hold its square

Number = TypeVar("Number", float, np.ndarray)


class Distance:
    """A distance between codes; the base of all.

    The smaller a distance, the closer two codes are: a similarity has to be turned round. A
    subclass without the last two methods is for losses and miners alone.
    """

    #: The distance of two opposite codes of unit length, the farthest that there are.
    largest = 2.0

    #: What figures and reports call it, before the word distance.
    label = "unnamed"

    #: Whether it goes by the directions of codes alone, whatever their lengths.
    by_direction = False

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
        from tripletnet.backend import mx

        return self.pairwise(mx.nd, codes, codes).asnumpy()

    def prepared(self, codes: np.ndarray, name: str = "codes") -> np.ndarray:
        """Return NumPy codes, (N, D), whose squared Euclidean distances :meth:`from_squared` takes.

        Raises
        ------
        InputError
            If one, called `name` in the message, is all zeros, where it is directions that count.
        """
        return unit_rows(codes, name) if self.by_direction else codes

    def from_squared(self, squared: Number) -> Number:
        """Return the distance of codes from their squared Euclidean one, a number or an array."""
        raise InputError(
            f"distance {type(self).__name__}: is for training alone, as it does not follow from "
            "the squared Euclidean one: take another to measure with"
        )

    def to_squared(self, distance: float) -> float:
        """Return the squared Euclidean distance of prepared codes that are so far apart."""
        return self.from_squared(distance)


class SquaredEuclidean(Distance):
    """|a - b|^2; for codes of unit length 2 - 2 cos(a, b), between 0 and 4.

    Notes
    -----
    Of all pairs it is formed as |a|^2 + |b|^2 - 2 a.b and cut off at 0, where rounding would go
    below.
    """

    largest = 4.0
    label = "squared Euclidean"

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_j|^2, (N, M)."""
        products = _products(F, a, b)
        if b is a:  # whose squares are products as well
            squares_a = squares_b = F.diag(products)
        else:
            squares_a, squares_b = _squares(a), _squares(b)
        sums = F.broadcast_add(squares_a.reshape((-1, 1)), squares_b.reshape((1, -1)))
        return F.relu(F.broadcast_sub(sums, 2.0 * products))

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_i|^2, (N,)."""
        difference = a - b
        return (difference * difference).sum(axis=1)

    def from_squared(self, squared: Number) -> Number:
        """Return it as it is."""
        return squared

    def to_squared(self, distance: float) -> float:
        """Return it as it is."""
        return distance


class Euclidean(SquaredEuclidean):
    """sqrt(|a - b|^2 + 1e-8); for codes of unit length between 1e-4 and 2.

    The small number makes the gradient of equal codes 0, and all others' length 1 at the most.
    """

    largest = 2.0
    label = "Euclidean"

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_j|, (N, M)."""
        return F.sqrt(super().pairwise(F, a, b) + _TINY)

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return |a_i - b_i|, (N,)."""
        return F.sqrt(super().paired(F, a, b) + _TINY)

    def from_squared(self, squared: Number) -> Number:
        """Return the root, without the small number."""
        return np.sqrt(np.maximum(squared, 0))  # approximate searches round below 0

    def to_squared(self, distance: float) -> float:
        """Return the largest square whose root, both in float32, is no larger than `distance`."""
        if not distance < _TOO_FAR:
            return math.inf
        root = np.float32(distance)
        # roots are rounded: squares below that of the middle before the next root have this one
        bound = (float(root) + float(np.spacing(root)) / 2) ** 2
        square = np.float32(bound)
        return float(square if float(square) <= bound else np.nextafter(square, np.float32(0)))


class Cosine(Distance):
    """1 - cos(a, b), between 0 and 2; codes need not be of unit length.

    Rounding would go below 0: it is cut off there.

    Lengths are sqrt(|a|^2 + 1e-8), so that a code of zeros is at distance 1 from all others and
    the gradient is finite there.
    """

    label = "cosine"
    by_direction = True

    def pairwise(self, F: Any, a: Any, b: Any) -> Any:
        """Return 1 - cos(a_i, b_j), (N, M)."""
        units_a = _units(F, a)
        return F.relu(1.0 - _products(F, units_a, units_a if b is a else _units(F, b)))

    def paired(self, F: Any, a: Any, b: Any) -> Any:
        """Return 1 - cos(a_i, b_i), (N,)."""
        return F.relu(1.0 - (_units(F, a) * _units(F, b)).sum(axis=1))

    def from_squared(self, squared: Number) -> Number:
        """Return half of it: |a - b|^2 = 2 - 2 cos(a, b) for codes of unit length."""
        return squared / 2

    def to_squared(self, distance: float) -> float:
        """Return twice of it."""
        return 2 * distance


def squared_euclidean(a: Any, b: Any) -> Any:
    """Return |a - b|^2 of the rows of `a` and `b`, (N, D) each, as (N,).

    For codes of unit length this is 2 - 2 cos(a, b), between 0 and 4.
    """
    return SquaredEuclidean().paired(None, a, b)


def _squares(codes: Any) -> Any:
    return (codes * codes).sum(axis=1)


def _units(F: Any, codes: Any) -> Any:
    return F.L2Normalization(codes, mode="instance", eps=_TINY)


def _products(F: Any, a: Any, b: Any) -> Any:
    """Return a_i.b_j, (N, M)."""
    from tripletnet.backend import mx

    if F is mx.sym:
        return F.dot(a, b, transpose_b=True)
    # oneDNN's product: dot's BLAS takes processors younger than itself for a Pentium 4
    return F.FullyConnected(a, b, no_bias=True, num_hidden=len(b))
