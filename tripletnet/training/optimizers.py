"""The optimisers that can be chosen by name, beside those that have a file of their own."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx
from tripletnet.registry import OPTIMIZERS
from tripletnet.training.config import TrainingConfig


def nesterov(**options: Any) -> mx.optimizer.Optimizer:
    """Return SGD with Nesterov's momentum of 0.9."""
    return mx.optimizer.NAG(momentum=0.9, **options)


def adam(**options: Any) -> mx.optimizer.Optimizer:
    """Return Adam."""
    return mx.optimizer.Adam(**options)


def make_optimizer(config: TrainingConfig, step: int = 0) -> mx.optimizer.Optimizer:
    """Return the optimiser that `config` names, at its highest learning rate.

    Parameters
    ----------
    config : TrainingConfig
        The choices; its learning rate is given.
    step : int
        How many steps are done, by which Adam corrects its bias.
    """
    own = {"rate": config.muon_rate} if config.optimizer == "muon" else {}
    return OPTIMIZERS[config.optimizer](
        learning_rate=config.learning_rate, wd=config.weight_decay, begin_num_update=step, **own
    )
