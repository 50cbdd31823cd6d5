"""log(1 + sum of exp) without overflow, on arrays of MXNet."""

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
