"""Arrays with plain JSON in the header, as safetensors. Nothing in such a file is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.system import files
from mnistlab.system.errors import RequestError


def write(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays with plain values in the header."""
    files.write(path, as_bytes(arrays, about))


def as_bytes(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> bytes:
    """Return what `write` writes."""
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
