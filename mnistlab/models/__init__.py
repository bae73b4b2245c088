"""Models with ``predict``: the estimator, scikit-learn models, ensembles, and the file of a saved network."""
