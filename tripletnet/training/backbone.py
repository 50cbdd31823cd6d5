"""The backbone of an encoder in training: its first weights, when it learns and how fast."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.networks.pretrained import check_stored, fetch_weights, load_backbone
from tripletnet.registry import NETWORKS
from tripletnet.training.config import TrainingConfig


def check_backbone(config: TrainingConfig, new: bool = True) -> None:
    """Raise InputError if what `config` asks for the backbone does not fit its network.

    A run that is not `new` has its weights in its checkpoint; the file that gave the first ones may
    be gone.
    """
    model = NETWORKS.named(config.network).backbone_model
    asked = {
        "pretrained": config.pretrained,
        "weights": config.weights,
        "freeze backbone": config.freeze_backbone,
        "backbone learning rate": config.backbone_learning_rate,
    }
    if model is None:
        for name, choice in asked.items():
            if choice:
                raise InputError(
                    f"{name}: the network {config.network} has no backbone: use deep-ranking or "
                    "gluoncv:NAME"
                )
    elif config.pretrained:
        check_stored(model)
    if new and config.weights is not None and not Path(config.weights).is_file():
        raise InputError(f"weights: {config.weights}: there is no such file: give another")


class Backbone:
    """What the trainer does with the backbone of its network.

    Parameters
    ----------
    network : HybridBlock
        An encoder, or a classifier on one.
    config : TrainingConfig
        `pretrained`, `weights`, `freeze_backbone`, `backbone_learning_rate` and `learning_rate`
        count here.
    steps_an_epoch : float
        How many steps pass over the training images once.
    """

    def __init__(
        self, network: mx.gluon.HybridBlock, config: TrainingConfig, steps_an_epoch: float
    ) -> None:
        self._network = network
        self._encoder: Any = getattr(network, "encoder", network)
        self._config = config
        self._frozen = False
        # how many steps pass before the backbone learns
        self._frozen_steps = math.inf
        if config.freeze_backbone != "always":
            self._frozen_steps = math.ceil(float(config.freeze_backbone or 0) * steps_an_epoch)
        asked = self._frozen_steps > 0 or config.backbone_learning_rate is not None
        self._parameters = list(self._encoder.backbone().values()) if asked else []
        self._learnt = [parameter for parameter in self._parameters if parameter.grad_req != "null"]
        if config.backbone_learning_rate is not None and config.learning_rate is not None:
            for parameter in self._learnt:
                parameter.lr_mult = config.backbone_learning_rate / config.learning_rate

    def take_first_weights(self) -> None:
        """Load the weights that the configuration names, if any, into the initialised network."""
        if self._config.pretrained:
            load_backbone(self._encoder, fetch_weights(self._encoder.backbone_model))
        elif self._config.weights is not None:
            load_backbone(self._encoder, self._config.weights)

    def prepare(self, step: int) -> bool:
        """Freeze the backbone or let it learn, as is due at `step`.

        Frozen, it has no gradients, and batch normalisation uses the statistics that it has and
        leaves them as they are.

        Returns
        -------
        bool
            Whether something has changed, so that a graph that was traced is no longer right.
        """
        frozen = step < self._frozen_steps
        if frozen == self._frozen:
            return False
        self._frozen = frozen
        for parameter in self._learnt:
            parameter.grad_req = "null" if frozen else "write"
        ours = {id(parameter) for parameter in self._parameters}

        def set_statistics(block: mx.gluon.Block) -> None:
            if isinstance(block, mx.gluon.nn.BatchNorm) and id(block.running_mean) in ours:
                block._kwargs["use_global_stats"] = frozen

        self._network.apply(set_statistics)
        return True

    def count_updates(self, optimizer: mx.optimizer.Optimizer, step: int) -> None:
        """Tell an optimiser that goes on at `step` how often it has updated what was frozen."""
        if self._frozen_steps:
            ours = {id(parameter) for parameter in self._learnt}
            for index, parameter in optimizer.param_dict.items():
                if id(parameter) in ours:
                    optimizer._index_update_count[index] = max(0, step - self._frozen_steps)
