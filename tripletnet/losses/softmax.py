"""The control's loss: no codes, but a score for each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.checks import smoothing_share


class SoftmaxCrossEntropy(BatchLoss):
    """The control's loss: cross-entropy of the class scores, (N, classes), per image.

    Parameters
    ----------
    smoothing : float
        The share, from 0 to below 1, of an image's target that all classes have alike (Szegedy et
        al. 2016).
    """

    sampling = "uniform"
    on_codes = False

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing_share(smoothing)
        self._loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()
        self._loss.hybridize()

    def forward(self, codes: Any, labels: np.ndarray) -> Any:
        """Return the loss of each image."""
        losses = self._loss(codes, mx.nd.array(labels, ctx=codes.context))
        if self.smoothing:
            alike = -mx.nd.log_softmax(codes, axis=1).mean(axis=1)
            losses = (1.0 - self.smoothing) * losses + self.smoothing * alike
        return losses
