"""Two pictures: how far apart their codes are, and whether they count as the same."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional, Union

import numpy as np

from tripletnet.codes.distances import Distance, SquaredEuclidean
from tripletnet.errors import InputError
from tripletnet.files import PathLike, finite
from tripletnet.registry import DISTANCES
from tripletnet.retrieval.encoder import Encoder


@dataclass(frozen=True)
class Comparison:
    """How alike two pictures are.

    Attributes
    ----------
    distance : float
        Of their codes: 0 for equal ones.
    threshold : float or None
        The distance up to which two pictures count as the same, if one is known.
    unit : str
        Which distance it is.
    """

    distance: float
    threshold: Optional[float] = None
    unit: str = SquaredEuclidean.label

    @property
    def same(self) -> Optional[bool]:
        """Whether they count as the same; None if there is no threshold to tell by."""
        return None if self.threshold is None else bool(self.distance <= self.threshold)

    def __str__(self) -> str:
        told = f"{self.unit} distance {self.distance:.4f}"
        if self.threshold is None:
            return f"{told}; there is no threshold to judge it by"
        return f"{'same' if self.same else 'different'}: {told}, threshold {self.threshold:.4f}"

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "threshold": finite(self.threshold), "same": self.same}


def compare(
    encoder: Encoder,
    first: PathLike,
    second: PathLike,
    threshold: Optional[float] = None,
    distance: Union[str, Distance] = "squared",
) -> Comparison:
    """Compare two pictures.

    Parameters
    ----------
    encoder : Encoder
        Whose codes to compare.
    first, second : str or Path
        The pictures' files.
    threshold : float, optional
        The distance up to which they count as the same. Default: that of the run.
    distance : str or Distance
        ``squared``, ``euclidean`` or ``cosine``.

    Raises
    ------
    InputError
        If a picture cannot be used, the threshold is none, or there is no such distance.
    """
    if threshold is not None and not threshold >= 0:
        raise InputError(f"max_distance: {threshold} is no distance; use 0 or more")
    measure = DISTANCES.choose(distance)
    if threshold is None and encoder.threshold is not None:
        threshold = float(measure.from_squared(encoder.threshold))
    codes = measure.prepared(encoder.encode([first, second])).astype(np.float64)
    squared = float(((codes[0] - codes[1]) ** 2).sum())
    return Comparison(float(measure.from_squared(squared)), threshold, measure.label)
