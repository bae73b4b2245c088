"""Auditing a dataset: labels that are probably wrong, and images that occur twice."""
