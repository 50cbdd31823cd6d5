"""The speed of the machine's own product of two matrices of float32: what a CPU can do at best."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.rivals import threads

SIZE = 3072  # rows and columns
PRODUCTS = 2


@lru_cache(maxsize=1)
def products(size: int) -> list[Callable[[], object]]:
    """Return what multiplies two matrices, by NumPy's library (OpenBLAS) and MXNet's (oneDNN).

    Neither is the faster one on all processors: on Zen 5, OpenBLAS reaches half of what it can do.
    """
    from tripletnet.backend import mx

    matrix = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
    array = mx.nd.array(matrix)
    layer = {"no_bias": True, "num_hidden": size}
    return [
        lambda: matrix @ matrix,
        lambda: mx.nd.FullyConnected(array, array, **layer).wait_to_read(),
    ]


def sgemm_gflops(size: int = SIZE, times: int = PRODUCTS) -> float:
    """Return thousand million floating-point operations a second, of the faster library.

    It has as many threads as MXNet.
    """
    taken = []
    with threadpool_limits(threads()):
        for multiply in products(size):
            multiply()  # wakes the threads
            start = time.perf_counter()
            for _ in range(times):
                multiply()
            taken.append(time.perf_counter() - start)
    return times * 2 * size**3 / 1e9 / min(taken)
