"""The speed of the machine's own product of two matrices of float32: what a CPU can do at best."""

from __future__ import annotations

import time
from functools import lru_cache

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.rivals import threads

SIZE = 4096  # rows and columns
PRODUCTS = 2


@lru_cache(maxsize=1)
def _matrix(size: int) -> np.ndarray:
    return np.ones((size, size), dtype=np.float32)


def sgemm_gflops(size: int = SIZE, products: int = PRODUCTS) -> float:
    """Return thousand million floating-point operations a second, on as many threads as MXNet."""
    matrix = _matrix(size)
    with threadpool_limits(threads()):
        matrix[:512] @ matrix  # wakes the threads
        start = time.perf_counter()
        for _ in range(products):
            matrix @ matrix
        return products * 2 * size**3 / 1e9 / (time.perf_counter() - start)
