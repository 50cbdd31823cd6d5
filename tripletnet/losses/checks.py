"""What the parameters of losses may be."""

from __future__ import annotations

import math

from tripletnet.errors import InputError


def positive(value: float, name: str) -> float:
    """Return `value`, called `name`, if it is a number above 0, else raise InputError."""
    if not 0 < value < math.inf:
        raise InputError(f"{name} is {value}: give a number above 0")
    return float(value)


def smoothing_share(smoothing: float) -> float:
    """Return `smoothing` if it is a share from 0 to below 1, else raise InputError."""
    if not 0 <= smoothing < 1:
        raise InputError(f"smoothing is {smoothing}: give a share from 0 to below 1")
    return float(smoothing)
