"""The control's loss: no codes, but a score for each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from tripletnet.backend import mx
from tripletnet.losses.batch import BatchLoss


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
