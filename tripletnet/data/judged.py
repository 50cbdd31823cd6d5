"""Images and what was judged of them, row by row: the base of triplets and pairs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import ClassVar, Optional, TypeVar

import numpy as np

from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError

Set = TypeVar("Set", bound="JudgedSet")


class IncompleteRows(InputError):
    """Rows lack what learning or validating takes.

    Parameters
    ----------
    name : str
        What the data are called.
    reason : str
        What is lacking.
    remedy : str
        What to do where these are all rows that there are.
    """

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        super().__init__(f"{name}: {reason}: {remedy}")
        self.reason = reason


@dataclass(frozen=True)
class JudgedSet:
    """Rows of images.

    Parameters
    ----------
    images : ImageSet
        The images, without classes.
    rows : ndarray of int32, shape (R, images_each)
        The images of each row, as positions in `images`.
    truths : ndarray of int8, shape (R,)
        What each row says, 1 or 0; empty where rows say nothing.
    """

    images: ImageSet
    rows: np.ndarray
    truths: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))

    supervision: ClassVar[str]
    images_each: ClassVar[int]
    classes: ClassVar[tuple[str, ...]] = ()
    label_count: ClassVar[int] = 0
    #: How a file calls the images of a row, and what it says.
    columns: ClassVar[tuple[str, ...]]
    truth_column: ClassVar[Optional[str]] = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def name(self) -> str:
        """What the data are called in figures and pictures."""
        return self.images.name

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of every image."""
        return self.images.image_shape

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and the labels of some rows: see `tripletnet.data.examples`."""
        raise NotImplementedError

    def subset(self: Set, chosen: np.ndarray) -> Set:
        """Return the rows that the mask `chosen` picks, with the images that they name."""
        rows = self.rows[chosen]
        named = np.zeros(len(self.images), bool)
        named[rows] = True
        position = np.cumsum(named, dtype=np.int32) - 1
        return replace(
            self,
            images=self.images.subset(np.flatnonzero(named)),
            rows=position[rows],
            truths=self.truths[chosen] if len(self.truths) else self.truths,
        )

    def completed(self: Set, seed: int) -> tuple[Set, list[str]]:
        """Return these rows and what they leave to chance, and what to say of that.

        Raises
        ------
        IncompleteRows
            If that cannot make up for what they lack.
        """
        return self, []

    def identity(self) -> dict[str, object]:
        """Return what tells these rows from others, for JSON."""
        digest = hashlib.sha256(str(self.images.identity()["sha256"]).encode())
        digest.update(np.ascontiguousarray(self.rows, dtype="<i4").tobytes())
        digest.update(np.ascontiguousarray(self.truths, dtype=np.int8).tobytes())
        return {
            "dataset": self.name,
            "size": len(self),
            "images": len(self.images),
            "sha256": digest.hexdigest(),
        }

    @staticmethod
    def contradictions(contents: np.ndarray, truths: np.ndarray) -> np.ndarray:
        """Tell which rows call different what is the same picture, (R,) bool.

        Parameters
        ----------
        contents : ndarray of int, shape (R, images_each)
            Equal numbers stand for images that are byte for byte the same.
        truths : ndarray of int8, shape (R,)
            What the rows say.
        """
        raise NotImplementedError
