"""(labels, probabilities) -> numbers. No files, no configuration."""
