"""Judge codes: NumPy codes and labels in, figures out. Knows neither images nor MXNet.

`SVMProbe` is loaded when it is first used: scikit-learn takes a second to import, which whoever
only trains or encodes need not wait for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tripletnet.evaluation.metrics import RetrievalMetrics, retrieval_metrics

if TYPE_CHECKING:
    from tripletnet.evaluation.probe import SVMProbe

__all__ = ["RetrievalMetrics", "SVMProbe", "retrieval_metrics"]


def __getattr__(name: str) -> Any:
    if name != "SVMProbe":
        raise AttributeError(f"module 'tripletnet.evaluation' has no attribute '{name}'")
    from tripletnet.evaluation.probe import SVMProbe

    return SVMProbe
