"""The optimisers that can be chosen by name."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable

from tripletnet.backend import mx
from tripletnet.training.muon import Muon
from tripletnet.training.sgd import MomentumSGD

_MAKERS: dict[str, Callable[..., mx.optimizer.Optimizer]] = {
    "sgd": MomentumSGD,
    "nesterov": partial(mx.optimizer.NAG, momentum=0.9),
    "adam": mx.optimizer.Adam,
    "muon": Muon,
}


def make_optimizer(name: str, **options: Any) -> mx.optimizer.Optimizer:
    """Return an optimiser of MXNet.

    Parameters
    ----------
    name : {"sgd", "nesterov", "adam", "muon"}
        SGD with momentum 0.9, with Nesterov's momentum of 0.9, Adam, or
        :class:`tripletnet.training.muon.Muon`.
    **options
        Of :class:`mxnet.optimizer.Optimizer`: `learning_rate`, `wd`, `begin_num_update`, ...; and
        Muon's `rate`.
    """
    return _MAKERS[name](**options)
