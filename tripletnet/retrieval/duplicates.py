"""Groups of near-duplicates among indexed codes, and which picture of a group to keep."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.retrieval.data_frame import data_frame

if TYPE_CHECKING:
    import pandas

    from tripletnet.retrieval.index import Index

#: More pairs of near codes than this are refused: they take some 400 MB.
MAX_PAIRS = 10_000_000

SHOWN = 20  # how many groups, and members of each, a printed result shows

#: Rows, their neighbours and the distances between them, as `Index.within` yields them.
Block = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are one picture, or nearly.

    Attributes
    ----------
    members : list of int
        Rows of the index: the centre, then by distance, copies of one file one after the other.
    paths : list of str
        Where each member lies.
    kinds : list of {"centre", "exact", "near"}
        What each member is: ``exact`` is the same file, byte by byte, as the member before it;
        ``near`` is a picture whose code is near that of the centre.
    distances : list of float
        Squared Euclidean, from the code of each member to that of the centre.
    """

    members: list[int]
    paths: list[str]
    kinds: list[str]
    distances: list[float]

    @property
    def centre(self) -> int:
        """The row that all others are near to."""
        return self.members[0]

    def __len__(self) -> int:
        return len(self.members)

    def __str__(self) -> str:
        shown = list(zip(self.kinds, self.distances, self.paths))[:SHOWN]
        lines = [f"{kind:6} {distance:.4f}  {path}" for kind, distance, path in shown]
        if len(self) > SHOWN:
            lines.append(f"... and {len(self) - SHOWN:,} more")
        return "\n".join(lines)


@dataclass(frozen=True)
class Duplicates:
    """All groups of an index.

    Attributes
    ----------
    groups : list of DuplicateGroup
        The largest first, then by the row of the centre.
    max_distance : float
        Squared Euclidean; no member is further than this from the centre of its group, but for
        copies of a member.
    """

    groups: list[DuplicateGroup]
    max_distance: float

    @property
    def summary(self) -> str:
        """How many there are, in one line."""
        return (
            f"{len(self):,} groups up to a squared distance of {self.max_distance:.4f}: "
            f"{self.count('exact'):,} exact copies, {self.count('near'):,} near ones"
        )

    def count(self, kind: str) -> int:
        """Return how many members of all groups are of this kind."""
        return sum(group.kinds.count(kind) for group in self.groups)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a row for a table for each member: group, path, kind and distance."""
        for number, group in enumerate(self.groups, 1):
            for path, kind, distance in zip(group.paths, group.kinds, group.distances):
                yield {"group": number, "path": path, "kind": kind, "distance": distance}

    def to_pandas(self) -> pandas.DataFrame:
        """Return :meth:`rows` as a data frame.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        return data_frame(self.rows(), columns=["group", "path", "kind", "distance"])

    def __len__(self) -> int:
        return len(self.groups)

    def __str__(self) -> str:
        parts = [f"group {n}\n{group}" for n, group in enumerate(self.groups[:SHOWN], 1)]
        if len(self) > SHOWN:
            parts.append(f"... and {len(self) - SHOWN:,} more groups")
        return "\n\n".join([*parts, self.summary])


def find_duplicates(
    index: Index,
    max_distance: float,
    max_pairs: int = MAX_PAIRS,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Duplicates:
    """Group the near-duplicates of an index.

    Parameters
    ----------
    index : Index
        What to look through.
    max_distance : float
        Squared Euclidean; how far a member may be from its group's centre.
    max_pairs : int
        How many pairs to hold in memory.
    progress : callable, optional
        Called as ``progress(done, N)``: every picture is compared with all.

    Raises
    ------
    InputError
        If the distance is negative or more pairs than `max_pairs` lie within it.

    Warns
    -----
    UserWarning
        If the index knows no content hashes.

    Notes
    -----
    The groups are :func:`stars`, so that chains (a is near b, b near c, and so on to something
    else altogether) cannot form. Copies of one file count as one picture and stay together.
    """
    images = index.images
    if images.digests is None:
        warnings.warn(
            "this index knows no content hashes, so exact copies are listed as near ones",
            stacklevel=2,
        )
    first = first_copies(images.digests or [""] * len(index))
    pairs = collect_pairs(index.within(max_distance, progress=progress), first, max_pairs)
    copies: dict[int, list[int]] = {}
    for row in np.flatnonzero(first != np.arange(len(first))).tolist():
        copies.setdefault(int(first[row]), []).append(row)
    found = list(stars(*pairs))
    grouped = {row for members, _ in found for row in members}
    found.extend(([row], [0.0]) for row in copies if row not in grouped)
    groups = [_group(members, distances, copies, images.paths) for members, distances in found]
    groups.sort(key=lambda group: (-len(group), group.centre))
    return Duplicates(groups, float(max_distance))


def first_copies(digests: Sequence[str]) -> np.ndarray:
    """Return for each row the first row of the same content hash, (N,) int64; "" equals none."""
    _, first, which = np.unique(digests, return_index=True, return_inverse=True)
    known = np.array([bool(digest) for digest in digests])
    return np.where(known, first[which], np.arange(len(digests)))


def collect_pairs(blocks: Iterable[Block], first: np.ndarray, max_pairs: int) -> Block:
    """Return the pairs of different content, each once, though `blocks` may bring both directions.

    Of rows with the same content the `first` stands for all.

    Raises
    ------
    InputError
        If there are more than `max_pairs`.
    """
    count = len(first)
    kept: list[Block] = []
    held = 0
    for rows, neighbours, distances in blocks:
        # copies of one file have one code: what the first of them is near to is enough
        good = (first[rows] == rows) & (first[neighbours] == neighbours) & (rows != neighbours)
        kept.append((rows[good], neighbours[good], distances[good]))
        held += len(kept[-1][0])
        if held > 2 * max_pairs:
            raise InputError(
                f"max_distance: more than {max_pairs:,} pairs of pictures lie within it, which is "
                "too large to mean near-duplicates: give less than "
                f"{_affordable(kept, int(rows.max(initial=0) + 1) / count, max_pairs):.3g}"
            )
    if not held:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    rows, neighbours, distances = (np.concatenate(parts) for parts in zip(*kept))
    keys = np.minimum(rows, neighbours) * count + np.maximum(rows, neighbours)
    keys, where = np.unique(keys, return_index=True)
    return keys // count, keys % count, distances[where]


def _affordable(kept: list[Block], seen: float, max_pairs: int) -> float:
    """Return a distance within which so many pairs lie, judged by a share of the rows."""
    distances = np.sort(np.concatenate([part[2] for part in kept]))
    return float(distances[min(int(seen * max_pairs), len(distances) - 1)])


def stars(
    rows: np.ndarray, neighbours: np.ndarray, distances: np.ndarray
) -> Iterator[tuple[list[int], list[float]]]:
    """Divide a graph into stars, greedily.

    Parameters
    ----------
    rows, neighbours : ndarray of int64, shape (P,)
        The two ends of each edge; each edge once.
    distances : ndarray of float32, shape (P,)
        Its length.

    Yields
    ------
    members : list of int
        The centre, then its neighbours by distance, ties by the lower row.
    distances : list of float
        From the centre to each of them.

    Notes
    -----
    Rows become centres in the order of their number of neighbours, ties by the lower row, unless
    an earlier centre has taken them. A row left without a neighbour makes no star.

    References
    ----------
    Aslam, Pelekhov, Rus. "The star clustering algorithm for static and dynamic information
    organization." Journal of Graph Algorithms and Applications 8(1), 2004.

    Examples
    --------
    A chain of 0, 1, 2, 3, in which only those side by side are near:

    >>> list(stars(np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.25, 0.5, 0.5])))
    [([1, 0, 2], [0.0, 0.25, 0.5])]
    """
    ends = np.concatenate([rows, neighbours])
    others = np.concatenate([neighbours, rows])
    lengths = np.concatenate([distances, distances])
    order = np.lexsort((others, lengths, ends))
    others, lengths = others[order], lengths[order]
    nodes, starts, degrees = np.unique(ends[order], return_index=True, return_counts=True)
    free = np.ones(int(nodes[-1]) + 1 if len(nodes) else 0, bool)
    for node in np.argsort(-degrees, kind="stable"):
        centre = nodes[node]
        if not free[centre]:
            continue
        edges = slice(starts[node], starts[node] + degrees[node])
        open_ = free[others[edges]]
        members = others[edges][open_]
        if not len(members):
            continue
        free[members] = free[centre] = False
        yield [int(centre), *members.tolist()], [0.0, *lengths[edges][open_].tolist()]


def _group(
    members: list[int],
    distances: list[float],
    copies: dict[int, list[int]],
    paths: Sequence[str],
) -> DuplicateGroup:
    """Return a star with the copies of each of its members behind it."""
    listed: list[tuple[int, str, float]] = []
    for row, distance in zip(members, distances):
        listed.append((row, "near" if listed else "centre", distance))
        listed.extend((copy, "exact", distance) for copy in copies.get(row, ()))
    rows, kinds, lengths = (list(values) for values in zip(*listed))
    return DuplicateGroup(rows, [paths[row] for row in rows], kinds, lengths)
