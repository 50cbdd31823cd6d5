"""Contrastive losses: every other image of the batch competes at once."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx


def supervised_contrastive(distances: Any, positives: Any, temperature: float = 0.1) -> Any:
    """Return the supervised contrastive loss of each anchor.

    Parameters
    ----------
    distances : NDArray of float32, shape (N, N)
        Squared Euclidean distances of unit codes: d = 2 - 2 cos.
    positives : NDArray of float32, shape (N, N)
        1 where two different images are of one class, else 0; the diagonal is 0.
    temperature : float
        Divides the cosine.

    Returns
    -------
    NDArray of float32, shape (N,)
        0 for an anchor with no positive.

    Notes
    -----
    With s_ij = cos_ij / temperature, P(i) the positives of i and A(i) all images but i:
    loss_i = -1/|P(i)| * sum over p in P(i) of [s_ip - log(sum over a in A(i) of exp(s_ia))].

    References
    ----------
    Khosla et al. (2020), "Supervised Contrastive Learning", NeurIPS, equation 2 (L_out).
    """
    # cos = 1 - d/2, where the constant 1/temperature cancels between the two terms; the diagonal
    # is put out of the running for the sum
    itself = mx.nd.eye(distances.shape[0], ctx=distances.context)
    scores = distances * (-0.5 / temperature) - 1e9 * itself
    log_share = mx.nd.log_softmax(scores, axis=1)
    number = positives.sum(axis=1)
    return -(positives * log_share).sum(axis=1) / mx.nd.maximum(number, 1.0)
