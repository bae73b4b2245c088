"""Diagnostics: the problems of a run, each with a measurement, the reason, and overrides to try."""
