"""Models and checkpoints as safetensors: arrays, and plain JSON in the header. Nothing in them is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab import files
from mnistlab.errors import RequestError
from mnistlab.nn import Network, Optimizer, network_from_spec

FORMAT = "mnistlab-model-1"


def save_model(path: Path, network: Network, class_names: tuple[str, ...]) -> None:
    """Write the weights by name, with architecture, scaling and class names in the header."""
    from safetensors.numpy import save

    header = {"format": FORMAT, "architecture": json.dumps(network.spec()), "class_names": json.dumps(class_names)}
    files.write(path, save({name: np.ascontiguousarray(array) for name, array in network.tensors().items()}, header))


def load_model(path: Path) -> tuple[Network, tuple[str, ...]]:
    """Return the network of a saved model and its class names."""
    header, tensors = read(path)
    if header.get("format") != FORMAT:
        raise RequestError(
            f"{path}: a model saved by mnistlab was expected (its header says format={header.get('format')})"
        )
    network = network_from_spec(json.loads(header["architecture"]))
    for name, array in network.tensors().items():
        found = tensors.get(name)
        if found is None or found.shape != array.shape or found.dtype != array.dtype:
            raise RequestError(f"{path}: the array {name} of shape {array.shape} is missing or of another shape")
        array[...] = found
    return network, tuple(json.loads(header["class_names"]))


def save_checkpoint(
    path: Path, network: Network, optimizer: Optimizer, streams: Mapping[str, np.random.Generator], epoch: int
) -> None:
    """Write the latest state: parameters, the optimizer's vectors, random streams, epoch."""
    from safetensors.numpy import save

    states = {name: _plain(rng.bit_generator.state) for name, rng in streams.items()}
    state = {"epoch": epoch, "optimizer_steps": optimizer.steps, "streams": states}
    header = {"format": "mnistlab-checkpoint-1", "architecture": json.dumps(network.spec()), "state": json.dumps(state)}
    slots = {f"optimizer.{i}": slot for i, slot in enumerate(optimizer.state)}
    files.write(path, save({"theta": network.theta, **slots}, header))


def read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return header and arrays of a safetensors file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except (SafetensorError, OSError) as error:
        raise RequestError(f"{path}: not a readable safetensors file ({error})") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
