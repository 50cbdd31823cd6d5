"""The kinds of FAISS index: what each takes, the most exact that fits, and how it is made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.retrieval.index_store import load_faiss

Progress = Callable[[str, int, int], None]

# the most exact first
KINDS = ("flat", "sq8", "hnsw", "ivfpq")
LINKS = 32  # of each image in HNSW's graph, twice as many on its lowest level
CENTROIDS = 256  # of a subquantizer: what one byte tells apart
# k-means wants so many codes for a centroid (FAISS warns below), and PQ learns from so many in all
CODES_PER_CENTROID = 39
TRAINING_CODES = 65_536
MOST_NUMBERS_PER_BYTE = 32  # a subquantizer of more tells too little apart
FREE_PART = 0.5
BLOCK = 16_384  # codes handled at once
RECALL_AT = 10
RECALL_QUERIES = 500
LEAST_EFFORT = 16  # lists or nodes that a search visits; doubled while that finds so much more:
WORTH = 0.005


@dataclass(frozen=True)
class Plan:
    """A kind of index and what it takes.

    Attributes
    ----------
    kind : {"flat", "sq8", "hnsw", "ivfpq"}
        Whole codes, bytes, a graph over bytes, or product-quantised codes in inverted lists.
    memory : int
        Bytes of the index, see :func:`flat_bytes` and its like.
    training : int
        Codes of the sample to learn from (ivfpq).
    lists : int
        Inverted lists (ivfpq).
    subquantizers : int
        Bytes of a code (ivfpq).
    """

    kind: str
    memory: int
    training: int = 0
    lists: int = 0
    subquantizers: int = 0


def plan_index(count: int, size: int, memory: Optional[int] = None, kind: str = "auto") -> Plan:
    """Choose the most exact kind of index that fits.

    Parameters
    ----------
    count : int
        How many codes.
    size : int
        Numbers of a code, D.
    memory : int, optional
        Bytes for the index: by default half of what is free now. What is known of the images
        (paths, digests: some 250 bytes each) comes on top, and while ivfpq learns, its sample.
    kind : str
        ``auto`` or one of KINDS.

    Returns
    -------
    Plan
        The first of flat, sq8, hnsw and ivfpq that fits. The graph of hnsw lies over the bytes of
        sq8, so that it takes more than sq8 and finds less: ``auto`` never comes to it. Ask for it
        where the time of a search matters more.

    Raises
    ------
    InputError
        If the kind is not known, or nothing fits; the message tells the least that would do.
    """
    if kind not in ("auto", *KINDS):
        raise InputError(f"kind '{kind}' is not known: use auto or one of {', '.join(KINDS)}")
    if memory is None:
        memory = int(FREE_PART * free_memory())
    plans = [plan for plan in _plans(count, size, memory) if kind in ("auto", plan.kind)]
    for plan in plans:
        if plan.memory <= memory:
            return plan
    if not plans:
        raise InputError(
            f"kind: {kind} needs at least {CENTROIDS} images to learn from, these are {count}: "
            "take auto"
        )
    least = min(plan.memory for plan in plans)
    what = "no index" if kind == "auto" else f"no index of kind {kind}"
    raise InputError(
        f"memory: {what} of {count:,} codes of {size:,} numbers fits into {memory:,} bytes: give "
        f"at least {least:,} bytes ({least / 1e6:,.1f} MB)"
    )


def _plans(count: int, size: int, memory: int) -> Iterator[Plan]:
    """Yield every plan, the most exact first."""
    yield Plan("flat", flat_bytes(count, size))
    yield Plan("sq8", sq8_bytes(count, size))
    yield Plan("hnsw", hnsw_bytes(count, size))
    if count < CENTROIDS:
        return
    # FAISS keeps the sample and its residuals while it learns
    training = max(CENTROIDS * CODES_PER_CENTROID, memory // (8 * size))
    training = min(training, TRAINING_CODES, count)
    lists = max(1, min(int(4 * count**0.5), training // CODES_PER_CENTROID))
    for subquantizers in range(size, 0, -1):
        if size % subquantizers == 0 and size // subquantizers <= MOST_NUMBERS_PER_BYTE:
            taken = ivfpq_bytes(count, size, lists, subquantizers)
            yield Plan("ivfpq", taken, training, lists, subquantizers)


def flat_bytes(count: int, size: int) -> int:
    """Return the bytes of N codes of D float32: ``4 N D``."""
    return 4 * count * size


def sq8_bytes(count: int, size: int) -> int:
    """Return the bytes of N codes of D bytes, and the range of each of the D: ``N D + 8 D``."""
    return count * size + 8 * size


def hnsw_bytes(count: int, size: int) -> int:
    """Return the bytes of HNSW's graph of M links over sq8.

    ``N (4 * 2 M + 4 M / (M - 1) + 12)`` on top of sq8: links of 4 bytes, twice as many on the
    lowest level; an M-th of each level's images is on the next; each image's level and the
    place of its links.
    """
    links = 4 * 2 * LINKS + 4 * LINKS / (LINKS - 1) + 12
    return sq8_bytes(count, size) + int(count * links)


def ivfpq_bytes(count: int, size: int, lists: int, subquantizers: int) -> int:
    """Return the bytes of product-quantised codes in inverted lists.

    ``N (m + 8) + 4 D (lists + 256)``: a byte for each of m subquantizers and the image's number;
    the centre of each list and the centroids of the subquantizers.
    """
    return count * (subquantizers + 8) + 4 * size * (lists + CENTROIDS)


def free_memory() -> int:
    """Return the bytes that this process can still take: the machine's or the container's."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free = 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError):  # not Linux
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(free, _container_memory())


def _container_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what the container's limit leaves, file pages that can be dropped being free."""
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        lines = (cgroup / "memory.stat").read_text().splitlines()
        kept = dict(line.split() for line in lines)
        return max(0, limit - used + int(kept["inactive_file"]) + int(kept["active_file"]))
    except (OSError, ValueError, KeyError):  # no limit ("max"), or control groups of version 1
        return 2**63 - 1


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
    _reserve(index, plan.kind, codes)
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
    sample = np.random.default_rng(seed).choice(len(codes), plan.training, replace=False)
    index.train(codes[np.sort(sample)])
    return index


def _reserve(index: Any, kind: str, codes: np.ndarray) -> None:
    """Make room for all codes: FAISS's vectors may otherwise grow to twice what they need."""
    if kind == "ivfpq":
        lists = np.concatenate([index.quantizer.assign(block, 1)[:, 0] for block in _blocks(codes)])
        for number, count in enumerate(np.bincount(lists, minlength=index.nlist).tolist()):
            index.invlists.resize(number, count)
            index.invlists.resize(number, 0)
    else:
        holder = storage(index, kind)
        holder.codes.resize(len(codes) * holder.code_size)
        holder.codes.resize(0)


def index_bytes(index: Any, kind: str) -> int:
    """Return the bytes that a FAISS index of this kind takes."""
    if kind == "ivfpq":
        return ivfpq_bytes(index.ntotal, index.d, index.nlist, index.pq.M)
    measure = {"flat": flat_bytes, "sq8": sq8_bytes, "hnsw": hnsw_bytes}[kind]
    return measure(index.ntotal, index.d)


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
    nearest = np.empty((len(queries), 0), np.float32)
    for block in _blocks(codes):
        distances, _ = faiss.knn(queries, block, min(RECALL_AT + 1, len(block)))
        nearest = np.sort(np.hstack([nearest, distances]), axis=1)[:, : RECALL_AT + 1]
    return nearest[:, -1]


def _recall(index: Any, codes: np.ndarray, rows: np.ndarray, furthest: np.ndarray) -> float:
    """Return the share of the nearest others of these rows that the index finds."""
    k = min(RECALL_AT, len(codes) - 1)
    queries = codes[rows]
    _, found = index.search(queries, k + 1)
    hits = np.zeros(len(rows), np.int64)
    for place in found.T:
        distances = ((codes[place] - queries) ** 2).sum(axis=1)
        hits += (distances <= furthest * (1 + 1e-5) + 1e-6) & (place >= 0) & (place != rows)
    return float(np.minimum(hits, k).mean() / k)
