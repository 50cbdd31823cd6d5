"""The optimisers that can be chosen by name."""

from __future__ import annotations

from functools import partial
from typing import Callable

from tripletnet.backend import mx
from tripletnet.training.config import TrainingConfig
from tripletnet.training.muon import Muon
from tripletnet.training.sgd import MomentumSGD

_MAKERS: dict[str, Callable[..., mx.optimizer.Optimizer]] = {
    "sgd": MomentumSGD,
    "nesterov": partial(mx.optimizer.NAG, momentum=0.9),
    "adam": mx.optimizer.Adam,
    "muon": Muon,
}


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
    return _MAKERS[config.optimizer](
        learning_rate=config.learning_rate, wd=config.weight_decay, begin_num_update=step, **own
    )
