"""The kinds of FAISS index, what each takes, and the most exact that fits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from tripletnet.errors import InputError

# the most exact first
KINDS = ("flat", "sq8", "hnsw", "ivfpq")
LINKS = 32  # of each image in HNSW's graph, twice as many on its lowest level
CENTROIDS = 256  # of a subquantizer: what one byte tells apart
# k-means wants so many codes for a centroid (FAISS warns below), and PQ learns from so many in all
CODES_PER_CENTROID = 39
TRAINING_CODES = 65_536
MOST_NUMBERS_PER_BYTE = 32  # a subquantizer of more tells too little apart
FREE_PART = 0.5


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


def check_kind(kind: str) -> None:
    """Raise InputError unless there is such a kind of index."""
    if kind not in ("auto", *KINDS):
        raise InputError(f"kind '{kind}' is not known: use auto or one of {', '.join(KINDS)}")


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
    check_kind(kind)
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


def index_bytes(index: Any, kind: str) -> int:
    """Return the bytes that a FAISS index of this kind takes."""
    if kind == "ivfpq":
        return ivfpq_bytes(index.ntotal, index.d, index.nlist, index.pq.M)
    measure = {"flat": flat_bytes, "sq8": sq8_bytes, "hnsw": hnsw_bytes}[kind]
    return measure(index.ntotal, index.d)
