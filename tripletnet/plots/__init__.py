"""Pictures of what was learnt. Every one carries the name of its data set."""

from tripletnet.plots.confusion import confusion_matrix
from tripletnet.plots.distances import distance_histogram, threshold_curve
from tripletnet.plots.neighbour_mosaic import neighbour_mosaic
from tripletnet.plots.output import figure_png, picture_data, save_figure, save_picture
from tripletnet.plots.projection import projection
from tripletnet.plots.retrieval import retrieval_grid
from tripletnet.plots.training import training_curves

__all__ = [
    "confusion_matrix",
    "distance_histogram",
    "figure_png",
    "neighbour_mosaic",
    "picture_data",
    "projection",
    "retrieval_grid",
    "save_figure",
    "save_picture",
    "threshold_curve",
    "training_curves",
]
