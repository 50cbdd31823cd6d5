"""The prototypical loss: an image is to be nearer to its own class than to all others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses.smoothed_softmax import SmoothedSoftmax


def prototypical(
    distances: Any,
    members: Any,
    temperature: float = 0.1,
    largest: float = 4.0,
    smoothing: float = 0.0,
) -> Any:
    """Return the prototypical loss of each anchor, which is no part of its own class's mean.

    Parameters
    ----------
    distances : NDArray of float32, shape (N, N)
        Squared Euclidean distances of unit codes: d = 2 - 2 cos.
    members : NDArray of float32, shape (N, C)
        1 where an image is of a class, else 0; each image is of one, and no class is empty.
    temperature : float
        Divides the mean cosine.
    largest : float
        The distance of opposite codes, if the distances are others than squared Euclidean: the
        cosine's place is then taken by 1 - 2 d / largest.
    smoothing : float
        The share, from 0 to below 1, of an anchor's target that all classes have alike.

    Returns
    -------
    NDArray of float32, shape (N,)
        0 for an anchor that is alone in its class.

    Notes
    -----
    With s_ic the mean of cos_ij / temperature over the images j of class c that are not i, and y
    the class of i: loss_i = -sum over c of t_c * [s_ic - log(sum over classes b of exp(s_ib))],
    where t_c is smoothing / C, and 1 - smoothing more for y. The mean cosine is the product with
    the mean code, the class's prototype, which is the shorter the more the class is spread.

    References
    ----------
    Snell, Swersky, Zemel (2017), "Prototypical Networks for Few-shot Learning", NeurIPS; Wan, Wang,
    Papir, Moreno (2018), "Generalized End-to-End Loss for Speaker Verification", ICASSP, for means
    that leave the anchor out; Szegedy et al. (2016), "Rethinking the Inception Architecture for
    Computer Vision", CVPR, for the smoothing.
    """
    others = 1.0 - mx.nd.eye(distances.shape[0], ctx=distances.context)
    number = members.sum(axis=0, keepdims=True)
    means = mx.nd.dot(distances * others, members) / mx.nd.maximum(number - members, 1.0)
    log_share = mx.nd.log_softmax(means * (-2.0 / largest / temperature), axis=1)
    wanted = (1.0 - smoothing) * members + smoothing / members.shape[1]
    in_company = (members * (number > 1)).sum(axis=1)
    return -(wanted * log_share).sum(axis=1) * in_company


class Prototypical(SmoothedSoftmax):
    """The prototypical loss: :func:`prototypical` over a batch.

    Parameters
    ----------
    temperature : float
        0.1; Snell et al. have none, Wan et al. learn it.
    distance : str or Distance
        Squared Euclidean by default, which is the cosine for unit codes.
    smoothing : float
        The share, from 0 to below 1, of an anchor's target that all classes of the batch have
        alike.

    Notes
    -----
    Shapes: codes (N, D); output (N,), the loss of each anchor.
    """

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each anchor."""
        members = labels[:, None] == np.unique(labels)
        distances = self.distance.pairwise(mx.nd, codes, codes)
        return prototypical(
            distances,
            mx.nd.array(members, ctx=codes.context),
            self.temperature,
            self.distance.largest,
            self.smoothing,
        )
