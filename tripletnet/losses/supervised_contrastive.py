"""The supervised contrastive loss: every other image of the batch competes at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses.batch import as_masks
from tripletnet.losses.smoothed_softmax import SmoothedSoftmax


def supervised_contrastive(
    distances: Any,
    positives: Any,
    temperature: float = 0.1,
    largest: float = 4.0,
    smoothing: float = 0.0,
) -> Any:
    """Return the supervised contrastive loss of each anchor.

    Parameters
    ----------
    distances : NDArray of float32, shape (N, N)
        Squared Euclidean distances of unit codes: d = 2 - 2 cos.
    positives : NDArray of float32, shape (N, N)
        1 where two different images are of one class, else 0; the diagonal is 0.
    temperature : float
        Divides the cosine.
    largest : float
        The distance of opposite codes, if the distances are others than squared Euclidean: the
        cosine's place is then taken by 1 - 2 d / largest.
    smoothing : float
        The share, from 0 to below 1, of an anchor's target that all other images have alike.

    Returns
    -------
    NDArray of float32, shape (N,)
        0 for an anchor with no positive.

    Notes
    -----
    With s_ij = cos_ij / temperature, P(i) the positives of i and A(i) all images but i:
    loss_i = -1/|P(i)| * sum over p in P(i) of [s_ip - log(sum over a in A(i) of exp(s_ia))].
    Smoothing e takes 1 - e of that, and e of the same with A(i) in the place of P(i): what label
    smoothing does for a softmax over classes.

    References
    ----------
    Khosla et al. (2020), "Supervised Contrastive Learning", NeurIPS, equation 2 (L_out);
    Szegedy et al. (2016), "Rethinking the Inception Architecture for Computer Vision", CVPR, for
    the smoothing.
    """
    # cos = 1 - 2 d / largest, where the constant 1/temperature cancels between the two terms; the
    # diagonal is put out of the running for the sum
    count = distances.shape[0]
    itself = mx.nd.eye(count, ctx=distances.context)
    scores = distances * (-2.0 / largest / temperature) - 1e9 * itself
    log_share = mx.nd.log_softmax(scores, axis=1)
    number = positives.sum(axis=1)
    losses = -(positives * log_share).sum(axis=1) / mx.nd.maximum(number, 1.0)
    if smoothing:
        alike = -((1.0 - itself) * log_share).sum(axis=1) / max(count - 1, 1)
        losses = (1.0 - smoothing) * losses + smoothing * alike * (number > 0)
    return losses


class SupervisedContrastive(SmoothedSoftmax):
    """The supervised contrastive loss: :func:`supervised_contrastive` over a batch.

    Parameters
    ----------
    temperature : float
        0.1, as in the paper.
    distance : str or Distance
        Squared Euclidean by default, which is the paper's cosine for unit codes.
    smoothing : float
        The share, from 0 to below 1, of an anchor's target that all other images have alike; 0
        is the paper's.

    Notes
    -----
    Shapes: codes (N, D); output (N,), the loss of each anchor.
    """

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each anchor."""
        positives, _ = as_masks(labels, codes)
        distances = self.distance.pairwise(mx.nd, codes, codes)
        return supervised_contrastive(
            distances, positives, self.temperature, self.distance.largest, self.smoothing
        )
