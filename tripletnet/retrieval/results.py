"""What a search in an index found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

import numpy as np

from tripletnet.retrieval.catalogue import Catalogue
from tripletnet.retrieval.data_frame import data_frame

if TYPE_CHECKING:
    import pandas

SHOWN = 10  # how many queries a printed result shows


@dataclass(frozen=True)
class Neighbour:
    """One image that was found.

    Attributes
    ----------
    path : str
        Where it lies, relative to the index's root.
    distance : float
        Of its code to the query's, in the unit that was asked for.
    label : int or str
        Its class; an empty string where it is not known.
    row : int
        Its place in the index.
    """

    path: str
    distance: float
    label: Union[int, str]
    row: int

    def __str__(self) -> str:
        label = "" if self.label == "" else f"  ({self.label})"
        return f"{self.distance:8.4f}  {self.path}{label}"


@dataclass(frozen=True)
class SearchResult:
    """What was found for one query: `neighbours`, the nearest first, perhaps none."""

    neighbours: Sequence[Neighbour]

    def __len__(self) -> int:
        return len(self.neighbours)

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(self.neighbours)

    def __str__(self) -> str:
        return "\n".join(map(str, self.neighbours)) or "nothing found"


@dataclass(frozen=True)
class SearchResults:
    """What was found for each of Q queries.

    Attributes
    ----------
    distances : ndarray of float32, shape (Q, k)
        Distances in the unit that was asked for, ascending; infinity where fewer than k were found.
    rows : ndarray of int64, shape (Q, k)
        Places in the index; -1 where fewer than k were found.
    images : Catalogue
        What the index knows of its images.
    """

    distances: np.ndarray
    rows: np.ndarray
    images: Catalogue

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, query: int) -> SearchResult:
        """Return what was found for one query."""
        found = self.rows[query] >= 0
        rows = self.rows[query][found].tolist()
        distances = self.distances[query][found].tolist()
        paths, labels = self.images.paths, self._labels(self.rows[query][found]).tolist()
        return SearchResult(
            [
                Neighbour(paths[row], distance, label, row)
                for row, distance, label in zip(rows, distances, labels)
            ]
        )

    def _labels(self, rows: np.ndarray) -> np.ndarray:
        labels = self.images.labels
        return np.full(len(rows), "") if labels is None else labels[rows]

    def __str__(self) -> str:
        parts = [f"query {query}:\n{self[query]}" for query in range(min(SHOWN, len(self)))]
        if len(self) > SHOWN:
            parts.append(f"... and {len(self) - SHOWN:,} more queries")
        return "\n".join(parts)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with a line for each neighbour found.

        Returns
        -------
        pandas.DataFrame
            Columns ``query`` (its number), ``rank`` (from 1), ``path``, ``distance``, ``label``
            and ``row``.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        query, place = np.nonzero(self.rows >= 0)
        rows = self.rows[query, place]
        return data_frame(
            {
                "query": query,
                "rank": place + 1,
                "path": [self.images.paths[row] for row in rows.tolist()],
                "distance": self.distances[query, place],
                "label": self._labels(rows),
                "row": rows,
            }
        )
