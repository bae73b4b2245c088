"""Intervals, significance tests, corrections for multiple comparisons, and the required number of seeds."""
