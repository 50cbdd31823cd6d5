"""The triplet loss over a batch, with any miner and any distance."""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.checks import positive
from tripletnet.losses.log_sum_exp import softplus
from tripletnet.losses.mining import DrawnTriplets, EveryTriplet, Mined, Miner
from tripletnet.losses.triplet import triplet_hinge
from tripletnet.losses.triplet_sums import triplet_sums
from tripletnet.registry import DISTANCES, MINERS

AVERAGES = ("all", "active")


class TripletLoss(BatchLoss):
    """The triplet loss over the triplets that a miner picks.

    Per triplet max(0, margin + d_same - d_diff), or log(1 + exp(d_same - d_diff)) with a soft
    margin.

    Parameters
    ----------
    margin : float
        By how much the diff image is to be farther away, in the distance's unit; 1 on squared
        distances, as in Lai et al. 2015.
    mining : str or Miner
        Which triplets of the batch count.
    distance : str or Distance
        Squared Euclidean by default.
    soft_margin : bool
        No margin: triplets that are right already still pull, ever more weakly.
    average : {"all", "active"}, optional
        Over all triplets picked, or over those with a loss above 0, which keeps the gradient from
        fading as training goes on. Default: ``active`` for every triplet of a batch with the
        hinge, else ``all``.

    Notes
    -----
    Shapes: codes (N, D); output (N,), each anchor's share, scaled so that its mean is the mean
    over the triplets. For triplets as they were drawn, codes are (3T, D), anchors first, then
    sames, then diffs, and the output is (T,).

    References
    ----------
    Lai, Pan, Liu, Yan (2015), "Simultaneous Feature Learning and Hash Coding with Deep Neural
    Networks", CVPR: the hinge. Hermans, Beyer, Leibe (2017), "In Defense of the Triplet Loss for
    Person Re-Identification", arXiv:1703.07737: the soft margin, the average over active triplets;
    there with Euclidean distances of codes of any length.
    """

    def __init__(
        self,
        margin: float = 1.0,
        mining: Union[str, Miner] = "all",
        distance: Union[str, Distance] = "squared",
        soft_margin: bool = False,
        average: Optional[str] = None,
    ) -> None:
        super().__init__()
        self.margin = positive(margin, "margin")
        self.miner: Miner = MINERS.choose(mining)
        self.distance: Distance = DISTANCES.choose(distance)
        self.soft_margin = soft_margin
        self.triplet_margin = 0.0 if soft_margin else self.margin
        self.average = average or self._default_average()
        self.sampling = self.miner.sampling
        self.collapse_advice = self.miner.collapse_advice
        self.needs_classes = self.sampling != "triplets"
        if self.average not in AVERAGES:
            raise InputError(f"average '{average}' is not known: use one of {', '.join(AVERAGES)}")
        if soft_margin and self.average == "active":
            raise InputError(
                "average 'active' does not go with a soft margin, whose triplets are all active: "
                "use all"
            )

    def _default_average(self) -> str:
        return "active" if isinstance(self.miner, EveryTriplet) and not self.soft_margin else "all"

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return each anchor's share of the loss."""
        if self.sampling == "triplets":
            return self._as_drawn(codes)
        with mx.autograd.pause():
            mined = self.miner.mine(codes, labels, self.distance, self.random)
        margin = None if self.soft_margin else self.margin
        function = _TripletFunction(mined, margin, self.average)
        losses = function(self.distance.pairwise(mx.nd, codes, codes))
        self.statistics = {"active": function.active}
        return losses

    def _as_drawn(self, codes: Any) -> Any:
        """Return the loss of each triplet; the network need not wait for a miner."""
        anchor, same, diff = mx.nd.split(codes, num_outputs=3, axis=0)
        d_same = self.distance.paired(mx.nd, anchor, same)
        d_diff = self.distance.paired(mx.nd, anchor, diff)
        if self.soft_margin:
            losses = softplus(d_same - d_diff)
        else:
            losses = triplet_hinge(d_same, d_diff, self.margin)
        with mx.autograd.pause():
            active = d_same >= d_diff if self.soft_margin else losses > 0
            share = active.mean()
            self.statistics = {"active": share}
        if self.average == "active":
            return mx.nd.broadcast_div(losses, mx.nd.maximum(share, 1.0 / len(losses)))
        return losses


class AllTriplets(TripletLoss):
    """The triplet hinge over every triplet of a batch, averaged over the active ones."""

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__(margin, EveryTriplet())


class RandomTriplets(TripletLoss):
    """The triplet hinge over triplets as they were drawn: the article's training."""

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__(margin, DrawnTriplets())


class _TripletFunction(mx.autograd.Function):
    """Carry :func:`triplet_sums` and its gradient onto MXNet's tape."""

    def __init__(self, mined: Mined, margin: Optional[float], average: str) -> None:
        super().__init__()
        self._mined = mined
        self._margin = margin
        self._average = average
        self.active = 0.0

    def forward(self, distances: Any) -> Any:
        """Return each anchor's share of the loss, (N,), from the distances, (N, N)."""
        sums, active, gradient = triplet_sums(distances.asnumpy(), self._mined, self._margin)
        number = max(1, self._mined.number())
        self.active = float(active.sum() / number)
        over = max(1, active.sum()) if self._average == "active" else number
        scale = np.float32(len(sums) / over)
        self._gradient = mx.nd.array(gradient * scale, ctx=distances.context)
        return mx.nd.array(sums * scale, ctx=distances.context)

    def backward(self, upstream: Any) -> Any:
        """Return the gradient with respect to the distances, (N, N)."""
        return mx.nd.broadcast_mul(self._gradient, upstream.reshape((-1, 1)))
