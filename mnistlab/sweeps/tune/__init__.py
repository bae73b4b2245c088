"""Hyperparameter search with Optuna: the search space, the trials, and the report."""
