"""Models as safetensors: arrays, and plain JSON in the header. Nothing in them is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from mnistlab import files
from mnistlab.errors import RequestError
from mnistlab.nn import Network, network_from_spec

MODEL = "mnistlab-model-1"


def save_model(path: Path, network: Network, class_names: tuple[str, ...]) -> None:
    """Write the weights by name, with architecture, scaling and class names in the header."""
    files.write(path, model_bytes(network, class_names))


def model_bytes(network: Network, class_names: tuple[str, ...]) -> bytes:
    """Return what `save_model` writes."""
    return _bytes(network.tensors(), {"format": MODEL, "architecture": network.spec(), "class_names": class_names})


def load_model(path: Path) -> tuple[Network, tuple[str, ...]]:
    """Return the network of a saved model and its class names. Whatever is wrong with the file is a `RequestError`."""
    about, tensors = read(path)
    if about.get("format") != MODEL:
        found = about.get("format")
        raise RequestError(f"{path}: a model saved by mnistlab was expected (format={MODEL}, found {found})")
    size = sum(array.size for array in tensors.values())
    try:
        network = network_from_spec(about.get("architecture"), given=size)
    except (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError) as error:
        raise RequestError(f"{path}: its header describes no network ({error or type(error).__name__})") from None
    class_names = about.get("class_names")
    if not _are_names(class_names, network.loss.classes):
        raise RequestError(f"{path}: its header must name the {network.loss.classes} classes, each differently")
    arrays = network.tensors()
    if unknown := sorted(set(tensors) - set(arrays)):
        raise RequestError(f"{path}: the array {unknown[0]} belongs to no layer of the network in its header")
    for name, array in arrays.items():
        found = tensors.get(name)
        if found is None or found.shape != array.shape or found.dtype != array.dtype:
            raise RequestError(f"{path}: the array {name} of shape {array.shape} is missing or of another shape")
        if not np.isfinite(found).all():
            raise RequestError(f"{path}: the array {name} holds values that are not finite; train it again")
        if name.endswith(".variance") and (found < 0).any():
            raise RequestError(f"{path}: the array {name} holds a negative variance; train it again")
        array[...] = found
    return network, tuple(class_names)


def _are_names(names: Any, count: int) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names) and len(set(names)) == count


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays with plain values in the header."""
    files.write(path, _bytes(arrays, about))


def _bytes(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> bytes:
    from safetensors.numpy import save

    # One key: safetensors writes several in an order that changes from process to process.
    header = {"mnistlab": json.dumps(_plain(about), allow_nan=False)}
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, header))


def read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what the header says, and the arrays, of a file written here."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(files.regular(path), framework="np") as file:  # it would wait for a pipe, deaf to signals
            about = json.loads((file.metadata() or {}).get("mnistlab", "{}"))
            if not isinstance(about, dict):
                raise ValueError("its header is no JSON object")
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RequestError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(f"{path}: not a readable safetensors file ({error})") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
