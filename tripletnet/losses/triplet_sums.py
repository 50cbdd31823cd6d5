"""The triplet loss summed over the triplets of a batch, with its gradient, on NumPy arrays."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np
from scipy.special import expit

from tripletnet.losses.mining.base import Mined, PairMasks, Triplets


class TripletSums(NamedTuple):
    """What the triplets of each anchor add up to.

    Attributes
    ----------
    sums : ndarray of float64, shape (N,)
        The sum of the losses of each anchor's triplets.
    active : ndarray of int64, shape (N,)
        How many of them have a loss above 0; with a soft margin, which is never 0, how many have a
        diff that is not farther away than the same.
    gradient : ndarray of float32, shape (N, N)
        Of the total of `sums` with respect to the distances.
    """

    sums: np.ndarray
    active: np.ndarray
    gradient: np.ndarray


def triplet_sums(distances: np.ndarray, mined: Mined, margin: Optional[float]) -> TripletSums:
    """Sum the triplet loss over the triplets that a miner gave.

    Parameters
    ----------
    distances : ndarray of float, shape (N, N)
        Distance of each pair of the batch.
    mined : Triplets or PairMasks
        The triplets (i, p, n).
    margin : float or None
        The hinge max(0, margin + d[i, p] - d[i, n]); None for the soft margin
        log(1 + exp(d[i, p] - d[i, n])).
    """
    if isinstance(mined, Triplets):
        return listed_triplets(distances, mined, margin)
    if margin is None:
        return masked_triplets_soft_margin(distances, mined)
    return masked_triplets_hinge(distances, mined, margin)


def listed_triplets(
    distances: np.ndarray, triplets: Triplets, margin: Optional[float]
) -> TripletSums:
    """Sum the triplet loss over a list of triplets; see :func:`triplet_sums`."""
    size = len(distances)
    anchor, same, diff = triplets
    slack = distances[anchor, same].astype(np.float64) - distances[anchor, diff]
    if margin is None:
        losses, slopes, active = np.logaddexp(0, slack), expit(slack), slack >= 0
    else:
        slack += margin
        active = slack > 0
        losses, slopes = slack * active, active.astype(np.float64)
    gradient = np.bincount(anchor * size + same, slopes, size * size)
    gradient -= np.bincount(anchor * size + diff, slopes, size * size)
    return TripletSums(
        np.bincount(anchor, losses, size),
        np.bincount(anchor[active], minlength=size),
        gradient.reshape(size, size).astype(np.float32),
    )


def masked_triplets_hinge(distances: np.ndarray, masks: PairMasks, margin: float) -> TripletSums:
    """Sum the triplet hinge over masks of triplets; see :func:`triplet_sums`.

    Notes
    -----
    Each anchor's row is sorted once, its same pairs at distance + margin. The active triplets of
    a same pair are then the diffs before it, those of a different pair the sames after it, and
    the sum of an anchor's losses is margin * active + sum over j of gradient_ij * distance_ij.
    Memory grows with N^2 and time with N^2 log N, not with N^3.
    """
    size = len(distances)
    distances = distances.astype(np.float64)
    # one rounding step farther: a diff at the very distance + margin of a same pair has loss 0
    # and comes after it
    beyond = distances * (1 + np.finfo(np.float64).eps)
    places = np.where(masks.same, distances + margin, beyond)
    places[~(masks.same | masks.diff)] = np.inf
    order = np.argsort(places, axis=1)
    order += np.arange(size)[:, None] * size

    same_sorted = masks.same.take(order)
    sames_before = np.cumsum(same_sorted, axis=1, dtype=np.int32)  # up to and including itself
    diffs_before = np.arange(1, size + 1, dtype=np.int32) - sames_before
    sames_after = sames_before[:, -1:] - sames_before
    gradient = np.empty((size, size), dtype=np.float32)
    gradient.put(order, np.where(same_sorted, diffs_before, -sames_after))
    active = np.maximum(gradient, 0).sum(axis=1, dtype=np.float64).astype(np.int64)
    sums = margin * active + np.einsum("ij,ij->i", gradient, distances)
    return TripletSums(sums, active, gradient)


def masked_triplets_soft_margin(distances: np.ndarray, masks: PairMasks) -> TripletSums:
    """Sum the soft margin over masks of triplets; see :func:`triplet_sums`.

    Every triplet counts, so that time grows with their number; memory with N^2, as it goes anchor
    by anchor.
    """
    size = len(distances)
    sums, active = np.zeros(size), np.zeros(size, dtype=np.int64)
    gradient = np.zeros((size, size), dtype=np.float32)
    for i, row in enumerate(distances.astype(np.float64)):
        same, diff = np.flatnonzero(masks.same[i]), np.flatnonzero(masks.diff[i])
        slack = row[same, None] - row[diff]
        slopes = expit(slack)
        sums[i] = np.logaddexp(0, slack).sum()
        active[i] = (slack >= 0).sum()
        gradient[i, same] = slopes.sum(axis=1)
        gradient[i, diff] = -slopes.sum(axis=0)
    return TripletSums(sums, active, gradient)
