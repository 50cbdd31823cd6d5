"""How a batch looks to its loss: distances of its pairs, and triplets that are not yet right."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses.batch import BatchLoss

#: The anchors that are looked at, at the most: bounds what a large batch costs.
ANCHORS = 256


class BatchStatistics:
    """What the pairs of a batch tell, whatever the loss; queued now, read later.

    Parameters
    ----------
    codes : NDArray of float32, shape (N, D)
        The network's outputs.
    labels : ndarray of int, shape (N,)
        The class of each. Where batches are drawn as triplets they do not count: the pairs are
        those of the triplets. Where they are drawn as pairs, 1 or 0 for each pair, (N / 2,): every
        similar pair then makes a triplet with every different one, as if of one anchor.
    loss : BatchLoss
        Gives the distance, the margin, and how batches are drawn.

    Notes
    -----
    Of a batch of more than `ANCHORS` images, as many evenly spaced ones are anchors; all images
    are sames and diffs.
    """

    def __init__(self, codes: Any, labels: np.ndarray, loss: BatchLoss) -> None:
        self._margin = loss.triplet_margin
        distance = loss.distance
        if loss.sampling == "triplets":
            anchor, same, diff = mx.nd.split(codes, num_outputs=3, axis=0)
            of_pairs = [distance.paired(mx.nd, anchor, other) for other in (same, diff)]
            self._distances = mx.nd.stack(*of_pairs, axis=1)
            self._same = np.tile([True, False], (len(anchor), 1))
            self._diff = ~self._same
            return
        if loss.sampling == "pairs":
            first, second = mx.nd.split(codes, num_outputs=2, axis=0)
            self._distances = distance.paired(mx.nd, first, second).reshape((1, -1))
            self._same = labels[None] == 1
            self._diff = ~self._same
            return
        size = len(labels)
        anchors = np.linspace(0, size - 1, min(size, ANCHORS)).astype(np.int64)
        chosen = codes if len(anchors) == size else codes.take(mx.nd.array(anchors, codes.context))
        self._distances = distance.pairwise(mx.nd, chosen, codes)
        self._diff = labels[anchors, None] != labels[None, :]
        self._same = ~self._diff
        self._same[np.arange(len(anchors)), anchors] = False

    def read(self) -> dict[str, float]:
        """Wait for the codes and return :func:`pair_statistics`."""
        return pair_statistics(self._distances.asnumpy(), self._same, self._diff, self._margin)


def pair_statistics(
    distances: np.ndarray, same: np.ndarray, diff: np.ndarray, margin: float = 0.0
) -> dict[str, float]:
    """Return the mean distances of same and of different pairs, and the share of active triplets.

    Parameters
    ----------
    distances : ndarray of float, shape (A, N)
        Distance of each anchor to each image, none below 0.
    same, diff : ndarray of bool, shape (A, N) each
        Which pairs are same and which different ones; none is both.
    margin : float
        By how much a diff is to be farther away than a same, in the distance's unit.

    Returns
    -------
    dict
        ``same_distance`` and ``diff_distance``: the mean over all such pairs. ``active_triplets``:
        of all triplets (i, p, n) with same[i, p] and diff[i, n], the share with
        d[i, n] <= d[i, p] + margin. NaN where there is no such pair or triplet.

    Examples
    --------
    One anchor with two sames, at 0.2 and 0.6, and two diffs, at 0.5 and 1.0: one triplet of four
    is in the wrong order, and one more is right by less than 0.5.

    >>> distances = np.array([[0.2, 0.6, 0.5, 1.0]])
    >>> same = np.array([[True, True, False, False]])
    >>> pair_statistics(distances, same, ~same)
    {'same_distance': 0.4, 'diff_distance': 0.75, 'active_triplets': 0.25}
    >>> pair_statistics(distances, same, ~same, margin=0.5)["active_triplets"]
    0.75
    """
    triplets = int((same.sum(axis=1) * diff.sum(axis=1)).sum())
    return {
        "same_distance": _mean(distances, same),
        "diff_distance": _mean(distances, diff),
        "active_triplets": (
            count_active(distances, same, diff, margin) / triplets if triplets else float("nan")
        ),
    }


def count_active(distances: np.ndarray, same: np.ndarray, diff: np.ndarray, margin: float) -> int:
    """Count the triplets (i, p, n) with d[i, n] <= d[i, p] + margin without listing them.

    Parameters are those of :func:`pair_statistics`. Each anchor's row is sorted once, its sames at
    distance + margin; the active triplets of a same are then the diffs before it.
    """
    places = distances.astype(np.float64)
    places[same] += margin
    # floats that are not negative are ordered like their bits, of which the last one can say what
    # a pair is: NumPy sorts numbers several times as fast as it finds the order that sorts them
    keys = places.view(np.int64)
    keys &= ~1
    keys |= same
    keys[~(same | diff)] = np.iinfo(np.int64).max - 1
    keys.sort(axis=1)
    is_same = (keys & 1).astype(bool)
    diffs_before = np.arange(1, keys.shape[1] + 1) - np.cumsum(is_same, axis=1)
    return int(diffs_before[is_same].sum())


def _mean(distances: np.ndarray, pairs: np.ndarray) -> float:
    number = np.count_nonzero(pairs)
    return float(np.sum(distances, where=pairs, dtype=np.float64) / number) if number else np.nan
