"""Pictures of what was learnt. Every one carries the name of its data set."""

from tripletnet.plots.confusion import confusion_matrix
from tripletnet.plots.distances import distance_histogram, threshold_curve
from tripletnet.plots.output import figure_png, picture_data, save_figure
from tripletnet.plots.projection import projection
from tripletnet.plots.retrieval import retrieval_grid
from tripletnet.plots.training import training_curves

__all__ = [
    "confusion_matrix",
    "distance_histogram",
    "figure_png",
    "picture_data",
    "projection",
    "retrieval_grid",
    "save_figure",
    "threshold_curve",
    "training_curves",
]
