"""Two pictures: how far apart their codes are, and whether they count as the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional

import numpy as np

from tripletnet.errors import InputError
from tripletnet.files import PathLike, finite
from tripletnet.retrieval.encoder import Encoder


@dataclass(frozen=True)
class Comparison:
    """How alike two pictures are.

    Attributes
    ----------
    distance : float
        Squared Euclidean distance of their codes: 0 for equal ones, 4 at most.
    threshold : float or None
        The distance up to which two pictures count as the same, if one is known.
    """

    distance: float
    threshold: Optional[float] = None

    @property
    def same(self) -> Optional[bool]:
        """Whether they count as the same; None if there is no threshold to tell by."""
        return None if self.threshold is None else self.distance <= self.threshold

    def __str__(self) -> str:
        if self.threshold is None:
            return f"squared distance {self.distance:.4f}; there is no threshold to judge it by"
        verdict = "same" if self.same else "different"
        return f"{verdict}: squared distance {self.distance:.4f}, threshold {self.threshold:.4f}"

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "threshold": finite(self.threshold), "same": self.same}


def compare(
    encoder: Encoder, first: PathLike, second: PathLike, threshold: Optional[float] = None
) -> Comparison:
    """Compare two pictures.

    Parameters
    ----------
    encoder : Encoder
        Whose codes to compare.
    first, second : str or Path
        The pictures' files.
    threshold : float, optional
        The squared distance up to which they count as the same. Default: that of the run.

    Raises
    ------
    InputError
        If a picture cannot be used, or the threshold is none.
    """
    if threshold is not None and not threshold >= 0:
        raise InputError(f"max_distance: {threshold} is no distance; use 0 or more")
    codes = encoder.encode([first, second]).astype(np.float64)
    distance = float(((codes[0] - codes[1]) ** 2).sum())
    return Comparison(distance, encoder.threshold if threshold is None else threshold)
