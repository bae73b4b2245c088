"""Photographs and scans -> images like those of the training data -> classes."""
