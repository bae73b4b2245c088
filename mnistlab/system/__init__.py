"""Shared by all packages: errors, files, locks, signals, the console, random streams."""
