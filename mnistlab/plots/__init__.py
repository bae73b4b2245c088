"""Arrays -> figures, no computation: every plot is drawn from what a run directory holds.

Each function returns a `Picture`, a matplotlib figure with its text equivalent; `save` writes both. matplotlib is
imported on the first call, without pyplot, so that nothing global changes.
"""

from mnistlab.plots.classes import class_distribution, confusion
from mnistlab.plots.figure import Picture, save
from mnistlab.plots.grids import mistakes, samples, weights
from mnistlab.plots.lines import activations, curves, norms
from mnistlab.plots.ranking import precision_recall, roc

__all__ = [
    "Picture",
    "activations",
    "class_distribution",
    "confusion",
    "curves",
    "mistakes",
    "norms",
    "precision_recall",
    "roc",
    "samples",
    "save",
    "weights",
]
