"""Pictures of what the network finds alike, drawn as it learns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tripletnet.codes.nearest import nearest
from tripletnet.data.examples import Examples
from tripletnet.data.images import ImageSet
from tripletnet.files import PathLike
from tripletnet.plots import neighbour_mosaic, save_picture
from tripletnet.training.callbacks import Callback, is_due

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer


_DIGITS = 9  # in the name of a picture


class NeighbourGrids(Callback):
    """Draw the nearest images of a few queries from time to time, always of the same queries.

    Parameters
    ----------
    examples : Examples
        Whose images to search, and where the queries come from.
    name : str
        What the pictures call the images: ``validation images``.
    folder : str or Path
        Where the pictures ``IMAGES-SEEN.png`` go. Those of an earlier run are removed, and so are
        those that come after the step from which a run goes on.
    every : int
        After how many training images to draw; also after the last.
    seed : int
        Decides which images are looked at.
    queries, neighbours, searched : int
        How many rows and columns, and among how many images the neighbours are looked for.

    Attributes
    ----------
    drawn : list of (int, Path)
        After how many images each picture was drawn, and where it lies.
    """

    def __init__(
        self,
        examples: Examples,
        name: str,
        folder: PathLike,
        every: int,
        seed: int = 0,
        queries: int = 8,
        neighbours: int = 10,
        searched: int = 500,
    ) -> None:
        random = np.random.default_rng((seed, 4))
        images: Any = getattr(examples, "images", examples)  # an ImageSet is its own
        self._images: ImageSet = images.subset(random.permutation(len(images))[:searched])
        self._has_classes = examples.supervision == "classes"
        self._name = name
        self._folder = Path(folder)
        self._every = every
        self._queries = np.arange(min(queries, len(self._images)))
        self._neighbours = min(neighbours, len(self._images) - 1)
        self.drawn: list[tuple[int, Path]] = []

    def on_start(self, trainer: Trainer) -> None:
        """Find the pictures that this run has drawn before, and remove all others."""
        self.drawn = []
        for path in sorted(self._folder.glob(f"{'[0-9]' * _DIGITS}.png")):
            if trainer.step and int(path.stem) <= trainer.images_seen:
                self.drawn.append((int(path.stem), path))
            else:
                path.unlink()

    def wants_weights(self, trainer: Trainer) -> bool:
        """Tell whether it is time to draw."""
        return self._neighbours > 0 and is_due(trainer, self._every)

    def on_weights(self, trainer: Trainer) -> None:
        """Draw the picture."""
        images, queries = self._images, self._queries
        codes = trainer.codes_of(images)
        _, found = nearest(codes, codes[queries], self._neighbours, exclude_self=queries)
        picture = neighbour_mosaic(
            images.take(queries),
            images.take(found.ravel()).reshape(*found.shape, *images.image_shape, 3),
            images.labels[found] == images.labels[queries, None] if self._has_classes else None,
            f"{images.name} after {trainer.images_seen:,} images: queries, and the nearest of "
            f"{len(images)} {self._name}",
        )
        path = self._folder / f"{trainer.images_seen:0{_DIGITS}d}.png"
        save_picture(picture, path)
        self.drawn.append((trainer.images_seen, path))
