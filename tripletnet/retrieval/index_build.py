"""How an index of a planned kind is made of codes, and how much of it a search has to visit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.codes.nearest import nearest
from tripletnet.retrieval.index_plan import LINKS, Plan
from tripletnet.retrieval.index_store import load_faiss

Progress = Callable[[str, int, int], None]

BLOCK = 16_384  # codes handled at once
RECALL_AT = 10
RECALL_QUERIES = 500
LEAST_EFFORT = 16  # lists or nodes that a search visits; doubled while that finds so much more:
WORTH = 0.005
_SAMPLE = 128  # codes that tell how near codes are to each other
# The part of |c|^2 that distances between neighbours must come to for products to tell which is
# the nearer one: they leave an error of some 1e-7 |c|^2, and neighbours differ by a hundredth.
_BLURRED = 1e-3


def make_index(plan: Plan, codes: np.ndarray, seed: int, progress: Optional[Progress]) -> Any:
    """Return a FAISS index of the planned kind that holds the codes.

    Parameters
    ----------
    plan : Plan
        For as many codes.
    codes : ndarray of float32, shape (N, D)
        May be memory-mapped: they are read block by block.
    seed : int
        Of the sample, of k-means and of HNSW's levels.
    progress : callable, optional
        Called as ``progress("indexing", done, N)``.
    """
    faiss, size = load_faiss(), codes.shape[1]
    if plan.kind == "flat":
        index = faiss.IndexFlatL2(size)
    elif plan.kind == "sq8":
        index = faiss.IndexScalarQuantizer(size, faiss.ScalarQuantizer.QT_8bit)
        index.train(_range(codes))
    elif plan.kind == "hnsw":
        index = faiss.IndexHNSWSQ(size, faiss.ScalarQuantizer.QT_8bit, LINKS)
        index.hnsw.rng = faiss.RandomGenerator(seed)
        index.train(_range(codes))
    else:
        index = _learned_ivfpq(plan, codes, seed)
    if plan.kind == "ivfpq":
        _fill_lists(index, codes, progress)
    else:
        holder = storage(index, plan.kind)
        _reserve(holder.codes, len(codes) * holder.code_size)
        add_codes(index, codes, progress)
    return index


def add_codes(index: Any, codes: np.ndarray, progress: Optional[Progress] = None) -> None:
    """Add codes to a FAISS index, block by block."""
    load_faiss()
    done = 0
    for block in _blocks(codes):
        index.add(block)
        done += len(block)
        if progress is not None:
            progress("indexing", done, len(codes))


def storage(index: Any, kind: str) -> Any:
    """Return the FAISS index that holds the codes themselves."""
    return load_faiss().downcast_index(index.storage) if kind == "hnsw" else index


def sample_rows(count: int) -> np.ndarray:
    """Return the rows of a few of `count` codes, ascending; the same ones each time.

    They are random ones, as at regular steps they might be copies of each other, and the one behind
    each, as pictures of one burst lie side by side.
    """
    rows = np.random.default_rng(0).choice(count, min(_SAMPLE, count), replace=False)
    return np.unique(np.concatenate([rows, np.minimum(rows + 1, count - 1)]))


def products_blur(sample: np.ndarray) -> bool:
    """Tell whether |q|^2 + |c|^2 - 2 q.c is too coarse for codes as near to each other as these.

    FAISS mostly computes that, in float32, in a flat index.
    """
    if len(sample) < 2:
        return True  # to compare one code number by number takes no time
    distances, _ = nearest(sample, sample, k=1, exclude_self=np.arange(len(sample)))
    squares = np.einsum("ij,ij->i", sample, sample)
    return bool(np.median(distances) < _BLURRED * squares.mean())


def number_by_number() -> Any:
    """Return parameters with which a flat index sums (q - c)^2: exact, and several times slower.

    FAISS takes no products where it is to select codes, even if it is to select all.
    """
    faiss = load_faiss()
    return faiss.SearchParameters(sel=faiss.IDSelectorAll())


def _blocks(codes: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(codes), BLOCK):
        yield codes[start : start + BLOCK]


def _range(codes: np.ndarray) -> np.ndarray:
    """Return the least and the largest value of each number, (2, D): all that sq8 learns."""
    lowest = np.min([block.min(axis=0) for block in _blocks(codes)], axis=0)
    highest = np.max([block.max(axis=0) for block in _blocks(codes)], axis=0)
    return np.stack([lowest, highest])


def _learned_ivfpq(plan: Plan, codes: np.ndarray, seed: int) -> Any:
    faiss, size = load_faiss(), codes.shape[1]
    index = faiss.IndexIVFPQ(faiss.IndexFlatL2(size), size, plan.lists, plan.subquantizers, 8)
    index.use_precomputed_table = -1  # it would take more memory than the codes
    for clustering in (index.cp, index.pq.cp):
        clustering.seed = seed
        clustering.min_points_per_centroid = 1  # no warning on standard error
    # FAISS's 25 rounds over the whole sample take minutes for some hundred subquantizers
    index.pq.cp.niter = 10
    index.pq.cp.max_points_per_centroid = 64
    sample = np.random.default_rng(seed).choice(len(codes), plan.training, replace=False)
    index.train(codes[np.sort(sample)])
    return index


def _reserve(vector: Any, size: int) -> None:
    """Make room for all codes: FAISS's vectors may otherwise grow to twice what they need."""
    vector.resize(size)
    vector.resize(0)


def _fill_lists(index: Any, codes: np.ndarray, progress: Optional[Progress]) -> None:
    """Add codes to lists that have just the room for them, each code assigned to its list once."""
    faiss = load_faiss()
    lists = np.concatenate([index.quantizer.assign(block, 1)[:, 0] for block in _blocks(codes)])
    for number, count in enumerate(np.bincount(lists, minlength=index.nlist).tolist()):
        index.invlists.resize(number, count)
        index.invlists.resize(number, 0)
    done = 0
    for block in _blocks(codes):
        chosen = lists[done : done + len(block)]
        index.add_core(len(block), faiss.swig_ptr(block), None, faiss.swig_ptr(chosen))
        done += len(block)
        if progress is not None:
            progress("indexing", done, len(codes))


def tune(index: Any, kind: str, codes: np.ndarray, seed: int) -> float:
    """Set how much of the index a search visits, and return the recall@10.

    Parameters
    ----------
    index : faiss.Index
        Holds `codes`.
    kind : str
        What it is.
    codes : ndarray of float32, shape (N, D)
        Read block by block.
    seed : int
        Of the sample.

    Returns
    -------
    float
        Of the ten nearest others of a code, the share that the index finds: the mean over 500
        codes of the index. An image as near as the tenth counts as one of the ten. 1 for flat,
        which is exact.

    Notes
    -----
    The lists that are visited (nprobe, ivfpq) and the nodes (efSearch, hnsw) are doubled from 16
    until that adds less than half a point of recall.
    """
    if kind == "flat" or len(codes) == 1:
        return 1.0
    random = np.random.default_rng(seed)
    rows = random.choice(len(codes), min(RECALL_QUERIES, len(codes)), replace=False)
    furthest = _furthest(codes, codes[rows])

    def recall() -> float:
        return _recall(index, codes, rows, furthest)

    if kind == "sq8":
        return recall()
    holder, dial, most = {
        "hnsw": lambda: (index.hnsw, "efSearch", len(codes)),
        "ivfpq": lambda: (index, "nprobe", index.nlist),
    }[kind]()
    effort = LEAST_EFFORT
    setattr(holder, dial, effort)
    best = recall()
    while effort < most:
        setattr(holder, dial, 2 * effort)
        better = recall()
        if better < best + WORTH:
            setattr(holder, dial, effort)
            break
        effort, best = 2 * effort, better
    return best


def _furthest(codes: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the distance from each query, itself a code, to the last of its ten nearest, (Q,)."""
    faiss = load_faiss()
    exactly = number_by_number() if products_blur(codes[sample_rows(len(codes))]) else None
    least = np.empty((len(queries), 0), np.float32)
    for block in _blocks(codes):
        flat = faiss.IndexFlatL2(codes.shape[1])
        flat.add(block)
        _, found = flat.search(queries, min(RECALL_AT + 1, len(block)), params=exactly)
        # measured as what the index finds is, so that equal distances are equal
        distances = np.stack([_distances(block[place], queries) for place in found.T], axis=1)
        least = np.sort(np.hstack([least, distances]), axis=1)[:, : RECALL_AT + 1]
    return least[:, -1]


def _distances(codes: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the squared distance of each query to the code beside it, (Q,)."""
    return ((codes - queries) ** 2).sum(axis=1)


def _recall(index: Any, codes: np.ndarray, rows: np.ndarray, furthest: np.ndarray) -> float:
    """Return the share of the nearest others of these rows that the index finds."""
    k = min(RECALL_AT, len(codes) - 1)
    queries = codes[rows]
    _, found = index.search(queries, k + 1)
    hits = np.zeros(len(rows), np.int64)
    for place in found.T:
        near = _distances(codes[place], queries) <= furthest * (1 + 1e-5)
        hits += near & (place >= 0) & (place != rows)
    return float(np.minimum(hits, k).mean() / k)
