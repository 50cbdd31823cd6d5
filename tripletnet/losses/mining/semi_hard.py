"""For each same pair the nearest diff that is still farther away."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.losses.mining.base import Miner, Triplets, pair_masks


def semi_hard(distances: np.ndarray, labels: np.ndarray) -> Triplets:
    """Return each same pair with the nearest diff that is farther away than the same.

    A diff at the very distance of the same is not farther. Where none is, the farthest diff is
    taken. Of several diffs at one distance it is the first in the batch. A class of one image gives
    no pairs, a batch of one class no triplets. Triplets are ordered by anchor, then by same.

    Parameters
    ----------
    distances : ndarray of float, shape (N, N)
        Distance of each pair of the batch.
    labels : ndarray of int, shape (N,)
        The class of each image.

    Notes
    -----
    The paper asks for diffs that are farther than the same and lie within the margin, and leaves
    open which. The nearest one lies within it if any does; if it lies beyond it, the triplet is
    right already and its loss is 0. Each anchor's row is sorted once: memory grows with N^2.

    References
    ----------
    Schroff, Kalenichenko, Philbin (2015), "FaceNet: A Unified Embedding for Face Recognition and
    Clustering", CVPR, section 3.2.
    """
    size = len(labels)
    masks = pair_masks(labels)
    # at one distance diffs come before sames, so that what comes after a same is farther
    order = np.lexsort((masks.same, distances), axis=1)
    is_diff = np.take_along_axis(masks.diff, order, axis=1)
    places = np.where(is_diff, np.arange(size), size)
    next_place = np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]
    farthest = np.where(masks.diff, distances, -np.inf).argmax(axis=1)
    beyond = np.take_along_axis(order, np.minimum(next_place, size - 1), axis=1)
    chosen_in_order = np.where(next_place < size, beyond, farthest[:, None])
    chosen = np.empty_like(order)
    np.put_along_axis(chosen, order, chosen_in_order, axis=1)
    anchor, same = np.nonzero(masks.same & masks.diff.any(axis=1)[:, None])
    return Triplets(anchor, same, chosen[anchor, same])


class SemiHard(Miner):
    """Each same pair and the nearest diff beyond it: see :func:`semi_hard`."""

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Triplets:
        """Return one triplet for each same pair."""
        return semi_hard(distance.matrix(codes), labels)
