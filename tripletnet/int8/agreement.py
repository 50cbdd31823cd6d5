"""Whether the codes of the encoder in int8 are those of the encoder in fp32."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Optional

import numpy as np

from tripletnet.evaluation.metrics import retrieval_metrics

#: The mean cosine, and that of the worst image, from which on codes count as the same.
MEAN_COSINE, LEAST_COSINE = 0.999, 0.99
#: By how much MAP@R may differ.
MAP_AT_R = 0.002


@dataclass(frozen=True)
class Agreement:
    """How near the codes of two encoders are on the same images.

    Attributes
    ----------
    images : int
        How many images were encoded.
    cosine : float
        Of the two codes of an image, on average.
    least_cosine : float
        Of the image where it is least.
    map_at_r_fp32, map_at_r_int8 : float or None
        MAP@R of either encoder's codes; None where no two of the images share a class.
    """

    images: int
    cosine: float
    least_cosine: float
    map_at_r_fp32: Optional[float] = None
    map_at_r_int8: Optional[float] = None

    @property
    def difference(self) -> float:
        """By how much MAP@R differs; 0 where it is not known."""
        if self.map_at_r_fp32 is None or self.map_at_r_int8 is None:
            return 0.0
        return abs(self.map_at_r_fp32 - self.map_at_r_int8)

    @property
    def objection(self) -> str:
        """What speaks against taking one for the other; empty if nothing does."""
        if not self.cosine >= MEAN_COSINE:
            return f"the mean cosine of its codes to those of fp32 is {self.cosine:.4f}"
        if not self.least_cosine >= LEAST_COSINE:
            return f"the code of an image has cosine {self.least_cosine:.4f} to that of fp32"
        if not self.difference <= MAP_AT_R:
            return f"its MAP@R differs from that of fp32 by {100 * self.difference:.2f} points"
        return ""

    def to_json(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def agreement(fp32: np.ndarray, int8: np.ndarray, labels: Optional[np.ndarray]) -> Agreement:
    """Compare two encoders' codes of the same images.

    Parameters
    ----------
    fp32, int8 : ndarray of float32, shape (N, D)
        Rows of unit length. One that is not (a number that is none) has cosine 0.
    labels : ndarray of int, shape (N,), or None
        The images' classes.
    """
    cosines = np.nan_to_num((fp32 * int8).sum(axis=1, dtype=np.float64), nan=0.0)
    figures: list[Optional[float]] = [None, None]
    finite = np.isfinite(fp32).all() and np.isfinite(int8).all()
    if labels is not None and finite and 1 < len(np.unique(labels)) < len(labels):
        figures = [retrieval_metrics(c, labels, ks=(1,)).map_at_r for c in (fp32, int8)]
    mean, least = float(cosines.mean()), float(cosines.min())
    return Agreement(len(fp32), mean, least, *figures)
