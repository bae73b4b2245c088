"""The names of the files of a run and of a sweep."""

SWEEP = "sweep.json"  # which jobs a sweep has
