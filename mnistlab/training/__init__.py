"""The training loop: updates, early stopping, checkpoints, progress, and the learning-rate range test."""
