"""How the learning rate goes over a run."""

from __future__ import annotations

import math


def warmup_cosine(step: int, steps: int, peak: float, warmup: float = 0.05) -> float:
    """Return the learning rate of a step: up in a line, then down along half a cosine.

    Parameters
    ----------
    step : int
        From 0 to steps - 1.
    steps : int
        How many steps the run has.
    peak : float
        The highest learning rate.
    warmup : float
        The share of the steps, from 0 to 1, in which it rises.

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR.
    """
    rising = warmup * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / max(1.0, steps - rising)))
