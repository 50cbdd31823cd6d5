"""Judge codes: NumPy codes and labels in, figures out. Knows neither images nor MXNet."""

from tripletnet.evaluation.metrics import RetrievalMetrics, retrieval_metrics
from tripletnet.evaluation.probe import SVMProbe

__all__ = ["RetrievalMetrics", "SVMProbe", "retrieval_metrics"]
