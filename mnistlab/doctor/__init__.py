"""What went wrong in a run, or is odd about it, in words: from its history, its weights and its training images."""
