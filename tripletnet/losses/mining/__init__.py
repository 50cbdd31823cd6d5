"""Which triplets of a batch to learn from: one file a miner, one line here to make it known."""

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

#: The miners that can be chosen by name.
MINERS: dict[str, type[Miner]] = {
    "all": EveryTriplet,
    "random": DrawnTriplets,
    "random-in-batch": RandomInBatch,
    "semi-hard": SemiHard,
    "batch-hard": BatchHard,
    "distance-weighted": DistanceWeighted,
}

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
