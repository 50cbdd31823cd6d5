"""All triplets of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.losses.mining.base import Miner, PairMasks, pair_masks


class EveryTriplet(Miner):
    """Every triplet of the batch, as masks: about N^3 triplets in memory of N^2.

    References
    ----------
    "Batch all" of Hermans, Beyer, Leibe (2017), "In Defense of the Triplet Loss for Person
    Re-Identification", arXiv:1703.07737.
    """

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> PairMasks:
        """Return the masks of same and different pairs."""
        return pair_masks(labels)
