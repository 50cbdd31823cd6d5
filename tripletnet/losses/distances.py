"""Distances between codes, on arrays of MXNet."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx


def squared_euclidean(a: Any, b: Any) -> Any:
    """Return |a - b|^2 of the rows of `a` and `b`, (N, D) each, as (N,).

    For codes of unit length this is 2 - 2 cos(a, b), between 0 and 4.
    """
    difference = a - b
    return (difference * difference).sum(axis=1)


def pairwise_squared_euclidean(codes: Any) -> Any:
    """Return |c_i - c_j|^2 for all rows of `codes`, (N, D), as (N, N).

    Formed as |c_i|^2 + |c_j|^2 - 2 c_i.c_j and cut off at 0, where rounding would go below.
    """
    if isinstance(codes, mx.sym.Symbol):
        F, products = mx.sym, mx.sym.dot(codes, codes, transpose_b=True)
    else:
        # oneDNN's product: dot's BLAS takes processors younger than itself for a Pentium 4
        F, products = mx.nd, mx.nd.FullyConnected(codes, codes, no_bias=True, num_hidden=len(codes))
    squares = (codes * codes).sum(axis=1, keepdims=True)
    sums = F.broadcast_add(squares, F.transpose(squares))
    return F.relu(F.broadcast_sub(sums, 2.0 * products))
