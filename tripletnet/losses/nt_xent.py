"""NT-Xent: each positive is to be told from all negatives."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.losses.batch import BatchLoss, as_masks
from tripletnet.losses.checks import positive
from tripletnet.losses.log_sum_exp import masked_log_sum_exp, softplus
from tripletnet.registry import DISTANCES


def nt_xent(similarities: Any, positives: Any, negatives: Any, temperature: float = 0.1) -> Any:
    """Return each anchor's share of the normalised, temperature-scaled cross-entropy.

    Parameters
    ----------
    similarities : NDArray of float32, shape (N, N)
        Of each pair, from -1 to 1.
    positives, negatives : NDArray of float32, shape (N, N) each
        1 where two different images share a label, and where they do not.
    temperature : float
        Divides the similarity.

    Returns
    -------
    NDArray of float32, shape (N,)
        Scaled so that the mean is the mean over all positive pairs (i, p) of
        -log(exp(s_ip / t) / (exp(s_ip / t) + sum over the negatives n of i of exp(s_in / t))).

    Notes
    -----
    In the paper each image has one positive, the other view of it. With more of them, each
    competes with the negatives alone; in the supervised contrastive loss, with the other positives
    as well. With one positive each, the two are the same.

    References
    ----------
    Chen, Kornblith, Norouzi, Hinton (2020), "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML, equation 1.
    """
    scores = similarities / temperature
    of_negatives = masked_log_sum_exp(scores, negatives)
    losses = positives * softplus(mx.nd.broadcast_sub(of_negatives, scores))
    number = mx.nd.maximum(positives.sum(), 1.0)
    return mx.nd.broadcast_div(losses.sum(axis=1) * len(losses), number)


class NTXent(BatchLoss):
    """:func:`nt_xent` over a batch: positives share a label.

    Parameters
    ----------
    temperature : float
        0.1, as in the paper on ImageNet; on CIFAR-10 the paper takes 0.5.
    distance : str or Distance
        The similarity is 1 - 2 d / (distance of opposite codes): the paper's cosine for ``cosine``,
        the default, and ``squared``.

    Notes
    -----
    Shapes: codes (N, D); output (N,), each anchor's share.
    """

    def __init__(self, temperature: float = 0.1, distance: Union[str, Distance] = "cosine") -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.distance: Distance = DISTANCES.choose(distance)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return each anchor's share of the loss."""
        positives, negatives = as_masks(labels, codes)
        distances = self.distance.pairwise(mx.nd, codes, codes)
        similarities = 1.0 - distances * (2.0 / self.distance.largest)
        return nt_xent(similarities, positives, negatives, self.temperature)
