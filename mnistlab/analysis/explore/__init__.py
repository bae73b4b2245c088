"""Principal components of a dataset, and the decision regions of models in their plane."""
