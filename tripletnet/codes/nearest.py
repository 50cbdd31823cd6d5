"""Exact nearest neighbours by brute force: products of blocks, in bounded memory, on all cores."""

from __future__ import annotations

import functools
import sys
import timeit
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Optional, Union

import numpy as np

from tripletnet.codes import check_codes, check_rows, check_widths, near_origin
from tripletnet.codes.distances import Distance
from tripletnet.errors import InputError
from tripletnet.processor import usable_cores
from tripletnet.registry import DISTANCES

BLOCK_BYTES = 2**27
# Where the rows do not fill BLAS's tiles, it rounds some products differently: the distances to
# two equal codes would then differ in the last bit.
BLAS_ROWS = 16
_CONVERTED = 2048  # codes that exist in double precision at one time
# Distances that are ranked together: each call of NumPy's waits for Python's lock, so that threads
# that make many short ones hinder each other.
_AT_ONCE = 2**17
_COARSE_FROM = 4096  # fewer keys are sorted faster at once
LAST = np.uint64(2**64 - 2)  # a ranking key behind all others


class RankingKeys:
    """Numbers whose order is the ranking of codes: by distance, ties by the lower index.

    The distance's bits are the upper half, twice the index is the lower half: NumPy sorts such
    numbers several times as fast as it finds the order that would sort the distances. Memory is
    taken once, as getting it anew for each query takes longer than filling it.

    Parameters
    ----------
    queries, count : int
        How many queries there are at the most, and how many codes.
    """

    def __init__(self, queries: int, count: int) -> None:
        self._keys, self._spare = np.empty((2, queries, count), np.uint64)
        self._indices = np.arange(0, 2 * count, 2, dtype=np.uint32)

    def of(self, distances: np.ndarray) -> np.ndarray:
        """Return the keys for distances, (n, N) float32, none below 0, as (n, N) uint64.

        They are valid until the next call.
        """
        keys = self._keys[: len(distances)]
        halves = keys.view(np.uint32).reshape(*keys.shape, 2)
        lower = int(sys.byteorder == "big")
        halves[..., lower] = self._indices
        # bits of floats that are not negative are ordered like the floats
        halves[..., 1 - lower] = distances.view(np.uint32)
        return keys

    def sort(self, keys: np.ndarray, distances: np.ndarray) -> None:
        """Sort keys in place, row by row.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n, N)
            What :meth:`of` gave; some may have been changed since.
        distances : ndarray of float32, shape (n, N)
            What they were made of: they make it fast, decide nothing, and are overwritten.
        """
        if keys.shape[1] < _COARSE_FROM or not _coarse_first_is_faster():
            keys.sort(axis=1)
        else:
            _sort_coarse_first(keys, distances, self._spare)


def scan(
    queries: np.ndarray,
    codes: np.ndarray,
    visit: Callable[[int, np.ndarray, RankingKeys], None],
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Show the queries' distances to all codes to `visit`, some queries at a time.

    Parameters
    ----------
    queries : ndarray of float32, shape (Q, D)
        Codes to measure from.
    codes : ndarray of float32, shape (N, D)
        Codes to measure to.
    visit : callable
        Called as ``visit(first, distances, ranking)`` with the squared Euclidean distances of the n
        queries from `first` on, (n, N) float32, none below 0, and with what ranks by them. Both may
        be overwritten and must not be kept. Calls come from several threads and in any order, and
        each query is in one of them.
    block_bytes : int
        Bytes for the distances that exist at one time.

    Notes
    -----
    The distances are |q|^2 + |c|^2 - 2 q.c in float32, which leaves them an absolute error of
    about 1e-7 (|q|^2 + |c|^2); codes far from the origin are moved there. They do not depend on
    the other queries or on the blocks, and equal codes are at equal distances.
    """
    codes, queries = near_origin(codes, queries)
    query_squares = np.einsum("ij,ij->i", queries, queries)
    code_squares = np.einsum("ij,ij->i", codes, codes)
    cores = usable_cores()
    rows = BLAS_ROWS * max(1, block_bytes // (4 * len(codes) * BLAS_ROWS))
    block = np.empty((min(rows, _padded(len(queries))), len(codes)), np.float32)
    together = max(1, _AT_ONCE // len(codes))

    def visit_rows(first: int, start: int, stop: int) -> None:
        ranking = RankingKeys(min(together, stop - start), len(codes))
        for row in range(start, stop, together):
            distances = block[row : min(row + together, stop)]
            distances *= -2
            distances += code_squares
            distances += query_squares[first + row : first + row + len(distances), None]
            np.maximum(distances, 0, out=distances)
            visit(first + row, distances, ranking)

    with ThreadPoolExecutor(cores) as pool:
        for first in range(0, len(queries), rows):
            part = queries[first : first + rows]
            count = len(part)
            if count % BLAS_ROWS:
                part = np.pad(part, ((0, _padded(count) - count), (0, 0)))
            _multiply(part, codes, block[: len(part)])
            edges = [count * share // cores for share in range(cores + 1)]
            tasks = [
                pool.submit(visit_rows, first, start, stop)
                for start, stop in zip(edges[:-1], edges[1:])
            ]
            for task in tasks:
                task.result()


@functools.cache
def _rounds_alike() -> bool:
    """Tell whether NumPy's BLAS rounds a product alike wherever in a matrix it stands."""
    random = np.random.default_rng(0)
    left, right = random.standard_normal((2, 48, 37)).astype(np.float32)
    rows = np.repeat(left[:1], 48, axis=0) @ right.T
    columns = left @ np.repeat(right[:1], 48, axis=0).T
    return bool((rows == rows[:1]).all() and (columns == columns[:, :1]).all())


def _multiply(queries: np.ndarray, codes: np.ndarray, out: np.ndarray) -> None:
    """Put the products of rows into `out`, equal ones for equal rows."""
    if _rounds_alike():
        np.matmul(queries, codes.T, out=out)
        return
    # kernels for AVX2 alone do not; rounded from double precision, products are alike
    double = queries.astype(np.float64)
    for start in range(0, len(codes), _CONVERTED):
        stop = start + _CONVERTED
        out[:, start:stop] = double @ codes[start:stop].astype(np.float64).T


def _padded(count: int) -> int:
    """Return `count` rounded up to whole tiles of rows."""
    return count + -count % BLAS_ROWS


def _sort_coarse_first(keys: np.ndarray, distances: np.ndarray, spare: np.ndarray) -> None:
    """Sort by distances of 16 bits, which NumPy does in two passes, then what is nearly sorted."""
    with np.errstate(all="ignore"):  # all alike, or infinite: any coarse order will do
        distances -= distances.min(axis=1, keepdims=True)
        distances *= np.float32(65535) / distances.max(axis=1, keepdims=True)
        coarse = distances.astype(np.uint16)
    order = coarse.argsort(axis=1, kind="stable")
    order += np.arange(0, keys.size, keys.shape[1])[:, None]
    spare = spare[: len(keys)]
    np.take(keys, order, out=spare, mode="clip")  # other modes copy it first
    spare.sort(axis=1, kind="stable")
    keys[:] = spare


@functools.cache
def _coarse_first_is_faster() -> bool:
    """Tell whether NumPy lacks a fast sort for this processor, by trying both ways."""
    distances = np.random.default_rng(0).random((1, _COARSE_FROM), dtype=np.float32)
    ranking = RankingKeys(1, _COARSE_FROM)

    def at_once() -> None:
        ranking.of(distances).sort(axis=1)

    def coarse_first() -> None:
        _sort_coarse_first(ranking.of(distances), distances.copy(), ranking._spare)

    def seconds(sort: Callable[[], object]) -> float:
        return min(timeit.repeat(sort, number=1, repeat=5))

    return seconds(coarse_first) < seconds(at_once)


def nearest(
    codes: np.ndarray,
    queries: np.ndarray,
    k: int = 10,
    *,
    exclude_self: Optional[np.ndarray] = None,
    distance: Union[str, Distance] = "squared",
) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` nearest codes of each query, exactly.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        What to search.
    queries : ndarray of float32, shape (Q, D)
        What to search for.
    k : int
        How many neighbours.
    exclude_self : ndarray of int, shape (Q,), optional
        For queries that are among the codes: the index of each in `codes`, which is then not
        its own neighbour. Other codes that equal it still are.
    distance : str or Distance
        One of ``squared``, ``euclidean`` and ``cosine``. For codes of unit length all of them find
        the same.

    Returns
    -------
    distances : ndarray of float32, shape (Q, k)
        Ascending; squared Euclidean is 2 - 2 cos for codes of unit length.
    indices : ndarray of int64, shape (Q, k)
        Where the neighbours lie in `codes`. Equal distances are ordered by the lower index.

    Raises
    ------
    InputError
        If codes and queries are not finite matrices of one width, there are not `k` others, or
        there is no such distance.

    Examples
    --------
    >>> codes = np.array([[0, 1], [1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)
    >>> distances, indices = nearest(codes, codes[:1], k=2, exclude_self=[0])
    >>> indices
    array([[3, 2]])
    >>> distances.round(3)
    array([[0. , 0.4]], dtype=float32)
    """
    measure = DISTANCES.choose(distance)
    codes = measure.prepared(check_codes(codes))
    queries = measure.prepared(check_codes(queries, "queries"), "queries")
    check_widths(codes, queries)
    own = None if exclude_self is None else check_rows(exclude_self, len(codes), "exclude_self")
    if own is not None and len(own) != len(queries):
        raise InputError(f"exclude_self: {len(own)} indices for {len(queries)} queries")
    others = len(codes) - (own is not None)
    if not 1 <= k <= others:
        raise InputError(f"k: {k} neighbours asked for, from {others} codes; use 1 to {others}")
    found = np.empty((len(queries), k), np.uint64)

    def visit(first: int, distances: np.ndarray, ranking: RankingKeys) -> None:
        keys = ranking.of(distances)
        asked = slice(first, first + len(keys))
        if own is not None:
            keys[np.arange(len(keys)), own[asked]] = LAST
        keys.partition(k - 1, axis=-1)
        found[asked] = np.sort(keys[:, :k], axis=-1)

    scan(queries, codes, visit)
    indices = (found & 0xFFFFFFFF) >> 1
    squared = (found >> 32).astype(np.uint32).view(np.float32)
    return measure.from_squared(squared), indices.astype(np.int64)
