"""Random triplets of a batch: what the others are to be compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.losses.mining.base import Miner, Triplets, pair_masks


def random_triplets(labels: np.ndarray, random: np.random.Generator) -> Triplets:
    """Draw one triplet for each anchor.

    Same is drawn evenly among the other images of the anchor's class, diff evenly among the images
    of all other classes; an anchor that lacks either is left out.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        The class of each image.
    random : numpy.random.Generator
        Two draws for each pair of images.
    """
    masks = pair_masks(labels)
    anchor = np.flatnonzero(masks.same.any(axis=1) & masks.diff.any(axis=1))
    # the highest of as many even numbers is each of them equally often
    same, diff = (
        np.where(mask, random.random(mask.shape), -1.0).argmax(axis=1)[anchor] for mask in masks
    )
    return Triplets(anchor, same, diff)


class RandomInBatch(Miner):
    """One random triplet for each anchor: see :func:`random_triplets`."""

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Triplets:
        """Return the triplets drawn."""
        return random_triplets(labels, random)
