"""Exact nearest neighbours against brute force."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tripletnet.codes.nearest import LAST, RankingKeys, nearest, scan
from tripletnet.errors import InputError


def unit_codes(count: int, size: int, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


def brute_force(codes: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances in double precision, (Q, N)."""
    return ((queries[:, None].astype(float) - codes[None].astype(float)) ** 2).sum(axis=2)


def test_worked_example():
    codes = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    distances, indices = nearest(codes, np.array([[0.6, 0.8]], np.float32), k=3)
    assert indices.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(distances, [[0.4, 0.8, 3.2]], atol=1e-6)


def test_agrees_with_brute_force():
    codes, queries = unit_codes(300, 24), unit_codes(40, 24, seed=1)
    distances, indices = nearest(codes, queries, k=7)
    expected = brute_force(codes, queries)
    np.testing.assert_array_equal(indices, expected.argsort(axis=1)[:, :7])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :7], atol=1e-6)
    assert (distances.dtype, indices.dtype) == (np.float32, np.int64)


def test_codes_need_not_be_of_unit_length():
    codes = np.array([[100, 0], [1, 0]], np.float32)
    distances, indices = nearest(codes, np.array([[2, 0]], np.float32), k=1)
    assert (distances.tolist(), indices.tolist()) == ([[1]], [[1]])


def test_codes_far_from_the_origin_are_told_apart():
    near = np.random.default_rng(0).normal(scale=0.1, size=(60, 16))
    far = (near + 500).astype(np.float32)  # where a float32 has steps of 3e-5
    distances, indices = nearest(far, far[:20], 5, exclude_self=np.arange(20))
    expected = brute_force(near, near[:20])
    expected[np.arange(20), np.arange(20)] = np.inf
    np.testing.assert_array_equal(indices, expected.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(distances, np.sort(expected, axis=1)[:, :5], rtol=1e-3)


def test_a_query_is_not_its_own_neighbour_but_its_copy_is():
    codes = unit_codes(50, 8)
    codes[31] = codes[7]
    _, indices = nearest(codes, codes[[7, 31]], k=49, exclude_self=[7, 31])
    assert indices[:, 0].tolist() == [31, 7]
    assert sorted(indices[0]) == [i for i in range(50) if i != 7]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-2, 2), min_size=2, max_size=60), st.integers(-2, 2))
def test_ties_are_ranked_by_the_lower_index(places, query):
    codes = np.array(places, np.float32)[:, None]
    _, indices = nearest(codes, np.array([[query]], np.float32), k=len(codes))
    order = sorted(range(len(places)), key=lambda i: ((places[i] - query) ** 2, i))
    assert indices[0].tolist() == order


@pytest.mark.parametrize("coarse_first", [True, False])
@pytest.mark.parametrize("count", [10, 5000])
@pytest.mark.parametrize(
    "distances_of",
    [
        lambda random, count: random.random(count),
        lambda random, count: random.integers(0, 3, count),
        lambda random, count: np.ones(count),
        lambda random, count: np.where(random.random(count) < 0.5, np.inf, 1.0),
        lambda random, count: random.random(count) * 3e38,
    ],
    ids=["uniform", "ties", "alike", "infinite", "huge"],
)
def test_keys_are_sorted_alike_both_ways(monkeypatch, distances_of, count, coarse_first):
    module = sys.modules["tripletnet.codes.nearest"]
    monkeypatch.setattr(module, "_coarse_first_is_faster", lambda: coarse_first)
    random = np.random.default_rng(0)
    distances = np.array([distances_of(random, count) for _ in range(3)], dtype=np.float32)
    ranking = RankingKeys(4, count)
    keys = ranking.of(distances)
    keys[:, 3] = LAST
    # distances are not negative: whole numbers of their bits are in the same order
    expected = distances.view(np.uint32).astype(np.uint64) << np.uint64(32)
    expected += np.arange(0, 2 * count, 2, dtype=np.uint64)
    expected[:, 3] = LAST
    ranking.sort(keys, distances)
    np.testing.assert_array_equal(keys, np.sort(expected, axis=1))


@pytest.mark.parametrize("rows", [16, 48])
def test_distances_do_not_depend_on_the_blocks(rows):
    codes, queries = unit_codes(333, 50), unit_codes(101, 50, seed=1)
    whole, parts = np.zeros((2, 101, 333), np.float32)

    def kept_in(place):
        def visit(first, distances, ranking):
            assert not place[first : first + len(distances)].any()
            place[first : first + len(distances)] = distances

        return visit

    scan(queries, codes, kept_in(whole))
    scan(queries, codes, kept_in(parts), block_bytes=rows * 333 * 4)
    assert whole.any(axis=1).all()
    np.testing.assert_array_equal(parts, whole)
    np.testing.assert_array_equal(nearest(codes, queries[:1], 333)[0][0], np.sort(whole[0]))


@pytest.mark.parametrize("count", [5, 17, 333])
@pytest.mark.parametrize("queries", [1, 2, 5, 17])
def test_equal_codes_are_equally_far(queries, count):
    codes = np.repeat(unit_codes(1, 37), count, axis=0)
    distances, indices = nearest(codes, unit_codes(queries, 37, seed=1), k=count)
    assert (distances == distances[:, :1]).all()
    assert (indices == np.arange(count)).all()


def test_blocks_keep_to_the_memory_given():
    codes = unit_codes(1000, 4)
    rows = []
    scan(
        codes,
        codes,
        lambda first, distances, ranking: rows.append(len(distances.base)),
        block_bytes=64 * 1000 * 4,
    )
    assert max(rows) == 64


def test_an_error_in_one_thread_comes_out():
    def visit(first, distances, ranking):
        raise RuntimeError("from the visitor")

    codes = unit_codes(10, 4)
    with pytest.raises(RuntimeError, match="from the visitor"):
        scan(codes, codes, visit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.zeros((0, 4), np.float32)}, "codes: there are none"),
        ({"codes": np.zeros(4, np.float32)}, "codes: expected numbers of shape"),
        ({"codes": np.array([["a"] * 4])}, "codes: expected numbers"),
        ({"queries": np.full((1, 4), np.nan, np.float32)}, "queries: 1 of 1 rows hold NaN"),
        ({"queries": np.full((1, 4), 1e30)}, "queries: 1 of 1 rows hold NaN, infinity or huge"),
        ({"queries": np.zeros((1, 3), np.float32)}, "codes of 3 numbers .* codes of 4"),
        ({"k": 6}, "k: 6 neighbours asked for"),
        ({"k": 0}, "k: 0 neighbours asked for"),
        ({"k": 5, "exclude_self": [0]}, "k: 5 neighbours .* from 4 codes; use 1 to 4"),
        ({"exclude_self": [0, 1]}, "exclude_self: 2 indices for 1 queries"),
        ({"exclude_self": [5]}, "exclude_self: indices must be from 0 to 4"),
        ({"exclude_self": [0.5]}, "exclude_self: expected indices"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"codes": unit_codes(5, 4), "queries": unit_codes(1, 4), "k": 2, **change}
    with pytest.raises(InputError, match=message) as raised:
        nearest(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX"])
def test_equal_codes_are_equally_far_by_any_kernels(kernels):
    """OpenBLAS's kernels for AVX2 round by the place in a matrix, those for AVX-512 do not."""
    program = (
        "import numpy as np; from tripletnet.codes.nearest import nearest; "
        "codes = np.random.default_rng(0).standard_normal((17, 37)).astype(np.float32); "
        "same = np.repeat(codes[:1], 333, axis=0); "
        "distances, indices = nearest(same, codes, k=333); "
        "assert (distances == distances[:, :1]).all(); assert (indices == np.arange(333)).all()"
    )
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if kernels == "SkylakeX" and "avx512dq" not in flags:
        pytest.skip("this processor has no AVX-512")
    environment = {**os.environ, "OPENBLAS_CORETYPE": kernels}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
