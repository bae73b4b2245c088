"""Independent random streams from one seed, one stream per purpose.

Changing how much one purpose draws (the initialisation of a larger network, say) leaves every other stream, the order
of the data for instance, exactly as it was.
"""

from __future__ import annotations

import numpy as np

NAMES = ("split", "init", "order", "dropout", "augment", "noise", "folds", "points", "sample")


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of the purpose ``name`` under ``seed``.

    The stream is SFC64 seeded by ``SeedSequence(seed, spawn_key=(i,))``, where i is the index of the name in `NAMES`;
    NumPy's spawning makes the streams independent of one another. SFC64 is the fastest of NumPy's generators,
    and its state is four 64-bit words.
    """
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(NAMES.index(name),))))
