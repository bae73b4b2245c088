"""Numbers -> plots, tables and pages. Nothing here computes a result."""
