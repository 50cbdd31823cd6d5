"""What turns images into codes: one file a network, one line in the registry."""

from __future__ import annotations

from typing import Any

from tripletnet.networks.base import EncoderBlock
from tripletnet.networks.classifier import Classifier
from tripletnet.networks.deep_ranking import DeepRanking
from tripletnet.networks.residual import ResidualNet
from tripletnet.networks.siamese import SiameseTriplet
from tripletnet.networks.triplet_cnn import TripletCNN
from tripletnet.networks.with_norms import WithNorms
from tripletnet.registry import NETWORKS

__all__ = [
    "NETWORKS",
    "Classifier",
    "DeepRanking",
    "EncoderBlock",
    "ResidualNet",
    "SiameseTriplet",
    "TripletCNN",
    "WithNorms",
    "get_network",
]


def get_network(name: str, **arguments: Any) -> EncoderBlock:
    """Make the encoder called `name`, with its weights not yet initialised.

    Parameters
    ----------
    name : str
        A name of the registry, or ``gluoncv:`` and the name of a classifier of GluonCV's zoo.
    **arguments
        `code_size`, `image_size`, `mirror` and `rectify`, see :class:`EncoderBlock`; default: the
        network's own.

    Raises
    ------
    InputError
        If there is no such network, with those that there are, or it does not take such sizes.
    """
    return NETWORKS.named(name)(**arguments)
