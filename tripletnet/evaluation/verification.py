"""How far the codes separate same from different, pair by pair and cluster by cluster."""

from __future__ import annotations

import numpy as np

from tripletnet.codes import check_classes, check_codes, check_labels
from tripletnet.errors import InputError

ALL_AT_ONCE = 20_000
"""Up to so many codes `nmi` takes Lloyd's k-means, beyond that mini-batches."""


def roc_auc(same: np.ndarray, different: np.ndarray) -> float:
    """Return the area under the ROC curve of telling same from different pairs by distance.

    Parameters
    ----------
    same, different : ndarray of float, shape (P,) and (Q,)
        Distances of pairs of one class and of pairs of two: all there are or samples, in any
        numbers, which do not change the area.

    Returns
    -------
    float
        The probability that a same pair is nearer than a different one, a tie counted half:
        1 is perfect, 0.5 is chance.

    Raises
    ------
    InputError
        If there are no distances of either kind, or one of them is NaN.

    Notes
    -----
    The Mann-Whitney statistic: with the sum S of the ranks of the P same distances among all,
    ties at their mean rank, AUC = 1 - (S - P (P + 1) / 2) / (P Q).

    Examples
    --------
    Of four comparisons three go right and one is a tie:

    >>> roc_auc(np.array([0.1, 0.5]), np.array([0.5, 2.0]))
    0.875
    """
    if not len(same) or not len(different):
        raise InputError(
            f"pairs: {len(same)} same and {len(different)} different ones; at least one of each "
            "kind is needed"
        )
    from scipy.stats import rankdata  # slow to import: not for those who only train

    distances = np.concatenate([same, different])
    if np.isnan(distances).any():
        raise InputError("pairs: some distances are NaN; look for NaN in the codes")
    ranks = rankdata(distances)
    wins = ranks[: len(same)].sum() - len(same) * (len(same) + 1) / 2
    return float(1 - wins / len(same) / len(different))


def nmi(codes: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Return the normalised mutual information of k-means clusters and classes.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        Codes.
    labels : ndarray of int or str, shape (N,)
        Their classes; there are as many clusters.
    seed : int
        Draws the first centres. Up to 20,000 codes the best of three starts of Lloyd's
        k-means counts, beyond that k-means on mini-batches, likewise.

    Returns
    -------
    float
        I(clusters; classes) / ((H(clusters) + H(classes)) / 2): 1 if the clusters are the
        classes, near 0 if they have nothing to do with them.

    Raises
    ------
    InputError
        If codes and labels do not fit together, are not finite or hold one class only.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.metrics import normalized_mutual_info_score

    codes = check_codes(codes)
    classes, index = check_classes(check_labels(labels, len(codes)))
    kind = KMeans if len(codes) <= ALL_AT_ONCE else MiniBatchKMeans
    clusters = kind(len(classes), n_init=3, random_state=seed).fit_predict(codes)
    return float(normalized_mutual_info_score(index, clusters, average_method="arithmetic"))
