"""Triplets that were drawn at random before the batch was made: nothing is mined."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.losses.mining.base import Miner, Triplets


class DrawnTriplets(Miner):
    """The triplets that the batch was drawn as: anchors, then as many sames, then as many diffs.

    They are drawn from the whole data set, each image for one triplet: the article's training.
    """

    sampling = "triplets"

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Triplets:
        """Return row t, row T + t and row 2 T + t for each of T triplets."""
        return Triplets(*np.split(np.arange(len(codes)), 3))
