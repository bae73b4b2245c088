"""A cross-validated grid: every cell on the same folds of the training pool; the winner is refitted and tested once."""
