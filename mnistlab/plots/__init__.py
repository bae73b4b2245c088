"""Arrays -> figures, no computation: every plot is drawn from what a run directory holds.

Each function returns a `Picture`, a matplotlib figure with its text equivalent; `save` writes both. matplotlib is
imported on the first call, without pyplot, so that nothing global changes.
"""

from mnistlab.plots.boundary import Panel, decision_regions
from mnistlab.plots.classes import class_distribution, confusion
from mnistlab.plots.components import cumulative, eigenimages, scatter, scatter_3d, scree
from mnistlab.plots.figure import Picture, save
from mnistlab.plots.grids import augmented, mistakes, samples, weights
from mnistlab.plots.lines import activations, curves, norms
from mnistlab.plots.maps import feature_maps, filters, occlusion
from mnistlab.plots.predictions import predicted
from mnistlab.plots.ranking import precision_recall, roc
from mnistlab.plots.rates import range_test
from mnistlab.plots.robustness import robustness
from mnistlab.plots.sweeps import Series, Training, against, heat_map, side_by_side
from mnistlab.plots.sweeps import ranking as ranking_of_settings
from mnistlab.plots.tables import confusion_table, save_pdf
from mnistlab.plots.tuning import importance, search_history

__all__ = [
    "Panel",
    "Picture",
    "Series",
    "Training",
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
    "mistakes",
    "norms",
    "occlusion",
    "precision_recall",
    "predicted",
    "range_test",
    "ranking_of_settings",
    "robustness",
    "roc",
    "samples",
    "save",
    "save_pdf",
    "scatter",
    "scatter_3d",
    "scree",
    "search_history",
    "side_by_side",
    "weights",
]
