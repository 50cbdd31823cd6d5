"""Logarithms of sums of exponentials without overflow, on arrays of MXNet."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx

# So far below all scores that its exponential is 0.
_FAR_BELOW = -1e9


def softplus(x: Any) -> Any:
    """Return log(1 + exp(x)) of an NDArray of any shape."""
    return mx.nd.Activation(x, act_type="softrelu")


def masked_log_sum_exp(scores: Any, mask: Any) -> Any:
    """Return log(sum over the marked of exp(score)) for each row, (N, 1).

    Parameters
    ----------
    scores : NDArray of float32, shape (N, M)
        Between -1e8 and 1e8.
    mask : NDArray of float32, shape (N, M)
        1 where a score counts, else 0. A row without any gives about -1e9, so that
        :func:`softplus` of it is 0.
    """
    scores = scores * mask + _FAR_BELOW * (1.0 - mask)
    highest = mx.nd.BlockGrad(scores.max(axis=1, keepdims=True))
    sums = mx.nd.exp(mx.nd.broadcast_sub(scores, highest)).sum(axis=1, keepdims=True)
    return mx.nd.log(sums) + highest


def masked_softplus(scores: Any, mask: Any) -> Any:
    """Return log(1 + sum over the marked of exp(score)) for each row, (N,).

    That is :func:`softplus` of :func:`masked_log_sum_exp`, in a third of the time.

    Parameters
    ----------
    scores : NDArray of float32, shape (N, N)
        Between -1e8 and 1e8.
    mask : NDArray of float32, shape (N, N)
        1 where a score counts, else 0; the diagonal is 0.
    """
    # the 1 is the exponential of a score of 0 on the diagonal, whose share is 1 / (1 + sum)
    itself = mx.nd.eye(len(scores), ctx=scores.context)
    scores = scores * mask + _FAR_BELOW * (1.0 - mask - itself)
    return -mx.nd.diag(mx.nd.log_softmax(scores, axis=1))
