"""Experiment tracking: a run's settings and scalars written to a table, TensorBoard or MLflow while it trains."""
