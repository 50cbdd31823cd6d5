"""Search an index by pictures: decode, encode, search, and tell the picture itself from others."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from tripletnet.codes.distances import Distance
from tripletnet.data.decode import ImageError, decode_image, read_bytes
from tripletnet.data.pictures import list_pictures
from tripletnet.data.scan import NO_IMAGE, LeftOut
from tripletnet.errors import InputError
from tripletnet.files import PathLike
from tripletnet.processor import usable_cores
from tripletnet.registry import DISTANCES
from tripletnet.retrieval.encoder import Encoder
from tripletnet.retrieval.index import Index
from tripletnet.retrieval.results import Neighbour
from tripletnet.retrieval.same_encoder import check_same_encoder

_BLOCK = 1024
_MOST_FOUND = 2**22  # neighbours that are in memory at one time


@dataclass(frozen=True)
class _Query:
    path: Path
    pixels: np.ndarray
    digest: str


@dataclass(frozen=True)
class PictureResult:
    """What the index holds that looks like one picture.

    Attributes
    ----------
    query : Path
        The picture.
    itself : sequence of str
        Where this very picture, byte for byte, lies in the index.
    neighbours : sequence of Neighbour
        Other pictures within reach, the nearest first.
    nearest : Neighbour or None
        The nearest other picture, within reach or not.
    pixels : ndarray of uint8, shape (H, W, 3)
        The picture at the encoder's size.
    """

    query: Path
    itself: Sequence[str]
    neighbours: Sequence[Neighbour]
    nearest: Optional[Neighbour]
    pixels: np.ndarray

    def __str__(self) -> str:
        lines = [str(self.query)]
        lines += [f"      itself  {path}" for path in self.itself]
        lines += [f"  {neighbour}" for neighbour in self.neighbours]
        if not self.neighbours:
            near = self.nearest
            where = "" if near is None else f": the nearest, {near.path}, is at {near.distance:.4f}"
            lines.append(f"  nothing {'else ' if self.itself else ''}looks like it{where}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return what was found, for JSON."""
        found = (self.neighbours, [self.nearest] if self.nearest else [])
        neighbours, nearest = (
            [{"path": n.path, "distance": n.distance, "class": n.label} for n in some]
            for some in found
        )
        return {
            "query": str(self.query),
            "itself": list(self.itself),
            "neighbours": neighbours,
            "nearest": nearest[0] if nearest else None,
        }


def search_pictures(
    index: Index,
    encoder: Encoder,
    paths: Sequence[PathLike],
    k: int = 10,
    max_distance: float = math.inf,
    left_out: Optional[Callable[[LeftOut], None]] = None,
    distance: Union[str, Distance] = "squared",
) -> Iterator[PictureResult]:
    """Search for pictures, block by block, so that there may be any number of them.

    Parameters
    ----------
    index : Index
        What to search.
    encoder : Encoder
        Of the run that made the index's codes.
    paths : sequence of str or Path
        Files, and folders with all that lies below them.
    k : int
        The most neighbours of each.
    max_distance : float
        Beyond it a picture is no neighbour.
    left_out : callable, optional
        Called with each file that cannot be used. Default: the first one is an error.
    distance : str or Distance
        What distances are given and taken in, as for :meth:`tripletnet.Index.search`.

    Returns
    -------
    iterator of PictureResult
        One for each picture. A picture that is in the index is not its own neighbour.

    Raises
    ------
    InputError
        If the index is another encoder's, a path does not exist, or a picture cannot be used.
    """
    check_same_encoder(index.images, encoder.run, encoder.fingerprint)
    if index.code_size != encoder.code_size:
        raise InputError(
            f"{encoder.run}: its encoder makes codes of {encoder.code_size} numbers, and those of "
            f"the index have {index.code_size}: give the run that made them"
        )
    if not k >= 1:
        raise InputError(f"k: {k} neighbours asked for; use 1 or more")
    measure = DISTANCES.choose(distance)
    if not max_distance >= 0:
        raise InputError(f"max_distance: {max_distance} is no distance; use 0 or more")
    k = min(k, max(1, len(index)))
    listing = list_pictures(paths)
    for item in listing.left_out:
        if left_out is not None:
            left_out(item)
        elif not item.reason.startswith(NO_IMAGE):
            raise InputError(f"{item.path}: {item.reason}")
    size = (encoder.image_size, encoder.image_size)

    def read(file: str) -> Union[_Query, LeftOut]:
        path = listing.root / file
        try:
            data = read_bytes(path)
            pixels = decode_image(data, size=size, fit=encoder.fit)
        except ImageError as error:
            if left_out is None:
                raise InputError(f"{path}: {error.reason}") from None
            return LeftOut(str(path), error.reason)
        return _Query(path, pixels, hashlib.sha256(data).hexdigest())

    def results() -> Iterator[PictureResult]:
        with ThreadPoolExecutor(usable_cores()) as pool:
            for start in range(0, len(listing.files), _BLOCK):
                read_all = list(pool.map(read, listing.files[start : start + _BLOCK]))
                queries = [entry for entry in read_all if not isinstance(entry, LeftOut)]
                for entry in read_all:
                    if isinstance(entry, LeftOut) and left_out is not None:
                        left_out(entry)
                if queries:
                    yield from _search(index, encoder, queries, k, max_distance, measure)

    return results()  # a generator of its own, so that what is wrong above is said at once


def _search(
    index: Index,
    encoder: Encoder,
    queries: Sequence[_Query],
    k: int,
    max_distance: float,
    distance: Distance,
) -> Iterator[PictureResult]:
    codes = encoder.encode(np.stack([query.pixels for query in queries]))
    own: dict[str, list[int]] = {query.digest: [] for query in queries}
    for row, digest in enumerate(index.images.digests or ()):
        if digest in own:
            own[digest].append(row)
    # the index finds the pictures themselves, too, before it leaves them out
    step = max(1, _MOST_FOUND // (k + max(map(len, own.values()))))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        exclude = [own[query.digest] for query in part]
        asked = codes[start : start + step]
        found = index.search(
            asked, k, exclude=exclude, max_distance=max_distance, distance=distance
        )
        near = [found[number].neighbours for number in range(len(part))]
        nearest = [neighbours[0] if neighbours else None for neighbours in near]
        # what has nothing so near is told what is nearest
        alone = [number for number, one in enumerate(nearest) if one is None]
        if alone:
            banned = [exclude[number] for number in alone]
            others = index.search(asked[alone], 1, exclude=banned, distance=distance)
            for place, number in enumerate(alone):
                nearest[number] = next(iter(others[place].neighbours), None)
        for number, query in enumerate(part):
            yield PictureResult(
                query.path,
                [index.images.paths[row] for row in own[query.digest]],
                near[number],
                nearest[number],
                query.pixels,
            )
