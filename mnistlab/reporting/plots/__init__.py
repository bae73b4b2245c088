"""Arrays -> figures, without computation: every plot is drawn from the files of a run directory.

Each function returns a `Picture`, a matplotlib figure with its text equivalent; `save` writes both. matplotlib is
imported on the first call, without pyplot, so that no global state changes.
"""

from mnistlab.reporting.plots.comparison import Line, Series, against, lines
from mnistlab.reporting.plots.comparison import ranking as ranking_of_settings
from mnistlab.reporting.plots.confusion import class_distribution, confusion
from mnistlab.reporting.plots.confusion_table import confusion_table
from mnistlab.reporting.plots.curves import activations, curves, norms
from mnistlab.reporting.plots.decision_regions import Panel, decision_regions
from mnistlab.reporting.plots.feature_maps import feature_maps, filters, occlusion
from mnistlab.reporting.plots.heat_map import heat_map
from mnistlab.reporting.plots.image_grids import augmented, mistakes, samples, weights
from mnistlab.reporting.plots.lr_range import range_test
from mnistlab.reporting.plots.p_values import p_values
from mnistlab.reporting.plots.pca import cumulative, eigenimages, scatter, scatter_3d, scree
from mnistlab.reporting.plots.predictions import Classified, pages_of, predicted
from mnistlab.reporting.plots.robustness import robustness
from mnistlab.reporting.plots.roc_pr import precision_recall, roc
from mnistlab.reporting.plots.style import Picture, save, save_vector
from mnistlab.reporting.plots.training import Factors, TrainingCurve, over_time, side_by_side
from mnistlab.reporting.plots.tuning import importance, search_history

__all__ = [
    "Classified",
    "Factors",
    "Line",
    "Panel",
    "Picture",
    "Series",
    "TrainingCurve",
    "activations",
    "against",
    "augmented",
    "class_distribution",
    "confusion",
    "confusion_table",
    "cumulative",
    "curves",
    "decision_regions",
    "eigenimages",
    "feature_maps",
    "filters",
    "heat_map",
    "importance",
    "lines",
    "mistakes",
    "norms",
    "occlusion",
    "over_time",
    "p_values",
    "pages_of",
    "precision_recall",
    "predicted",
    "range_test",
    "ranking_of_settings",
    "robustness",
    "roc",
    "samples",
    "save",
    "save_vector",
    "scatter",
    "scatter_3d",
    "scree",
    "search_history",
    "side_by_side",
    "weights",
]
