"""Codes brought down to two dimensions, to look at."""

from __future__ import annotations

import numpy as np


def project_pca(codes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the two principal components of codes.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        The codes.
    seed : int
        Decides what is random in the method.

    Returns
    -------
    ndarray of float32, shape (N, 2)
        A second column of zeros where the codes have one dimension only.
    """
    return _principal(codes, 2, seed)


def project_tsne(codes: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return t-SNE's picture of codes: neighbours stay near, distances further off mean nothing.

    Parameters
    ----------
    codes : ndarray of float32, shape (N, D)
        The codes; the time grows with N log N, 2,000 take some ten seconds.
    seed : int
        Decides what is random in the method.

    Returns
    -------
    ndarray of float32, shape (N, 2)
        The principal components where there are fewer than four codes or all are equal.

    Notes
    -----
    Starts from the principal components, of which it takes the first 50. The perplexity is 30, or
    a third of the codes if there are fewer than 90.

    References
    ----------
    L. van der Maaten and G. Hinton, "Visualizing Data using t-SNE", JMLR 9, 2008.
    """
    from sklearn.manifold import TSNE

    components = _principal(codes, min(50, codes.shape[1]), seed)
    if components.shape[1] < 2:
        components = np.pad(components, ((0, 0), (0, 1)))
    start = components[:, :2]
    spread = start[:, 0].std()
    if len(codes) < 4 or spread < 1e-12:
        return start
    tsne = TSNE(
        perplexity=min(30.0, (len(codes) - 1) / 3),
        init=start * (1e-4 / spread),
        random_state=seed,
        n_jobs=-1,
    )
    return tsne.fit_transform(components)


def _principal(codes: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Return `number` principal components, the last of them 0 where there are no more."""
    from sklearn.decomposition import PCA

    if not np.ptp(codes, axis=0).any():
        return np.zeros((len(codes), number), np.float32)
    found = PCA(min(number, *codes.shape), random_state=seed).fit_transform(codes)
    return np.pad(found, ((0, 0), (0, number - found.shape[1])))
