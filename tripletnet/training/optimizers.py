"""The optimisers that can be chosen by name, beside those that have a file of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tripletnet.backend import mx
from tripletnet.registry import OPTIMIZERS
from tripletnet.training.config import TrainingConfig


class Nesterov(mx.optimizer.NAG):
    """SGD with Nesterov's momentum of 0.9."""

    def __init__(self, **options: Any) -> None:
        super().__init__(momentum=0.9, **options)

    def update(self, index: int, weight: Any, grad: Any, state: Any) -> None:
        """Update one weight and its momentum in place; the decay is added to the gradient."""
        self._update_count(index)
        # MXNet's kernel takes the decay from the weight before or after its update, as the weight's
        # place in memory happens to be: it is left nothing to take. This adds decay * weight to
        # grad in one pass.
        scale = self.rescale_grad
        decay = self._get_wd(index) / scale
        mx.nd.sgd_update(grad, weight, out=grad, lr=-decay, lazy_update=False)
        mx.nd.nag_mom_update(
            weight,
            grad,
            state,
            out=weight,
            lr=self._get_lr(index),
            momentum=self.momentum,
            rescale_grad=scale,
        )

    update_multi_precision = update  # float32 weights alone are trained here


class Adam(mx.optimizer.Adam):
    """MXNet's Adam."""

    #: The highest rate where the user names none; an optimiser without takes the loss's own.
    default_learning_rate = 0.001


def make_optimizer(config: TrainingConfig, step: int = 0) -> mx.optimizer.Optimizer:
    """Return the optimiser that `config` names, at its highest learning rate.

    Parameters
    ----------
    config : TrainingConfig
        The choices; its learning rate is given.
    step : int
        How many steps are done, by which Adam corrects its bias.
    """
    make = OPTIMIZERS[config.optimizer]
    own = {name: getattr(config, choice) for name, choice in own_options(make).items()}
    return make(
        learning_rate=config.learning_rate, wd=config.weight_decay, begin_num_update=step, **own
    )


def own_options(optimizer: Any) -> Mapping[str, str]:
    """Return the options that an optimiser alone has, each with the choice of a run it is."""
    return getattr(optimizer, "own_options", {})
