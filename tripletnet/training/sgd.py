"""SGD with momentum, by the faster of MXNet's two kernels."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx


class MomentumSGD(mx.optimizer.SGD):
    """MXNet's SGD with momentum 0.9, one weight at a time.

    MXNet's own packs several weights into one kernel, which takes a CPU twice as long; the results
    are the same.

    Parameters
    ----------
    **options
        Of :class:`mxnet.optimizer.Optimizer`: `learning_rate`, `wd`, `begin_num_update`, ...

    Notes
    -----
    momentum <- 0.9 momentum - rate (gradient + decay weight); weight <- weight + momentum.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(momentum=0.9, **options)
        self.aggregate_num = 0  # hand over single weights

    def update_multi_precision(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        """Update one weight and its momentum in place."""
        self._update_count(index)
        mx.nd.sgd_mom_update(
            weight,
            grad,
            state,
            out=weight,
            lr=self._get_lr(index),
            wd=self._get_wd(index),
            momentum=self.momentum,
            rescale_grad=self.rescale_grad,
            lazy_update=False,
        )
