"""How near two codes must be to mean one picture: measured on one's own pictures, altered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

import numpy as np

from tripletnet.data.alter import ALTERATIONS, MILD
from tripletnet.data.decode import ImageError, decode_image
from tripletnet.data.resize import resize_image
from tripletnet.errors import InputError
from tripletnet.retrieval.duplicate_threshold import DuplicateThreshold, choose_duplicate_threshold
from tripletnet.retrieval.duplicates import first_copies
from tripletnet.retrieval.look_alike import look_alike, thumbnail
from tripletnet.retrieval.originals import Originals
from tripletnet.retrieval.same_encoder import check_same_encoder

if TYPE_CHECKING:
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.retrieval.index import Index

_LONGEST = 256  # pixels; larger pictures are shrunk before they are altered
_FEWEST = 10
_BLOCK = 64
_NEAREST = 10


def calibrate_duplicates(
    index: Index,
    encoder: Encoder,
    *,
    precision: float = 0.95,
    pictures: int = 500,
    strengths: Mapping[str, float] = MILD,
    seed: int = 0,
    progress: Optional[Callable[[int, int], None]] = None,
) -> DuplicateThreshold:
    """Choose the distance for near-duplicates by altering pictures of the index.

    Parameters
    ----------
    index : Index
        Codes, and where their pictures lie.
    encoder : Encoder
        What made the codes.
    precision : float
        What to keep to, see :class:`DuplicateThreshold`.
    pictures : int
        How many to draw, at most.
    strengths : mapping of str to float
        How strongly to alter in each of the ways of :data:`tripletnet.data.alter.ALTERATIONS`.
    seed : int
        Decides which pictures are drawn and how they are altered.
    progress : callable, optional
        Called as ``progress(done, total)``, in pictures.

    Raises
    ------
    InputError
        If the encoder is another one, the pictures are not there or fewer than ten can be used,
        or no distance keeps to the precision.

    Notes
    -----
    The index may well hold near-duplicates already, and to find those is not wrong. So pictures
    with an exact copy are not drawn, and of the ten nearest to an altered one those that look like
    it or its original are passed over: their grey thumbnails of 16 x 16 pixels, as they are or
    mirrored, have a correlation of 0.9 or more.
    """
    check_same_encoder(index.images, encoder.run, encoder.fingerprint)
    root = index.images.root
    if root is None or not Path(root).is_dir():
        raise InputError(
            f"{root or 'root'}: the folder of the index's pictures is not there, and the distance "
            "is calibrated on them: give --max-distance"
        )
    if not 0 < precision < 1:
        raise InputError(f"precision is {precision}: give a share above 0 and below 1, as 0.95")
    files, paths = Originals(index.images), index.images.paths
    random = np.random.default_rng(seed)
    digests = index.images.digests or [""] * len(index)
    first, copies = np.unique(first_copies(digests), return_counts=True)
    single = first[copies == 1]
    rows = np.sort(random.choice(single, min(pictures, len(single)), replace=False))
    same: list[np.ndarray] = []
    other: list[np.ndarray] = []
    thumbnails: dict[int, Optional[np.ndarray]] = {}
    look_alikes = unreadable = 0
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK].tolist()
        read = {row: _picture(files, paths[row]) for row in block}
        originals = {row: picture for row, picture in read.items() if picture is not None}
        unreadable += len(block) - len(originals)
        if originals:
            near, far, passed_over = _distances(
                index, encoder, files, originals, strengths, random, thumbnails
            )
            same.append(near)
            other.append(far)
            look_alikes += passed_over
        if progress is not None:
            progress(start + len(block), len(rows))
    used = sum(len(part) for part in same)
    if used < _FEWEST:
        raise InputError(
            f"{root}: {used} pictures of this index can be used to calibrate the "
            f"distance, and it takes {_FEWEST}: give --max-distance"
        )
    return choose_duplicate_threshold(
        np.concatenate(same),
        np.concatenate(other),
        list(strengths),
        precision=precision,
        index_size=len(index),
        look_alikes=look_alikes,
        unreadable=unreadable,
    )


def _distances(
    index: Index,
    encoder: Encoder,
    files: Originals,
    originals: Mapping[int, np.ndarray],
    strengths: Mapping[str, float],
    random: np.random.Generator,
    thumbnails: dict[int, Optional[np.ndarray]],
) -> tuple[np.ndarray, np.ndarray, int]:
    """Alter pictures; return the distances from their own and the nearest other, (n, A) each.

    The last is for how many pictures look-alikes were passed over; `thumbnails` are those that
    were made before, by their rows.
    """
    size = (encoder.image_size, encoder.image_size)
    altered = [
        ALTERATIONS[name](picture, strength, random)
        for picture in originals.values()
        for name, strength in strengths.items()
    ]
    queries = encoder.encode(np.stack([resize_image(a, size, encoder.fit) for a in altered]))
    ways = len(strengths)
    owners = [row for row in originals for _ in range(ways)]
    same = ((queries - index.codes(owners)) ** 2).sum(axis=1)
    found = index.search(queries, _NEAREST, exclude=[[row] for row in owners])
    other = found.distances[:, -1].copy()
    with_look_alikes = set()
    for query, (owner, picture) in enumerate(zip(owners, altered)):
        own = np.stack([thumbnail(originals[owner]), thumbnail(picture)])
        for row, distance in zip(found.rows[query].tolist(), found.distances[query]):
            if row >= 0 and row not in thumbnails:
                shown = _picture(files, index.images.paths[row], small=True)
                thumbnails[row] = None if shown is None else thumbnail(shown)
            if row < 0 or not look_alike(own, thumbnails[row]):
                other[query] = distance
                break
            with_look_alikes.add(owner)
    return same.reshape(-1, ways), other.reshape(-1, ways), len(with_look_alikes)


def _picture(files: Originals, path: str, small: bool = False) -> Optional[np.ndarray]:
    """Return a picture of the index, `_LONGEST` at most a side; None if it cannot be had."""
    try:
        data = files.read(path)
        if small:
            return decode_image(data, size=(64, 64), fit="stretch")
        picture = decode_image(data)
    except ImageError:
        return None
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return resize_image(picture, size, "stretch")
