"""What losses share that are a softmax over a batch, of distances over a temperature."""

from __future__ import annotations

from typing import Union

from tripletnet.codes.distances import Distance
from tripletnet.losses.batch import BatchLoss
from tripletnet.losses.checks import positive, smoothing_share
from tripletnet.registry import DISTANCES


class SmoothedSoftmax(BatchLoss):
    """A softmax over a batch whose target is smoothed: the base of such losses.

    Parameters
    ----------
    temperature : float
        Divides the cosine, or what takes its place for other distances.
    distance : str or Distance
        Between two codes.
    smoothing : float
        The share, from 0 to below 1, of an anchor's target that all have alike.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        distance: Union[str, Distance] = "squared",
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")
        self.smoothing = smoothing_share(smoothing)
        self.distance: Distance = DISTANCES.choose(distance)
