"""Export of a saved model: ONNX, NPZ, safetensors, or Python code that needs only NumPy."""
