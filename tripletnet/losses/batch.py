"""Losses over a whole batch of codes and labels: what the training loop minimises."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.codes.distances import Distance, SquaredEuclidean
from tripletnet.losses.mining.base import pair_masks


class BatchLoss(mx.gluon.Block):
    """A loss over a batch; the base of all that training can minimise.

    Called with the network's outputs, (N, D), and the labels as an integer ndarray, (N,), it
    returns a loss for each row whose mean is minimised.

    A subclass that takes `mining`, `distance`, `margin`, `temperature`, `smoothing`, `soft_margin`
    or `average` as an argument is given the choice of the command line; the other arguments are its
    own.
    """

    #: How batches are drawn: ``balanced`` (some images of each of some classes), ``triplets``
    #: (anchors, then as many sames, then as many diffs), ``pairs`` (firsts, then as many seconds;
    #: the labels are one a pair, 1 if it is similar) or ``uniform`` (every image once an epoch).
    sampling = "balanced"

    #: Whether the loss asks for the class of an image; if not, rows of a file are enough.
    needs_classes = True

    #: Whether the rows are codes of unit length.
    on_codes = True

    #: The learning rate of SGD with momentum 0.9 that is taken by default.
    learning_rate = 0.1

    #: By which its pairs are measured, also for the history.
    distance: Distance = SquaredEuclidean()

    #: By how much a diff is to be farther away than a same before the loss lets the triplet be; 0
    #: where the loss knows no such margin.
    triplet_margin = 0.0

    #: What else to try, beside a lower learning rate, when all codes have become one point.
    collapse_advice = ""

    def __init__(self) -> None:
        super().__init__()
        #: What the last batch told, for the history: floats, or NDArrays of one number that are
        #: read later so that the network need not wait.
        self.statistics: dict[str, Any] = {}
        #: The only source of chance; training makes it anew from the seed and each step.
        self.random = np.random.default_rng(0)

    def bind(self, classes: int) -> None:
        """Hear how many classes there are, before the parameters are initialised."""

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each row, (N,)."""
        raise NotImplementedError


def as_masks(labels: np.ndarray, like: Any) -> tuple[Any, Any]:
    """Return which different rows share a label and which do not, (N, N) float32 beside `like`."""
    same, diff = pair_masks(labels)
    return mx.nd.array(same, ctx=like.context), mx.nd.array(diff, ctx=like.context)
