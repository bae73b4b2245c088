"""The arrays of a network by name, with its architecture as JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from mnistlab.nn.network import Network


def npz(network: Network, class_names: tuple[str, ...]) -> bytes:
    """Return an NPZ file: parameters and statistics by name, and ``architecture`` and ``class_names`` as JSON text."""
    about: dict[str, Any] = {"architecture": network.spec(), "class_names": class_names}
    texts = {name: np.array(json.dumps(value)) for name, value in about.items()}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **network.tensors(), **texts)
    return content.getvalue()
