"""Grid search: score every cell of a grid by cross-validation on the training pool, then test the best one once."""
