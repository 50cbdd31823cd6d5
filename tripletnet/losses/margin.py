"""The margin loss: a boundary for each class, which is learnt."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.checks import positive
from tripletnet.losses.mining import Miner
from tripletnet.registry import DISTANCES, MINERS


def margin_loss(distances: Any, boundary: Any, alpha: float = 0.2) -> tuple[Any, Any]:
    """Return the loss of each pair if it is the same, and if it is different.

    Parameters
    ----------
    distances : NDArray of float32, shape (N, M)
        Distance of anchor i to image j.
    boundary : NDArray of float32, shape (N, 1)
        beta, of the class of each anchor.
    alpha : float
        How far from the boundary a pair is to be.

    Returns
    -------
    same, diff : NDArray of float32, shape (N, M) each
        max(0, alpha + d - beta) and max(0, alpha - d + beta).

    References
    ----------
    Wu, Manmatha, Smola, Krähenbühl (2017), "Sampling Matters in Deep Embedding Learning", ICCV,
    section 3.2.
    """
    beyond = mx.nd.broadcast_sub(distances, boundary)
    same, diff = alpha + beyond, alpha - beyond
    return same * (same > 0), diff * (diff > 0)


class MarginLoss(BatchLoss):
    """:func:`margin_loss` over the pairs of the triplets that a miner picks.

    Parameters
    ----------
    alpha : float
        0.2, as in the paper.
    beta : float
        Where each class's boundary starts: 1.2, as in the paper.
    boundary_rate : float
        The learning rate of the boundaries, times that of the network. They have no weight decay.
        The paper's boundaries of single images, and its penalty on boundaries, which is 0 by
        default in the authors' code, are left out.
    mining : str or Miner
        Which triplets of the batch count; the paper's is ``distance-weighted``.
    distance : str or Distance
        Euclidean, as in the paper.

    Notes
    -----
    Shapes: codes (N, D); output (N,), each anchor's share, scaled so that its mean is the sum of
    all pairs' losses over the number of those above 0. A pair counts once for each triplet that it
    is in. The boundaries need to know how many classes there are: :meth:`bind` comes before
    ``initialize``.
    """

    def __init__(
        self,
        alpha: float = 0.2,
        beta: float = 1.2,
        boundary_rate: float = 1.0,
        mining: Union[str, Miner] = "distance-weighted",
        distance: Union[str, Distance] = "euclidean",
    ) -> None:
        super().__init__()
        self.alpha = positive(alpha, "alpha")
        self.miner: Miner = MINERS.choose(mining)
        self.distance: Distance = DISTANCES.choose(distance)
        self.sampling = self.miner.sampling
        self.collapse_advice = self.miner.collapse_advice
        with self.name_scope():
            self.boundary = self.params.get(
                "boundary",
                shape=(0,),  # until bind
                init=mx.init.Constant(beta),
                lr_mult=boundary_rate,
                wd_mult=0,
                allow_deferred_init=True,
            )

    def bind(self, classes: int) -> None:
        """Make room for a boundary for each class."""
        (bound,) = self.boundary.shape
        if bound not in (0, classes):
            raise InputError(f"this loss has {bound} boundaries, not {classes}: make another one")
        self.boundary.shape = (classes,)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return each anchor's share of the loss."""
        with mx.autograd.pause():
            mined = self.miner.mine(codes, labels, self.distance, self.random)
            counts = mined.pair_counts(len(labels))
            same, diff = (mx.nd.array(c, ctx=codes.context) for c in counts)
        boundaries = self.boundary.data(codes.context)
        # a product, whose gradient adds up in one order, which that of a look-up need not
        own = mx.nd.one_hot(mx.nd.array(labels, ctx=codes.context), len(boundaries))
        boundary = mx.nd.dot(own, boundaries.reshape((-1, 1)))
        of_same, of_diff = margin_loss(
            self.distance.pairwise(mx.nd, codes, codes), boundary, self.alpha
        )
        with mx.autograd.pause():
            active = (same * (of_same > 0) + diff * (of_diff > 0)).sum()
            self.statistics = {
                "active": active / max(1, 2 * mined.number()),
                "boundary": boundaries.mean(),
            }
        sums = (same * of_same + diff * of_diff).sum(axis=1)
        return mx.nd.broadcast_div(sums * len(labels), mx.nd.maximum(active, 1.0))
