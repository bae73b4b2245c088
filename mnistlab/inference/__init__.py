"""Using a saved model: predictions for pictures of any size, a page to draw on, export to other formats."""
