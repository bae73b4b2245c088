"""mnistlab: classic neural-network experiments on MNIST-like images, one command each."""

__version__ = "0.1.0"
