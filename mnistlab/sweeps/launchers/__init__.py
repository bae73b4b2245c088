"""The launchers, which run the jobs of a sweep, one module each."""
