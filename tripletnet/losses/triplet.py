"""The triplet hinge: over given triplets, and over all triplets of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses.distances import squared_euclidean


def triplet_hinge(d_same: Any, d_diff: Any, margin: float = 1.0) -> Any:
    """Return max(0, margin - (d_diff - d_same)) for each triplet.

    Parameters
    ----------
    d_same : array of any shape
        Distance of the anchor to the same image. NumPy arrays, NDArrays and Symbols are taken.
    d_diff : array of the same shape
        Distance of the anchor to the diff image.
    margin : float
        By how much the diff image is to be farther away, in the distances' unit.

    Returns
    -------
    array of the same shape
        0 where the triplet is already right by the margin.

    References
    ----------
    Lai, Pan, Liu, Yan (2015), "Simultaneous Feature Learning and Hash Coding with Deep Neural
    Networks", CVPR: the same hinge, margin 1, on squared distances.

    Examples
    --------
    >>> triplet_hinge(np.array([0.5, 0.5]), np.array([0.25, 2.0]))
    array([1.25, 0.  ])
    """
    slack = margin + d_same - d_diff
    return slack * (slack > 0)


class TripletHinge(mx.gluon.HybridBlock):
    """The triplet hinge on squared Euclidean distances of codes.

    Per triplet, before any averaging: max(0, margin - (|fa - fd|^2 - |fa - fs|^2)).

    Parameters
    ----------
    margin : float
        By how much the diff image is to be farther away, in squared distance.

    Notes
    -----
    Shapes: three inputs (N, D), the codes of anchors, sames and diffs; output (N,).
    """

    def __init__(self, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = positive_margin(margin)

    def hybrid_forward(self, F: Any, fa: Any, fs: Any, fd: Any) -> Any:
        """Return the loss of each triplet."""
        return triplet_hinge(squared_euclidean(fa, fs), squared_euclidean(fa, fd), self.margin)


def positive_margin(margin: float) -> float:
    """Return `margin` if it is a number above 0, else raise InputError."""
    if not margin > 0 or not np.isfinite(margin):
        raise InputError(f"margin is {margin}: give a number above 0")
    return float(margin)


def all_triplets_hinge(
    distances: np.ndarray, labels: np.ndarray, margin: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum the triplet hinge over every triplet of a batch without listing them.

    A triplet (i, p, n) has labels[p] == labels[i], p != i, and labels[n] != labels[i].

    Parameters
    ----------
    distances : ndarray of float, shape (N, N)
        Distance of each pair of the batch.
    labels : ndarray of int, shape (N,)
        The class of each image.
    margin : float
        As in :func:`triplet_hinge`.

    Returns
    -------
    sums : ndarray of float64, shape (N,)
        For each anchor the sum of max(0, margin + d[i, p] - d[i, n]) over its triplets.
    active : ndarray of int64, shape (N,)
        For each anchor how many of its triplets have a loss above 0.
    gradient : ndarray of float32, shape (N, N)
        Of the total of `sums` with respect to `distances`: at a same pair the number of active
        triplets with it, at a different pair minus that number.

    Notes
    -----
    Each anchor's row is sorted once, its same pairs at distance + margin. The active triplets of
    a same pair are then the diffs before it, those of a different pair the sames after it, and
    the sum of an anchor's losses is margin * active + sum over j of gradient_ij * distance_ij.
    Memory grows with N^2 and time with N^2 log N, not with N^3.
    """
    size = len(labels)
    same = labels[:, None] == labels[None, :]
    distances = distances.astype(np.float64)
    # one rounding step farther: a diff at the very distance + margin of a same pair has loss 0
    # and comes after it
    beyond = distances * (1 + np.finfo(np.float64).eps)
    places = np.where(same, distances + margin, beyond)
    np.fill_diagonal(same, False)
    np.fill_diagonal(places, np.inf)
    order = np.argsort(places, axis=1)
    order += np.arange(size)[:, None] * size

    same_sorted = same.take(order)
    sames_before = np.cumsum(same_sorted, axis=1, dtype=np.int32)  # up to and including itself
    diffs_before = np.arange(1, size + 1, dtype=np.int32) - sames_before
    sames_after = sames_before[:, -1:] - sames_before
    gradient = np.empty((size, size), dtype=np.float32)
    gradient.put(order, np.where(same_sorted, diffs_before, -sames_after))
    active = np.maximum(gradient, 0).sum(axis=1, dtype=np.float64).astype(np.int64)
    sums = margin * active + np.einsum("ij,ij->i", gradient, distances)
    return sums, active, gradient
