"""The hardest triplet of each anchor."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.losses.mining.base import Miner, Triplets, pair_masks


def batch_hard(distances: np.ndarray, labels: np.ndarray) -> Triplets:
    """Return for each anchor its farthest same and its nearest diff.

    Of several at the same distance the first in the batch is taken. An anchor that is alone in its
    class, or has no other class beside it, is left out.

    Parameters
    ----------
    distances : ndarray of float, shape (N, N)
        Distance of each pair of the batch.
    labels : ndarray of int, shape (N,)
        The class of each image.

    References
    ----------
    Hermans, Beyer, Leibe (2017), "In Defense of the Triplet Loss for Person Re-Identification",
    arXiv:1703.07737, equation 5.
    """
    masks = pair_masks(labels)
    anchor = np.flatnonzero(masks.same.any(axis=1) & masks.diff.any(axis=1))
    same = np.where(masks.same, distances, -np.inf).argmax(axis=1)
    diff = np.where(masks.diff, distances, np.inf).argmin(axis=1)
    return Triplets(anchor, same[anchor], diff[anchor])


class BatchHard(Miner):
    """The farthest same and the nearest diff of each anchor: see :func:`batch_hard`."""

    collapse_advice = "mining semi-hard or all, as the hardest triplets lead a young network there"

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Triplets:
        """Return one triplet for each anchor."""
        return batch_hard(distance.matrix(codes), labels)
