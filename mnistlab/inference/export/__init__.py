"""A saved model written for other programs: ONNX, NPZ, or Python that needs NumPy only."""
