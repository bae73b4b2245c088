"""Intervals, significance tests, corrections for several comparisons, and the seeds that a difference needs."""
