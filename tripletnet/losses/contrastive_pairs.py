"""The siamese network's loss on pairs."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.losses.batch import BatchLoss, as_masks
from tripletnet.losses.checks import positive
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
    """:func:`contrastive` over all pairs of different images of a batch, or over given ones.

    Parameters
    ----------
    margin : float
        The paper leaves it open; 1 is half the way to the farthest code.
    distance : str or Distance
        Euclidean, as in the paper.
    given_pairs : bool
        A batch is pairs as a file gave them; nothing is known of any others.

    Notes
    -----
    Shapes: codes (N, D); output (N,), the mean over the N - 1 pairs of each image. For given
    pairs, codes are (2P, D), the firsts, then the seconds, the labels (P,) 1 or 0 for each pair
    that is similar or is not, and the output is (P,).
    """

    def __init__(
        self,
        margin: float = 1.0,
        distance: Union[str, Distance] = "euclidean",
        given_pairs: bool = False,
    ) -> None:
        super().__init__()
        self.margin = positive(margin, "margin")
        self.distance: Distance = DISTANCES.choose(distance)
        if given_pairs:
            self.sampling = "pairs"
            self.needs_classes = False

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the mean loss of each image's pairs, or the loss of each given pair."""
        if self.sampling == "pairs":
            first, second = mx.nd.split(codes, num_outputs=2, axis=0)
            similar = mx.nd.array(labels, ctx=codes.context)
            distances = self.distance.paired(mx.nd, first, second)
            self._tell_active(distances, 1 - similar)
            return contrastive(distances, similar, self.margin)
        same, diff = as_masks(labels, codes)
        distances = self.distance.pairwise(mx.nd, codes, codes)
        self._tell_active(distances, diff)
        losses = contrastive(distances, same, self.margin) * (same + diff)  # not with itself
        return losses.sum(axis=1) / max(1, len(labels) - 1)

    def _tell_active(self, distances: Any, diff: Any) -> None:
        """Note which share of the different pairs is within the margin."""
        with mx.autograd.pause():
            within = (distances < self.margin) * diff
            self.statistics = {"active": within.sum() / mx.nd.maximum(diff.sum(), 1.0)}
