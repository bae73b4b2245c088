"""Principal components of a dataset, and decision regions of models in the plane of the first two."""
