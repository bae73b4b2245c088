"""Diagnostics: the problems of a run, each with a number, the reason, and an override to try."""
