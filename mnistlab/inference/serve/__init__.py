"""A page on this machine to draw a digit and watch the network that classifies it."""
