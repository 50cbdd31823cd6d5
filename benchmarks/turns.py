"""Measure several things in turn, so that what else a machine does falls on all of them alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

import numpy as np


def alternate(slots: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, np.ndarray]:
    """Call the slots in turn, round after round; return what each of them measured, (rounds,)."""
    rows = [[slot() for slot in slots.values()] for _ in range(rounds)]
    return dict(zip(slots, np.transpose(rows)))


def spread(values: np.ndarray, digits: int = 0) -> str:
    """Return the median and the range of `values`."""
    middle, low, high = (f"{f(values):,.{digits}f}" for f in (np.median, np.min, np.max))
    return f"{middle} ({low} to {high})"
