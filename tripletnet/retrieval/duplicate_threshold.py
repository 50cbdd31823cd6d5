"""How near two codes must be to mean one picture: measured on one's own pictures, altered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

import numpy as np

from tripletnet.data.alter import ALTERATIONS, MILD
from tripletnet.data.decode import ImageError, decode_image
from tripletnet.data.opencv import cv2
from tripletnet.data.resize import resize_image
from tripletnet.errors import InputError
from tripletnet.retrieval.duplicates import first_copies

if TYPE_CHECKING:
    from tripletnet.retrieval.encoder import Encoder
    from tripletnet.retrieval.index import Index

#: The share of pictures that are taken to have an altered copy in the index.
PREVALENCE = 0.1

_LONGEST = 256  # pixels; larger pictures are shrunk before they are altered
_FEWEST = 10
_BLOCK = 64
_NEAREST, _LOOK_ALIKE = 10, 0.9


@dataclass(frozen=True)
class DuplicateThreshold:
    """The distance up to which two pictures count as near-duplicates, and what it is worth.

    Attributes
    ----------
    distance : float
        Squared Euclidean; the largest measured one that keeps to `wanted_precision`.
    wanted_precision, precision : float
        Of what is found, the share that is right, if :data:`PREVALENCE` of the pictures have an
        altered copy: PREVALENCE * recall / (PREVALENCE * recall + wrong).
    recall : float
        The share of altered pictures that lie within the distance of their original.
    recalls : dict of str to float
        The same for each way of altering.
    wrong : float
        The share of altered pictures within whose distance lies a picture that is not their
        original.
    pictures : int
        How many pictures were altered, each in all ways.
    look_alikes : int
        How many of them have a picture in the index that looks the same already, which does not
        count as wrong.
    unreadable : int
        How many more were drawn and could not be read.
    index_size : int
        How many pictures the index has: among more of them something else is found more often.
    """

    distance: float
    wanted_precision: float
    precision: float
    recall: float
    recalls: dict[str, float]
    wrong: float
    pictures: int
    look_alikes: int
    unreadable: int
    index_size: int

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        found = ", ".join(f"{name} {recall:.0%}" for name, recall in self.recalls.items())
        lost = f" ({self.unreadable} more could not be read)" if self.unreadable else ""
        return (
            f"calibrated on {self.pictures} of {self.index_size:,} pictures{lost}, altered: a "
            f"squared distance of {self.distance:.4f} finds {self.recall:.0%} of them again "
            f"({found}), and something else for {self.wrong:.2%}, about "
            f"{self.wrong * self.index_size:,.0f} pictures of this index; precision "
            f"{self.precision:.1%} if one picture in {round(1 / PREVALENCE)} has an altered copy"
        )


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
    root = index.images.root
    if root is None or not Path(root).is_dir():
        raise InputError(
            f"{root or 'root'}: the folder of the index's pictures is not there, and the distance "
            "is calibrated on them: give --max-distance"
        )
    if not 0 < precision < 1:
        raise InputError(f"precision is {precision}: give a share above 0 and below 1, as 0.95")
    if encoder.fingerprint != index.images.fingerprint:
        raise InputError(
            f"{encoder.run}: its encoder is not the one that made this index: give that one's run, "
            "or --max-distance"
        )
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
        originals = {row: picture for row in block if (picture := _picture(index, row)) is not None}
        unreadable += len(block) - len(originals)
        if originals:
            near, far, passed_over = _distances(
                index, encoder, originals, strengths, random, thumbnails
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


def choose_duplicate_threshold(
    same: np.ndarray,
    other: np.ndarray,
    names: list[str],
    *,
    precision: float,
    index_size: int,
    look_alikes: int = 0,
    unreadable: int = 0,
) -> DuplicateThreshold:
    """Choose the largest distance that keeps to a precision.

    Parameters
    ----------
    same, other : ndarray of float, shape (N, A)
        For N pictures, altered in A ways, the distance from the original and from the nearest
        other picture.
    names : list of str
        The ways.
    precision, index_size, look_alikes, unreadable
        See :class:`DuplicateThreshold`.

    Raises
    ------
    InputError
        If no distance keeps to it.

    Examples
    --------
    >>> same, other = np.array([[0.1], [0.2], [0.3]]), np.array([[0.25], [0.4], [0.6]])
    >>> choose_duplicate_threshold(same, other, ["crop"], precision=0.9, index_size=9).distance
    0.2
    """
    tried = np.unique(same)
    recall = np.searchsorted(np.sort(same, axis=None), tried, "right") / same.size
    wrong = np.searchsorted(np.sort(other, axis=None), tried, "right") / other.size
    reached = PREVALENCE * recall / (PREVALENCE * recall + wrong)
    good = np.flatnonzero(reached >= precision)
    if not len(good):
        raise InputError(
            f"precision: no distance keeps to {precision:g} on altered pictures of this index, the "
            f"best is {reached.max():.4g}: ask for less, or give --max-distance"
        )
    chosen = good[-1]
    recalls = (same <= tried[chosen]).mean(axis=0)
    return DuplicateThreshold(
        distance=float(tried[chosen]),
        wanted_precision=precision,
        precision=float(reached[chosen]),
        recall=float(recall[chosen]),
        recalls={name: float(value) for name, value in zip(names, recalls)},
        wrong=float(wrong[chosen]),
        pictures=len(same),
        look_alikes=look_alikes,
        unreadable=unreadable,
        index_size=index_size,
    )


def _distances(
    index: Index,
    encoder: Encoder,
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
        own = np.stack([_thumbnail(originals[owner]), _thumbnail(picture)])
        for row, distance in zip(found.rows[query].tolist(), found.distances[query]):
            if row >= 0 and row not in thumbnails:
                shown = _picture(index, row, small=True)
                thumbnails[row] = None if shown is None else _thumbnail(shown)
            if row < 0 or not _alike(own, thumbnails[row]):
                other[query] = distance
                break
            with_look_alikes.add(owner)
    return same.reshape(-1, ways), other.reshape(-1, ways), len(with_look_alikes)


def _alike(own: np.ndarray, other: Optional[np.ndarray]) -> bool:
    """Return whether one of some thumbnails shows the same as another, mirrored or not."""
    if other is None:
        return False
    ways_round = np.stack([other, other[:, ::-1]])
    return float(np.einsum("aij,bij->ab", own, ways_round).max()) >= _LOOK_ALIKE


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """Return the grey picture at 16 x 16 pixels, smoothed, of mean 0 and length 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (16, 16), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1)
    small = small - small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _picture(index: Index, row: int, small: bool = False) -> Optional[np.ndarray]:
    """Return a picture of the index, `_LONGEST` at most a side; None if it cannot be read."""
    path = Path(index.images.root or "") / index.images.paths[row]
    try:
        if small:
            return decode_image(path, size=(64, 64), fit="stretch")
        picture = decode_image(path)
    except ImageError:
        return None
    height, width = picture.shape[:2]
    scale = min(1.0, _LONGEST / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return resize_image(picture, size, "stretch")
