"""What the codes should obey: one file a loss, one line here to make it known."""

from __future__ import annotations

from typing import Any

from tripletnet.errors import InputError
from tripletnet.losses.batch import (
    AllTriplets,
    BatchLoss,
    RandomTriplets,
    SoftmaxCrossEntropy,
    SupervisedContrastive,
)
from tripletnet.losses.contrastive import supervised_contrastive
from tripletnet.losses.distances import pairwise_squared_euclidean, squared_euclidean
from tripletnet.losses.triplet import TripletHinge, all_triplets_hinge, triplet_hinge

#: The losses that can be chosen by name, and for each the ways to pick its triplets.
LOSSES: dict[str, dict[str, type[BatchLoss]]] = {
    "triplet": {"all": AllTriplets, "random": RandomTriplets},
    "supcon": {"all": SupervisedContrastive},
}

__all__ = [
    "LOSSES",
    "AllTriplets",
    "BatchLoss",
    "RandomTriplets",
    "SoftmaxCrossEntropy",
    "SupervisedContrastive",
    "TripletHinge",
    "all_triplets_hinge",
    "get_loss",
    "pairwise_squared_euclidean",
    "squared_euclidean",
    "supervised_contrastive",
    "triplet_hinge",
]


def get_loss(name: str, mining: str = "all", **arguments: Any) -> BatchLoss:
    """Make the loss called `name` over the triplets that `mining` picks.

    Raises
    ------
    InputError
        If there is no such loss or it has no such mining; the message lists those that there are.
    """
    if name not in LOSSES:
        raise InputError(f"loss '{name}' is not known: use one of {', '.join(LOSSES)}")
    if mining not in LOSSES[name]:
        raise InputError(
            f"mining '{mining}' does not go with loss '{name}': use one of "
            f"{', '.join(LOSSES[name])}"
        )
    return LOSSES[name][mining](**arguments)
