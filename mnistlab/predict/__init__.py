"""Predicting pictures as people have them: read, find the ink, make it look as the network's own data did."""
