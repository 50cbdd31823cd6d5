"""What there is to learn from, whatever shows what is similar: classes, triplets, pairs, views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Optional, Protocol, TypeVar

import numpy as np

from tripletnet.data.scan import LeftOut


class Examples(Protocol):
    """What training learns from: examples of one or several images each.

    An :class:`tripletnet.data.images.ImageSet` is one, whose examples are single images.
    """

    #: What shows what is similar: ``classes``, ``triplets`` or ``pairs`` of a file, or ``views``.
    supervision: ClassVar[str]
    #: How many images an example has.
    images_each: ClassVar[int]

    @property
    def name(self) -> str:
        """What the data are called in figures and pictures."""

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of every image."""

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes; empty where there are none."""

    @property
    def label_count(self) -> int:
        """How many different labels :meth:`draw` gives."""

    def __len__(self) -> int:
        """Return how many examples there are."""

    def draw(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and the labels of the examples at `indices`.

        Parameters
        ----------
        indices : ndarray of int, shape (n,)
            Examples.

        Returns
        -------
        pixels : ndarray of uint8, shape (n * images_each, H, W, 3)
            The first image of every example, then the second of every one, and so on.
        labels : ndarray of int64
            As the losses for this kind of examples take them.
        """

    def identity(self) -> dict[str, object]:
        """Return what tells these examples from others, for JSON."""


Kind = TypeVar("Kind", bound=Examples, covariant=True)


@dataclass(frozen=True)
class LoadedExamples(Generic[Kind]):
    """Examples to learn from, and what a run has to remember of how they were loaded.

    Attributes
    ----------
    train : Examples
        What to learn from.
    validation : Examples, optional
        What the weights are chosen on; of the same kind.
    split : dict of str to str, optional
        The part of each image by its content hash, where it was cut here.
    left_out : sequence of LeftOut
        Pictures that are not used, and why.
    notices : sequence of str
        What the user should know, a line each.
    recipe : dict
        How the pixels were made, for JSON.
    """

    train: Kind
    validation: Optional[Kind] = None
    split: Optional[Mapping[str, str]] = None
    left_out: Sequence[LeftOut] = ()
    notices: Sequence[str] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
