"""Which triplets of a batch to learn from: one file a miner, one line in the registry."""

from __future__ import annotations

from tripletnet.losses.mining.base import Mined, Miner, PairMasks, Triplets, pair_masks
from tripletnet.losses.mining.batch_hard import BatchHard, batch_hard
from tripletnet.losses.mining.distance_weighted import (
    DistanceWeighted,
    diff_chances,
    distance_weighted,
)
from tripletnet.losses.mining.drawn import DrawnTriplets
from tripletnet.losses.mining.every import EveryTriplet
from tripletnet.losses.mining.random_in_batch import RandomInBatch, random_triplets
from tripletnet.losses.mining.semi_hard import SemiHard, semi_hard
from tripletnet.registry import MINERS

__all__ = [
    "MINERS",
    "BatchHard",
    "DistanceWeighted",
    "DrawnTriplets",
    "EveryTriplet",
    "Mined",
    "Miner",
    "PairMasks",
    "RandomInBatch",
    "SemiHard",
    "Triplets",
    "batch_hard",
    "diff_chances",
    "distance_weighted",
    "pair_masks",
    "random_triplets",
    "semi_hard",
]
