"""What the codes should obey: one file a loss, one line in the registry."""

from __future__ import annotations

import inspect
from typing import Any, Union

from tripletnet.codes.distances import (
    Cosine,
    Distance,
    Euclidean,
    SquaredEuclidean,
    squared_euclidean,
)
from tripletnet.errors import InputError
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.contrastive_pairs import Contrastive, contrastive
from tripletnet.losses.margin import MarginLoss, margin_loss
from tripletnet.losses.mining import Miner
from tripletnet.losses.multi_similarity import MultiSimilarity, multi_similarity
from tripletnet.losses.nt_xent import NTXent, nt_xent
from tripletnet.losses.prototypical import Prototypical, prototypical
from tripletnet.losses.softmax import SoftmaxCrossEntropy
from tripletnet.losses.supervised_contrastive import SupervisedContrastive, supervised_contrastive
from tripletnet.losses.triplet import TripletHinge, triplet_hinge
from tripletnet.losses.triplet_loss import AllTriplets, RandomTriplets, TripletLoss
from tripletnet.registry import DISTANCES, LOSSES, MINERS

__all__ = [
    "DISTANCES",
    "LOSSES",
    "MINERS",
    "AllTriplets",
    "BatchLoss",
    "Contrastive",
    "Cosine",
    "Distance",
    "Euclidean",
    "MarginLoss",
    "Miner",
    "MultiSimilarity",
    "NTXent",
    "Prototypical",
    "RandomTriplets",
    "SoftmaxCrossEntropy",
    "SquaredEuclidean",
    "SupervisedContrastive",
    "TripletHinge",
    "TripletLoss",
    "contrastive",
    "get_loss",
    "margin_loss",
    "multi_similarity",
    "nt_xent",
    "options_of",
    "prototypical",
    "squared_euclidean",
    "supervised_contrastive",
    "triplet_hinge",
]


def options_of(name: str) -> list[str]:
    """Return the names of the arguments that the loss called `name` takes.

    Raises
    ------
    InputError
        If there is no such loss; the message lists those that there are.
    """
    return list(inspect.signature(LOSSES.named(name)).parameters)


def get_loss(name: str, mining: Union[str, Miner] = "all", **arguments: Any) -> BatchLoss:
    """Make the loss called `name` over the triplets that `mining` picks.

    Parameters
    ----------
    name : str
        One of `LOSSES`.
    mining : str or Miner
        One of `MINERS`, or a miner; losses that do not learn from triplets go with ``all`` alone,
        which is all pairs of a batch for them.
    **arguments
        The loss's own.

    Raises
    ------
    InputError
        If there is no such loss, or an argument does not go with it; the message lists what does.
    """
    options = options_of(name)
    if "mining" in options:
        arguments["mining"] = mining
    elif mining != "all":
        raise InputError(
            f"mining '{mining}' does not go with loss '{name}': use all, or one of the losses "
            f"{_losses_with('mining')}"
        )
    for option in arguments:
        if option not in options:
            raise InputError(
                f"{option.replace('_', ' ')} does not go with loss '{name}': leave it out, or use "
                f"one of the losses {_losses_with(option) or 'none'}"
            )
    return LOSSES[name](**arguments)


def _losses_with(option: str) -> str:
    return ", ".join(name for name in LOSSES if option in options_of(name))
