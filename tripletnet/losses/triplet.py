"""The triplet hinge over given triplets."""

from __future__ import annotations

from typing import Any

from tripletnet.backend import mx
from tripletnet.codes.distances import squared_euclidean
from tripletnet.losses.checks import positive


def triplet_hinge(d_same: Any, d_diff: Any, margin: float = 1.0) -> Any:
    """Return max(0, margin - (d_diff - d_same)) for each triplet.

    Parameters
    ----------
    d_same : array of any shape
        Distance of the anchor to the same image. NumPy arrays, NDArrays and Symbols are taken.
    d_diff : array of the same shape
        Distance of the anchor to the diff image.
    margin : float
        By how much the diff image is to be farther away, in the distances' unit.

    Returns
    -------
    array of the same shape
        0 where the triplet is already right by the margin.

    References
    ----------
    Lai, Pan, Liu, Yan (2015), "Simultaneous Feature Learning and Hash Coding with Deep Neural
    Networks", CVPR: the same hinge, margin 1, on squared distances.

    Examples
    --------
    >>> triplet_hinge(np.array([0.5, 0.5]), np.array([0.25, 2.0]))
    array([1.25, 0.  ])
    """
    slack = margin + d_same - d_diff
    return slack * (slack > 0)


class TripletHinge(mx.gluon.HybridBlock):
    """The triplet hinge on squared Euclidean distances of codes.

    Per triplet, before any averaging: max(0, margin - (|fa - fd|^2 - |fa - fs|^2)).

    Parameters
    ----------
    margin : float
        By how much the diff image is to be farther away, in squared distance.

    Notes
    -----
    Shapes: three inputs (N, D), the codes of anchors, sames and diffs; output (N,).
    """

    def __init__(self, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = positive(margin, "margin")

    def hybrid_forward(self, F: Any, fa: Any, fs: Any, fd: Any) -> Any:
        """Return the loss of each triplet."""
        return triplet_hinge(squared_euclidean(fa, fs), squared_euclidean(fa, fd), self.margin)
