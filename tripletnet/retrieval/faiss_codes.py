"""Codes in FAISS as rows 0 to N - 1, whatever the kind of its index: add, remove, find, read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Callable, Optional

import numpy as np

from tripletnet.retrieval.index_build import (
    add_codes,
    number_by_number,
    products_blur,
    sample_rows,
    storage,
)
from tripletnet.retrieval.index_store import load_faiss

PAIRS_BYTES = 2**28  # for what a block of a range search may find: 12 bytes a pair
_FAINT = 1e-5  # the part of |c|^2 below which products (error: some 1e-7) tell no radius


class FaissCodes:
    """The rows of a FAISS index; those behind a row that is removed move up.

    Parameters
    ----------
    index : faiss.Index
        Of one of the kinds.
    kind : {"flat", "sq8", "hnsw", "ivfpq"}
        See :func:`tripletnet.retrieval.index_plan.plan_index`.
    places : ndarray of int64, shape (N,), optional
        hnsw cannot forget: the place in it of each row, ascending, once one was removed.
    """

    def __init__(self, index: Any, kind: str, places: Optional[np.ndarray] = None) -> None:
        self.index = index
        self.kind = kind
        self.places = places
        self.size: int = index.d
        self._faint: Optional[float] = None  # the largest radius that products do not tell

    def __len__(self) -> int:
        return self.index.ntotal if self.places is None else len(self.places)

    def add(self, codes: np.ndarray) -> None:
        """Append codes, (n, D) float32."""
        first = self.index.ntotal
        self._faint = None
        add_codes(self.index, codes)
        if self.places is not None:
            new = np.arange(first, self.index.ntotal)
            self.places = np.concatenate([self.places, new])

    def keep(self, keep: np.ndarray) -> None:
        """Remove the rows that are False in `keep`, (N,) bool."""
        self._faint = None
        if self.kind == "hnsw":
            kept = np.flatnonzero(keep)
            self.places = kept if self.places is None else self.places[kept]
        elif self.kind == "ivfpq":
            self._keep_in_lists(keep)
        else:
            self.index.remove_ids(np.flatnonzero(~keep))

    def _keep_in_lists(self, keep: np.ndarray) -> None:
        """Remove rows from inverted lists, which name each code by its row, and renumber them."""
        faiss, index = load_faiss(), self.index
        index.set_direct_map_type(faiss.DirectMap.NoMap)
        index.remove_ids(np.flatnonzero(~keep))
        moved = np.cumsum(keep) - 1
        for number in range(index.nlist):
            count = index.invlists.list_size(number)
            if count:
                rows = faiss.rev_swig_ptr(index.invlists.get_ids(number), count)
                rows[:] = moved[rows]

    def finds_all(self, k: int) -> bool:
        """Tell whether :meth:`nearest` surely finds `k` rows of each query."""
        return self.kind in ("flat", "sq8") and k <= len(self)

    def nearest(
        self, queries: np.ndarray, k: int, radius: float = math.inf
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return squared distances and rows, (Q, k), ascending; row -1 where nothing was found.

        What is further away than `radius` need not be told well.
        """
        if not k:  # everything was removed
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        faiss = load_faiss()
        if self.places is None:
            return self.index.search(queries, k, params=self._parameters(radius))
        total = self.index.ntotal
        kept = np.zeros(total, bool)
        kept[self.places] = True
        # of the nodes that a search visits, only those that were kept count
        effort = math.ceil(self.index.hnsw.efSearch * total / len(self))
        parameters = faiss.SearchParametersHNSW(
            sel=faiss.IDSelectorBitmap(np.packbits(kept, bitorder="little")),
            efSearch=min(effort, total),
        )
        distances, found = self.index.search(queries, k, params=parameters)
        return distances, np.where(found < 0, -1, np.searchsorted(self.places, found))

    def _parameters(self, radius: float) -> Any:
        """Return what makes FAISS exact where products are too coarse; None where they will do."""
        if self.kind != "flat":  # FAISS multiplies whole codes alone
            return None
        if self._faint is None:
            sample = self.read(sample_rows(len(self)))
            scale = float(np.einsum("ij,ij->i", sample, sample).mean())
            self._faint = math.inf if products_blur(sample) else _FAINT * scale
        return number_by_number() if radius <= self._faint else None

    def within(
        self,
        max_distance: float,
        block: Optional[int] = None,
        progress: Optional[Callable[[int, int], None]] = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield rows, neighbours and distances, (P,) each, of `block` rows after the other."""
        block = block or max(1, PAIRS_BYTES // (12 * max(1, len(self))))
        holder = storage(self.index, self.kind)
        # FAISS takes what is below a radius
        radius = float(np.nextafter(np.float32(min(max_distance, 1e30)), np.float32(np.inf)))
        parameters = self._parameters(max_distance) if len(self) else None
        for start in range(0, len(self), block):
            rows = np.arange(start, min(start + block, len(self)))
            load_faiss()
            codes = self.read(rows)
            limits, distances, found = holder.range_search(codes, radius, params=parameters)
            rows = np.repeat(rows, np.diff(limits.astype(np.int64)))
            if self.places is not None:
                known = np.isin(found, self.places)
                rows, distances = rows[known], distances[known]
                found = np.searchsorted(self.places, found[known])
            others = rows != found
            yield rows[others], found[others], distances[others]
            if progress is not None:
                progress(min(start + block, len(self)), len(self))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return what is kept of the codes of these rows, (n, D) float32."""
        places = rows if self.places is None else self.places[rows]
        if self.kind == "ivfpq" and self.index.direct_map.no():
            self.index.make_direct_map(True)
        return storage(self.index, self.kind).reconstruct_batch(places)

    def forget_map(self) -> None:
        """Drop what :meth:`read` made for itself and no file needs."""
        if self.kind == "ivfpq":
            self.index.set_direct_map_type(load_faiss().DirectMap.NoMap)
