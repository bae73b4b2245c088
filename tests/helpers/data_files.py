"""Small IDX files for the tests."""

import numpy as np

from mnistlab.data import idx_format


def images_and_labels(n, side=4, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, side, side), np.uint8), (np.arange(n) % classes).astype(np.uint8)


def write_four(folder, train=60, test=20, suffix=".gz", side=4):
    """Write MNIST's four files, small, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, n, seed in (("train", train, 1), ("t10k", test, 2)):
        images, labels = images_and_labels(n, side, seed=seed)
        idx_format.write(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        idx_format.write(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return folder
