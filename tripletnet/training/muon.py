"""Muon: steps that move a convolution's filters in all directions at once, by the same share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tripletnet.backend import mx
from tripletnet.training.optimizers import Nesterov

# From the paper: chosen to bring small singular values up fast, not to bring them to 1 exactly.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ITERATIONS = 3
_MOMENTUM = 0.6
_TINY = 1e-14


def orthogonalised(gradient: Any) -> Any:
    """Return `gradient` with its singular values brought near to 1, its directions as they are.

    Parameters
    ----------
    gradient : NDArray of float32, shape (N, M)

    Returns
    -------
    NDArray of float32, shape (N, M)
        Singular values of above a hundredth of the Frobenius norm come to between 0.3 and 1.3;
        smaller ones are multiplied by up to 41. A matrix of zeros stays one.

    Notes
    -----
    Newton-Schulz iteration X <- (a + b X X' + c (X X')^2) X, from X = gradient / |gradient|. What
    it comes to is a polynomial of X X' times X, so that it is taken on that smaller, square matrix.
    """
    wide = gradient if gradient.shape[0] <= gradient.shape[1] else gradient.T
    products = mx.nd.dot(wide, wide, transpose_b=True)
    itself = mx.nd.eye(products.shape[0], ctx=products.context)
    squared_norm = (products * itself).sum() + _TINY
    products = products / squared_norm
    factor = itself
    for _ in range(_ITERATIONS):
        polynomial = _A * itself + _B * products + _C * mx.nd.dot(products, products)
        factor = mx.nd.dot(polynomial, factor)
        products = mx.nd.dot(polynomial, mx.nd.dot(polynomial, products))
    result = mx.nd.dot(factor / mx.nd.sqrt(squared_norm), wide)
    return result if wide is gradient else result.T


class Muon(Nesterov):
    """Muon for convolutions, Nesterov's momentum of 0.9 for all else.

    The filters of a convolution, (filters, channels, height, width), are a matrix with a row for
    each filter. A step goes along the momentum, orthogonalised, by a share of the matrix's length,
    and the length stays what it was: what follows, batch normalisation or a code of unit length,
    does not feel it. So the share means the same whatever the loss, and there is no weight decay.
    A depthwise convolution, whose filters see one channel each, is no such matrix and counts as
    all else.

    Parameters
    ----------
    rate : float
        The share of its length by which a matrix moves in a step at the highest learning rate.
    learning_rate : float
        The highest, of all else. Where it is lowered or raised later, `rate` follows.
    **options
        Of :class:`mxnet.optimizer.Optimizer`: `wd`, `begin_num_update`, ...

    References
    ----------
    Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks",
    https://kellerjordan.github.io/posts/muon; its use for convolutions, with their length kept, is
    that of the 94 % record of https://github.com/KellerJordan/cifar10-airbench.
    """

    #: The choice of a run that each option is.
    own_options: ClassVar[Mapping[str, str]] = {"rate": "muon_rate"}

    def __init__(self, rate: float, learning_rate: float, **options: Any) -> None:
        super().__init__(learning_rate=learning_rate, **options)
        self._ratio = rate / learning_rate

    def update(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        """Update one weight and its momentum in place."""
        if weight.ndim != 4 or weight.shape[1] == 1:
            super().update(index, weight, grad, state)
            return
        self._update_count(index)
        grad = self.rescale_grad * grad
        state[:] = _MOMENTUM * state + grad
        ahead = grad + _MOMENTUM * state
        matrix = weight.reshape((weight.shape[0], -1))
        step = orthogonalised(ahead.reshape(matrix.shape))
        length = _length(matrix)
        # an orthogonal matrix of this shape has this length
        share = self._get_lr(index) * self._ratio / min(matrix.shape) ** 0.5
        moved = matrix - (share * length) * step
        weight[:] = (moved * (length / (_length(moved) + _TINY))).reshape(weight.shape)

    update_multi_precision = update


def _length(matrix: Any) -> Any:
    return mx.nd.sqrt((matrix * matrix).sum())
