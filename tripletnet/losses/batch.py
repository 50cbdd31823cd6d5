"""Losses over a whole batch of codes and labels: what the training loop minimises."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.errors import InputError
from tripletnet.losses.contrastive import supervised_contrastive
from tripletnet.losses.distances import pairwise_squared_euclidean, squared_euclidean
from tripletnet.losses.triplet import all_triplets_hinge, positive_margin, triplet_hinge


class BatchLoss(mx.gluon.Block):
    """A loss over a batch; the base of all that training can minimise.

    Called with the network's outputs, (N, D), and the labels as an integer ndarray, (N,), it
    returns a loss for each row whose mean is minimised.
    """

    #: How batches are drawn: ``balanced`` (some images of each of some classes), ``triplets``
    #: (anchors, then as many sames, then as many diffs) or ``uniform`` (every image once an epoch).
    sampling = "balanced"

    #: Whether the rows are codes of unit length.
    on_codes = True

    #: The learning rate of SGD with momentum 0.9 that served best on CIFAR-10.
    learning_rate = 0.1

    def __init__(self) -> None:
        super().__init__()
        #: What the last batch told, for the history: floats, or NDArrays of one number that are
        #: read later so that the network need not wait.
        self.statistics: dict[str, Any] = {}

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each row, (N,)."""
        raise NotImplementedError


class RandomTriplets(BatchLoss):
    """The triplet hinge over triplets as they were drawn: the article's training.

    Parameters
    ----------
    margin : float
        On squared Euclidean distances of unit codes.

    Notes
    -----
    Shapes: codes (3N, D), anchors first, then sames, then diffs; output (N,).
    """

    sampling = "triplets"

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = positive_margin(margin)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each triplet."""
        anchor, same, diff = mx.nd.split(codes, num_outputs=3, axis=0)
        losses = triplet_hinge(
            squared_euclidean(anchor, same), squared_euclidean(anchor, diff), self.margin
        )
        with mx.autograd.pause():
            self.statistics = {"active": (losses > 0).mean()}
        return losses


class AllTriplets(BatchLoss):
    """The triplet hinge over every triplet of a batch, averaged over the active ones.

    Parameters
    ----------
    margin : float
        On squared Euclidean distances of unit codes.

    Notes
    -----
    Shapes: codes (N, D); output (N,), each anchor's share, scaled so that its mean is the mean
    over the active triplets of the batch. Leaving out triplets that are already right keeps the
    gradient from fading as training goes on ("batch all", Hermans, Beyer, Leibe 2017, "In Defense
    of the Triplet Loss for Person Re-Identification", arXiv:1703.07737).
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = positive_margin(margin)

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return each anchor's share of the loss."""
        function = _AllTripletsFunction(labels, self.margin)
        losses = function(pairwise_squared_euclidean(codes))
        self.statistics = {"active": function.active}
        return losses


class _AllTripletsFunction(mx.autograd.Function):
    """Carry :func:`all_triplets_hinge` and its gradient onto MXNet's tape."""

    def __init__(self, labels: np.ndarray, margin: float) -> None:
        super().__init__()
        self._labels = labels
        self._margin = margin
        self.active = 0.0

    def forward(self, distances: Any) -> Any:
        """Return the loss of each anchor, (N,), from the distances, (N, N)."""
        size = len(self._labels)
        sums, active, gradient = all_triplets_hinge(distances.asnumpy(), self._labels, self._margin)
        members = (self._labels[:, None] == self._labels[None, :]).sum(axis=1)
        self.active = float(active.sum() / max(1, ((members - 1) * (size - members)).sum()))
        scale = np.float32(size / max(1, active.sum()))
        self._gradient = mx.nd.array(gradient * scale, ctx=distances.context)
        return mx.nd.array(sums * scale, ctx=distances.context)

    def backward(self, upstream: Any) -> Any:
        """Return the gradient with respect to the distances, (N, N)."""
        return mx.nd.broadcast_mul(self._gradient, upstream.reshape((-1, 1)))


class SupervisedContrastive(BatchLoss):
    """The supervised contrastive loss: :func:`supervised_contrastive` over a batch.

    Parameters
    ----------
    temperature : float
        0.1, as in the paper.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"temperature is {temperature}: give a number above 0")
        self.temperature = temperature

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each anchor."""
        same = labels[:, None] == labels[None, :]
        np.fill_diagonal(same, False)
        positives = mx.nd.array(same, ctx=codes.context)
        return supervised_contrastive(
            pairwise_squared_euclidean(codes), positives, self.temperature
        )


class SoftmaxCrossEntropy(BatchLoss):
    """The control's loss: cross-entropy of the class scores, (N, classes), per image."""

    sampling = "uniform"
    on_codes = False

    def __init__(self) -> None:
        super().__init__()
        self._loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
        self._loss.hybridize()

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each image."""
        return self._loss(codes, mx.nd.array(labels, ctx=codes.context))
