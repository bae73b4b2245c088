"""Model files in the safetensors format: arrays, with plain JSON in the header. Nothing in them is ever executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from mnistlab.nn.architectures import network_from_spec
from mnistlab.nn.network import Network
from mnistlab.system import files
from mnistlab.system import tensors as tensors_file
from mnistlab.system.errors import RequestError

MODEL = "mnistlab-model-1"


def save_model(path: Path, network: Network, class_names: tuple[str, ...]) -> None:
    """Write the weights by name, with architecture, scaling and class names in the header."""
    files.write(path, model_bytes(network, class_names))


def model_bytes(network: Network, class_names: tuple[str, ...]) -> bytes:
    """Return the content of the file that `save_model` writes."""
    about = {"format": MODEL, "architecture": network.spec(), "class_names": class_names}
    return tensors_file.as_bytes(network.tensors(), about)


def load_model(path: Path) -> tuple[Network, tuple[str, ...]]:
    """Return the network of a saved model and its class names. Any problem with the file is a `RequestError`."""
    about, tensors = tensors_file.read(path)
    if about.get("format") != MODEL:
        format_name = about.get("format")
        raise RequestError(f"{path}: must be a model saved by mnistlab (format={MODEL}, found {format_name})")
    size = sum(array.size for array in tensors.values())
    try:
        network = network_from_spec(about.get("architecture"), stored=size)
    except (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError) as error:
        raise RequestError(
            f"{path}: the header does not describe a network ({error or type(error).__name__})"
        ) from None
    class_names = about.get("class_names")
    if not _are_names(class_names, network.loss.classes):
        raise RequestError(f"{path}: the header must give the {network.loss.classes} classes different names")
    arrays = network.tensors()
    if unknown := sorted(set(tensors) - set(arrays)):
        raise RequestError(f"{path}: the array {unknown[0]} does not belong to any layer of the network in the header")
    for name, array in arrays.items():
        loaded = tensors.get(name)
        if loaded is None or loaded.shape != array.shape or loaded.dtype != array.dtype:
            raise RequestError(
                f"{path}: the array {name} of shape {array.shape} is missing or has another shape or type"
            )
        if not np.isfinite(loaded).all():
            raise RequestError(f"{path}: the array {name} contains values that are not finite; train the model again")
        if name.endswith(".variance") and (loaded < 0).any():
            raise RequestError(f"{path}: the array {name} contains a negative variance; train the model again")
        array[...] = loaded
    return network, tuple(class_names)


def _are_names(names: Any, count: int) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == count
