"""How the learning rate goes over a run.

Each shape is a function of the share that is done, and has a line in
:data:`tripletnet.registry.SCHEDULES`.
"""

from __future__ import annotations

import math

from tripletnet.registry import SCHEDULES


def cosine(done: float) -> float:
    """Fall from 1 to 0 along half a cosine (Loshchilov, Hutter 2017, "SGDR", ICLR)."""
    return 0.5 * (1.0 + math.cos(math.pi * done))


def linear(done: float, last: float = 0.05) -> float:
    """Fall from 1 to a twentieth in a straight line."""
    return 1.0 - (1.0 - last) * done


def linear_to_zero(done: float) -> float:
    """Fall from 1 to 0 in a straight line."""
    return linear(done, 0.0)


def step(done: float) -> float:
    """Stay at 1, and fall to a tenth at one half and again at three quarters of the run."""
    return 1.0 if done < 0.5 else 0.1 if done < 0.75 else 0.01


def cyclic(done: float, cycles: int = 4) -> float:
    """Fall from 1 to 0 along half a cosine, four times over (Loshchilov, Hutter 2017)."""
    return cosine(done * cycles % 1.0)


def learning_rate(
    step: int, steps: int, peak: float, warmup: float = 0.05, schedule: str = "cosine"
) -> float:
    """Return the learning rate of a step: up in a line, then down as the schedule says.

    Parameters
    ----------
    step : int
        From 0 to steps - 1.
    steps : int
        How many steps the run has.
    peak : float
        The highest learning rate.
    warmup : float
        The share of the steps, from 0 to below 1, in which it rises.
    schedule : str
        The shape after that, a name of :data:`tripletnet.registry.SCHEDULES`.
    """
    rising = warmup * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    return peak * SCHEDULES[schedule]((step - rising) / max(1.0, steps - rising))
