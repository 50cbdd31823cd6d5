"""How well codes agree with what was judged without classes."""

from __future__ import annotations

import numpy as np

from tripletnet.codes.nearest import nearest
from tripletnet.evaluation.pairs import PairDistances, paired_distances


def triplet_distances(codes: np.ndarray, triplets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squared distances of anchor and same, and of anchor and diff, (T,) each.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        Codes.
    triplets : ndarray of int, shape (T, 3)
        Rows of `codes`: anchor, same, diff.
    """
    return (
        paired_distances(codes, triplets[:, 0], triplets[:, 1]),
        paired_distances(codes, triplets[:, 0], triplets[:, 2]),
    )


def ordered_right(d_same: np.ndarray, d_diff: np.ndarray) -> float:
    """Return the share of triplets whose same is nearer than their diff: count / T, a tie is wrong.

    Examples
    --------
    >>> ordered_right(np.array([0.1, 0.5, 0.2]), np.array([0.4, 0.3, 0.2]))
    0.3333333333333333
    """
    return float((d_same < d_diff).mean())


def originals_first(codes: np.ndarray, altered: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of altered images whose original is the nearest of all images.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        Codes of the originals.
    altered : ndarray of float32, shape (Q, D)
        Codes of altered ones.
    rows : ndarray of int, shape (Q,)
        Which original each was made of.

    Notes
    -----
    Count / Q. Of originals at the same distance the first counts.
    """
    _, found = nearest(codes, altered, k=1)
    return float((found[:, 0] == rows).mean())


def as_pairs(same: np.ndarray, different: np.ndarray) -> PairDistances:
    """Return distances of given pairs as what a threshold is chosen on."""
    return PairDistances(np.sort(same), np.sort(different), len(same), len(different))
