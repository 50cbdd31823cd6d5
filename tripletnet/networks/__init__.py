"""What turns images into codes: one file a network, one line here to make it known."""

from __future__ import annotations

from typing import Any

from tripletnet.errors import InputError
from tripletnet.networks.base import EncoderBlock
from tripletnet.networks.classifier import Classifier
from tripletnet.networks.residual import ResidualNet
from tripletnet.networks.siamese import SiameseTriplet
from tripletnet.networks.triplet_cnn import TripletCNN

#: The encoders that can be chosen by name.
NETWORKS: dict[str, type[EncoderBlock]] = {
    "article": TripletCNN,
    "residual": ResidualNet,
}

__all__ = [
    "NETWORKS",
    "Classifier",
    "EncoderBlock",
    "ResidualNet",
    "SiameseTriplet",
    "TripletCNN",
    "get_network",
]


def get_network(name: str, **arguments: Any) -> EncoderBlock:
    """Make the encoder called `name`, with its weights not yet initialised.

    Raises
    ------
    InputError
        If there is no such network; the message lists those that there are.
    """
    if name not in NETWORKS:
        raise InputError(f"network '{name}' is not known: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name](**arguments)
