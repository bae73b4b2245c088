"""A saved model in use: predictions for pictures of any size, a page to draw on, export to other programs."""
