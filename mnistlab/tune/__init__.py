"""A search for good settings: Optuna proposes, runs without a test part answer, and the chosen one is tested once."""
