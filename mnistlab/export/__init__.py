"""A saved model for other programs: ONNX, plain arrays, or a Python file that needs NumPy only."""
