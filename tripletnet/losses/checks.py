"""What the parameters of losses may be."""

from __future__ import annotations

import math

from tripletnet.errors import InputError


def positive_temperature(temperature: float) -> float:
    """Return `temperature` if it is a number above 0, else raise InputError."""
    if not 0 < temperature < math.inf:
        raise InputError(f"temperature is {temperature}: give a number above 0")
    return float(temperature)


def smoothing_share(smoothing: float) -> float:
    """Return `smoothing` if it is a share from 0 to below 1, else raise InputError."""
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing is {smoothing}: give a share from 0 to below 1")
    return float(smoothing)
