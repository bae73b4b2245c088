"""What the data look like before anything is trained on all their pixels: principal components, decision regions."""
