"""A small local page to draw on, and what a saved network sees, thinks and answers meanwhile."""
