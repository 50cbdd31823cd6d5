"""Rows that queries of an index must not find."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tripletnet.codes import check_rows
from tripletnet.errors import InputError


class Exclusion:
    """Rows that queries must not find, as pairs of a query and a row in one number each."""

    def __init__(self, exclude: Sequence[Sequence[int]], queries: int, images: int) -> None:
        if len(exclude) != queries:
            raise InputError(f"exclude: {len(exclude)} lists of rows for {queries} queries")
        counts = np.fromiter(map(len, exclude), np.int64, queries)
        self.most = int(counts.max())
        self._images = images
        self._pairs = np.empty(0, np.int64)
        if self.most:
            rows = check_rows(
                np.concatenate([np.asarray(r) for r in exclude if len(r)]), images, "exclude"
            )
            self._pairs = np.repeat(np.arange(queries), counts) * images + rows

    def dropped(self, distances: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what was found without these pairs: -1 and infinity behind the rest."""
        pairs = np.arange(len(rows))[:, None] * self._images + rows
        banned = np.isin(pairs, self._pairs) & (rows >= 0)
        rows = np.where(banned, -1, rows)
        order = np.argsort(banned, axis=1, kind="stable")
        return np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
