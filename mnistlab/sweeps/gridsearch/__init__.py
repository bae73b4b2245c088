"""Grid search: every cell of a grid scored by cross-validation on the training pool, the best one tested once."""
