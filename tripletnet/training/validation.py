"""Judge the network on images that it does not learn from, and keep the best weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from tripletnet.data.images import ImageSet
from tripletnet.errors import InputError
from tripletnet.files import PathLike, atomic_path
from tripletnet.retrieval.encode import encode
from tripletnet.retrieval.nearest import nearest
from tripletnet.training.callbacks import Callback

if TYPE_CHECKING:
    from tripletnet.training.trainer import Trainer


class Validation(Callback):
    """Measure Recall@1 on validation images from time to time.

    Parameters
    ----------
    images : ImageSet
        Of the same classes as the training images, and none of them.
    best : str or Path
        Where to keep the best weights so far.
    every : int
        After how many training images to measure; also after the last.
    patience : int, optional
        Stop after so many measurements in a row without a better one; never by default.

    Attributes
    ----------
    rows : list of dict
        ``images`` and ``recall_at_1`` of each measurement.

    Notes
    -----
    Recall@1 is the share of images whose nearest other validation image is of their own class;
    images that are alone in their class are left out.
    """

    def __init__(
        self, images: ImageSet, best: PathLike, every: int, patience: Optional[int] = None
    ) -> None:
        if patience is not None and patience < 1:
            raise InputError(f"patience is {patience}: give 1 or more")
        self._images = images
        self._every = every
        self._patience = patience
        self._worse = 0
        self.best = Path(best)
        self.rows: list[dict[str, float]] = []

    def wants_weights(self, trainer: Trainer) -> bool:
        """Tell whether it is time to measure."""
        now, before = trainer.images_seen, trainer.images_seen - trainer.batch_size
        return trainer.step == trainer.steps or now // self._every > before // self._every

    def on_weights(self, trainer: Trainer) -> None:
        """Measure; keep the weights if they are the best; stop if they have long not been."""
        codes = encode(trainer.network, self._images, trainer.batch_size, trainer.device)
        recall = recall_at_1(codes, self._images.labels)
        if recall > max((row["recall_at_1"] for row in self.rows), default=-1.0):
            self._worse = 0
            with atomic_path(self.best) as scratch:
                trainer.network.save_parameters(str(scratch))
        else:
            self._worse += 1
            if self._patience is not None and self._worse >= self._patience:
                trainer.stop()
        self.rows.append({"images": trainer.images_seen, "recall_at_1": recall})

    def state(self) -> Any:
        """Return the measurements."""
        return {"rows": self.rows, "worse": self._worse}

    def restore(self, state: Any) -> None:
        """Take the measurements back."""
        self.rows, self._worse = state["rows"], state["worse"]


def recall_at_1(codes: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of codes, (N, D), whose nearest other one has their label, (N,).

    Codes that are alone with their label are left out; 0 if all are.
    """
    _, members, counts = np.unique(labels, return_inverse=True, return_counts=True)
    paired = np.flatnonzero(counts[members] > 1)
    if not len(paired):
        return 0.0
    _, found = nearest(codes, codes[paired], k=1, exclude_self=paired)
    return float((labels[found[:, 0]] == labels[paired]).mean())
