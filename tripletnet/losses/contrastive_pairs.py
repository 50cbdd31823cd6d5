"""The siamese network's loss on pairs."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.distances import Distance
from tripletnet.losses.batch import BatchLoss, as_masks
from tripletnet.losses.triplet import positive_margin
from tripletnet.registry import DISTANCES


def contrastive(distances: Any, same: Any, margin: float = 1.0) -> Any:
    """Return d^2 / 2 for same pairs and max(0, margin - d)^2 / 2 for different ones.

    Parameters
    ----------
    distances : array of any shape
        Distance of each pair. NumPy arrays and NDArrays are taken.
    same : array of the same shape
        1 where a pair is to be close, 0 where it is to be apart.
    margin : float
        How far apart is far enough, in the distances' unit.

    References
    ----------
    Hadsell, Chopra, LeCun (2006), "Dimensionality Reduction by Learning an Invariant Mapping",
    CVPR, equation 4; there Y is 1 for different pairs.

    Examples
    --------
    >>> contrastive(np.array([0.5, 0.5, 2.0]), np.array([1, 0, 0]))
    array([0.125, 0.125, 0.   ])
    """
    slack = margin - distances
    slack = slack * (slack > 0)
    return 0.5 * (same * distances * distances + (1 - same) * slack * slack)


class Contrastive(BatchLoss):
    """:func:`contrastive` over all pairs of different images of a batch.

    Parameters
    ----------
    margin : float
        The paper leaves it open; 1 is half the way to the farthest code.
    distance : str or Distance
        Euclidean, as in the paper.

    Notes
    -----
    Shapes: codes (N, D); output (N,), the mean over the N - 1 pairs of each image.
    """

    def __init__(self, margin: float = 1.0, distance: Union[str, Distance] = "euclidean") -> None:
        super().__init__()
        self.margin = positive_margin(margin)
        self.distance: Distance = DISTANCES.choose(distance)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the mean loss of each image's pairs."""
        same, diff = as_masks(labels, codes)
        distances = self.distance.pairwise(mx.nd, codes, codes)
        with mx.autograd.pause():
            within = (distances < self.margin) * diff
            self.statistics = {"active": within.sum() / mx.nd.maximum(diff.sum(), 1.0)}
        losses = contrastive(distances, same, self.margin) * (same + diff)  # not with itself
        return losses.sum(axis=1) / max(1, len(labels) - 1)
