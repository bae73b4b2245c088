"""Diagnostics: what is odd about a run, with the number, the reason, and the override to try."""
