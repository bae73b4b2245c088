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

MODEL, CHECKPOINT = "mnistlab-model-1", "mnistlab-checkpoint-1"


def save_model(path: Path, network: Network, class_names: tuple[str, ...]) -> None:
    """Write the weights by name, with architecture, scaling and class names in the header."""
    about = {"format": MODEL, "architecture": network.spec(), "class_names": class_names}
    _write(path, network.tensors(), about)


def load_model(path: Path) -> tuple[Network, tuple[str, ...]]:
    """Return the network of a saved model and its class names."""
    about, tensors = read(path)
    if about.get("format") != MODEL:
        found = about.get("format")
        raise RequestError(f"{path}: a model saved by mnistlab was expected (format={MODEL}, found {found})")
    network = network_from_spec(about["architecture"])
    for name, array in network.tensors().items():
        found = tensors.get(name)
        if found is None or found.shape != array.shape or found.dtype != array.dtype:
            raise RequestError(f"{path}: the array {name} of shape {array.shape} is missing or of another shape")
        array[...] = found
    return network, tuple(about["class_names"])


def save_checkpoint(
    path: Path, network: Network, optimizer: Optimizer, streams: Mapping[str, np.random.Generator], epoch: int
) -> None:
    """Write the latest state: parameters, the optimizer's vectors, random streams, epoch."""
    about = {
        "format": CHECKPOINT,
        "architecture": network.spec(),
        "epoch": epoch,
        "optimizer_steps": optimizer.steps,
        "streams": {name: _plain(rng.bit_generator.state) for name, rng in streams.items()},
    }
    slots = {f"optimizer.{i}": slot for i, slot in enumerate(optimizer.state)}
    _write(path, {"theta": network.theta, **slots}, about)


def _write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    from safetensors.numpy import save

    # One key: safetensors writes several in an order that changes from process to process.
    files.write(
        path, save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, {"mnistlab": json.dumps(about)})
    )


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the header says, and the arrays, of a file written here."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get("mnistlab", "{}"))
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RequestError(f"{path}: not a readable safetensors file ({error})") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
