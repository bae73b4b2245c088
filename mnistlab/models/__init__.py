"""What learns, behind ``predict``: the estimator, scikit-learn's models, ensembles, and the file of a saved network."""
