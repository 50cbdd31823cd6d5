"""Which range of a layer's results 8 bits are to stand for."""

from __future__ import annotations

import ctypes

import numpy as np

from tripletnet.backend import mx

_BINS = 4096
#: Of each layer and batch so many values are looked at.
_SAMPLE = 2**16
#: How much of the range seen may be given up at most, and in which steps that is tried.
_SHARES = np.linspace(0.2, 1.0, 81)


class Ranges:
    """What the layers of a network give, collected batch by batch.

    Parameters
    ----------
    layers : list of str
        The names of the results to look at.
    """

    def __init__(self, layers: list[str]) -> None:
        self._layers = set(layers)
        self._seen: dict[str, list[np.ndarray]] = {}
        self._limits: dict[str, tuple[float, float]] = {}

    def collect(self, name: bytes, array: int) -> None:
        """Look at the results of a layer: what MXNet's executor calls."""
        layer = mx.base.py_str(name)
        if layer not in self._layers:
            return
        handle = ctypes.cast(array, mx.base.NDArrayHandle)
        values = mx.nd.NDArray(handle, writable=False).asnumpy().ravel()
        low, high = self._limits.get(layer, (np.inf, -np.inf))
        self._limits[layer] = min(low, float(values.min())), max(high, float(values.max()))
        # an odd step, so that it does not meet the same columns again and again
        step = max(1, len(values) // _SAMPLE) | 1
        self._seen.setdefault(layer, []).append(values[::step].copy())

    def whole(self) -> dict[str, tuple[float, float]]:
        """Return the lowest and the highest value of each layer's results."""
        return dict(self._limits)

    def cut(self) -> dict[str, tuple[float, float]]:
        """Return ranges that may leave out the largest, for finer steps: :func:`cut_range`."""
        return {
            layer: cut_range(np.concatenate(seen), *self._limits[layer])
            for layer, seen in self._seen.items()
        }


def cut_range(values: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the range of least squared error for values that are rounded to 8 bits.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
        Some of the values.
    low, high : float
        The lowest and highest of all values. Where none is negative 255 steps reach from 0 to the
        highest, else 127 to the largest on either side.

    Returns
    -------
    (float, float)
        Within `low` and `high`.
    """
    largest = max(abs(low), abs(high))
    if largest == 0:
        return low, high
    steps = 255 if low >= 0 else 127
    counts, edges = np.histogram(np.abs(values), _BINS, (0, largest))
    middles = (edges[:-1] + edges[1:]) / 2
    errors = []
    for share in _SHARES:
        step = largest * share / steps
        rounded = np.minimum(np.rint(middles / step), steps) * step
        errors.append(float((counts * (rounded - middles) ** 2).sum()))
    limit = largest * float(_SHARES[int(np.argmin(errors))])
    return max(low, -limit), min(high, limit)
