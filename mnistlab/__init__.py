"""mnistlab: classic neural-network experiments on MNIST-like images, one command each."""

import os

# OpenBLAS's threads spin for 2^26 ticks when they have nothing to do, and on a busy machine that stalls every product
# for milliseconds; 2^16 costs nothing when the machine is idle. It is read when NumPy is imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

__version__ = "0.1.0"
