"""Diffs at all distances alike, although most of a sphere is far away."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.codes.distances import Distance, Euclidean
from tripletnet.errors import InputError
from tripletnet.losses.mining.base import Miner, Triplets, pair_masks

# Keeps the logarithm finite for opposite codes.
_TINY = 1e-8


def diff_chances(
    distances: np.ndarray,
    labels: np.ndarray,
    code_size: int,
    cutoff: float = 0.5,
    no_loss_beyond: float = 1.4,
) -> np.ndarray:
    """Return with which chance each image is drawn as the diff of each anchor.

    Parameters
    ----------
    distances : ndarray of float, shape (N, N)
        Euclidean distances, not squared, of codes of unit length.
    labels : ndarray of int, shape (N,)
        The class of each image.
    code_size : int
        D, how many numbers a code has.
    cutoff : float
        Nearer diffs count as if they were so far away: very near ones give noisy gradients.
    no_loss_beyond : float
        Diffs this far away or farther are not drawn, as the margin loss would be 0; where an anchor
        has no others, all its diffs are drawn evenly.

    Returns
    -------
    ndarray of float64, shape (N, N)
        Rows sum to 1; an anchor without any diff has a row of zeros.

    Notes
    -----
    In proportion to 1 / q(d), with q the density of the distances of points spread evenly over the
    sphere: q(d) ~ d^(D-2) (1 - d^2/4)^((D-3)/2). In logarithms, as for D = 1024 it spans more than
    300 powers of ten.

    References
    ----------
    Wu, Manmatha, Smola, Krähenbühl (2017), "Sampling Matters in Deep Embedding Learning", ICCV,
    section 3.1, and the cutoffs of the authors' code.
    """
    diff = pair_masks(labels).diff
    near = diff & (distances < no_loss_beyond)
    allowed = np.where(near.any(axis=1, keepdims=True), near, diff)
    # what is no number counts as near here: the loss itself shows it
    d = np.clip(np.nan_to_num(distances.astype(np.float64)), cutoff, no_loss_beyond)
    logs = (2.0 - code_size) * np.log(d)
    logs -= (code_size - 3.0) / 2.0 * np.log(np.maximum(1.0 - d * d / 4.0, _TINY))
    logs = np.where(allowed, logs, -np.inf)
    highest = logs.max(axis=1, keepdims=True)
    chances = np.exp(logs - np.where(np.isfinite(highest), highest, 0.0))
    return chances / np.maximum(chances.sum(axis=1, keepdims=True), _TINY)


def distance_weighted(
    chances: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> Triplets:
    """Return each same pair with a diff that is drawn by `chances`.

    A class of one image gives no pairs, a batch of one class no triplets. Triplets are ordered by
    anchor, then by same.

    Parameters
    ----------
    chances : ndarray of float64, shape (N, N)
        Of :func:`diff_chances`.
    labels : ndarray of int, shape (N,)
        The class of each image.
    random : numpy.random.Generator
        One draw for each same pair.
    """
    masks = pair_masks(labels)
    anchor, same = np.nonzero(masks.same & masks.diff.any(axis=1)[:, None])
    sums = np.cumsum(chances, axis=1)
    sums /= np.maximum(sums[:, -1:], _TINY)  # exactly 1 from the last possible diff on
    # row after row, each one higher than the one before: one search for all
    ladder = (sums + np.arange(len(labels))[:, None]).ravel()
    draws = anchor + random.random(len(anchor)) * (1 - 1e-9)
    place = np.searchsorted(ladder, draws, side="right")
    return Triplets(anchor, same, place - anchor * len(labels))


class DistanceWeighted(Miner):
    """Each same pair, and a diff drawn so that all distances come up alike.

    Parameters
    ----------
    cutoff : float
        0.5, as in the paper; see :func:`diff_chances`.
    no_loss_beyond : float
        1.4, as in the authors' code.

    Notes
    -----
    It goes by the Euclidean distance, which its formula is about, whatever that of the loss is.
    The paper has codes of 128 numbers. The more there are, the steeper 1 / q(d) falls: of 1024 it
    is nearly always the nearest diff that is drawn, or any of those nearer than the cutoff.
    """

    def __init__(self, cutoff: float = 0.5, no_loss_beyond: float = 1.4) -> None:
        if not 0 < cutoff < no_loss_beyond < 2:
            raise InputError(
                f"cutoff is {cutoff} and no_loss_beyond {no_loss_beyond}: give distances of unit "
                "codes, between 0 and 2, the first one smaller"
            )
        self.cutoff = cutoff
        self.no_loss_beyond = no_loss_beyond

    def mine(
        self, codes: Any, labels: np.ndarray, distance: Distance, random: np.random.Generator
    ) -> Triplets:
        """Return one triplet for each same pair."""
        distances = Euclidean().matrix(codes)
        chances = diff_chances(distances, labels, codes.shape[1], self.cutoff, self.no_loss_beyond)
        return distance_weighted(chances, labels, random)
