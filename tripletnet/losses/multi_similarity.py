"""The multi-similarity loss: pairs weigh by how they compare with the others of their anchor."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.log_sum_exp import masked_softplus
from tripletnet.losses.mining import PairMasks, pair_masks
from tripletnet.registry import DISTANCES


def informative_pairs(
    similarities: np.ndarray, labels: np.ndarray, epsilon: float = 0.1
) -> PairMasks:
    """Return the pairs that are not easy for their anchor.

    A same pair is kept if its similarity is below that of the nearest diff + epsilon, a different
    one if it is above that of the farthest same - epsilon. An anchor that keeps none of either kind
    keeps nothing: one alone in its class, or in a batch of one class, among them.

    Parameters
    ----------
    similarities : ndarray of float, shape (N, N)
        Of each pair, from -1 to 1.
    labels : ndarray of int, shape (N,)
        The class of each image.
    epsilon : float
        How much harder than the hardest one a pair may seem.

    References
    ----------
    Wang et al. (2019), equations 11 and 12: see :func:`multi_similarity`.
    """
    masks = pair_masks(labels)
    nearest_diff = np.where(masks.diff, similarities, -np.inf).max(axis=1, keepdims=True)
    farthest_same = np.where(masks.same, similarities, np.inf).min(axis=1, keepdims=True)
    same = masks.same & (similarities < nearest_diff + epsilon)
    diff = masks.diff & (similarities > farthest_same - epsilon)
    both = same.any(axis=1, keepdims=True) & diff.any(axis=1, keepdims=True)
    return PairMasks(same & both, diff & both)


def multi_similarity(
    similarities: Any,
    same: Any,
    diff: Any,
    alpha: float = 2.0,
    beta: float = 50.0,
    threshold: float = 0.5,
) -> Any:
    """Return the multi-similarity loss of each anchor.

    Parameters
    ----------
    similarities : NDArray of float32, shape (N, N)
        Of each pair, from -1 to 1.
    same, diff : NDArray of float32, shape (N, N) each
        1 for the same and the different pairs that count, else 0; no image pairs with itself.
    alpha, beta : float
        How sharply the hardest same and the hardest different pairs stand out.
    threshold : float
        lambda: the similarity that same pairs are to be above, and different ones below.

    Returns
    -------
    NDArray of float32, shape (N,)
        log(1 + sum over same of exp(-alpha (s - lambda))) / alpha
        + log(1 + sum over diff of exp(beta (s - lambda))) / beta.

    References
    ----------
    Wang, Han, Huang, Dong, Scott (2019), "Multi-Similarity Loss with General Pair Weighting for
    Deep Metric Learning", CVPR, equation 15.
    """
    beyond = similarities - threshold
    of_same = masked_softplus(-alpha * beyond, same) / alpha
    of_diff = masked_softplus(beta * beyond, diff) / beta
    return of_same + of_diff


class MultiSimilarity(BatchLoss):
    """:func:`multi_similarity` over the :func:`informative_pairs` of a batch.

    Parameters
    ----------
    alpha, beta, epsilon : float
        2, 50 and 0.1, as in the paper; the authors' code has 40 for beta.
    threshold : float
        lambda: 0.5, as in the authors' code. With the paper's 1, the similarity of equal codes, the
        part of the different pairs would all but vanish for those that are not very near.
    distance : str or Distance
        The similarity is 1 - 2 d / (distance of opposite codes): the paper's cosine for ``cosine``,
        the default, and ``squared``.

    Notes
    -----
    Shapes: codes (N, D); output (N,), the loss of each anchor.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        threshold: float = 0.5,
        epsilon: float = 0.1,
        distance: Union[str, Distance] = "cosine",
    ) -> None:
        super().__init__()
        if not (alpha > 0 and beta > 0):
            raise InputError(f"alpha is {alpha} and beta {beta}: give numbers above 0")
        self.alpha, self.beta, self.threshold, self.epsilon = alpha, beta, threshold, epsilon
        self.distance: Distance = DISTANCES.choose(distance)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each anchor."""
        distances = self.distance.pairwise(mx.nd, codes, codes)
        similarities = 1.0 - distances * (2.0 / self.distance.largest)
        kept = informative_pairs(similarities.asnumpy(), labels, self.epsilon)
        pairs = max(1, len(labels) * (len(labels) - 1))
        self.statistics = {"active": float((kept.same.sum() + kept.diff.sum()) / pairs)}
        same, diff = (mx.nd.array(mask, ctx=codes.context) for mask in kept)
        return multi_similarity(similarities, same, diff, self.alpha, self.beta, self.threshold)
