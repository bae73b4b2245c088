"""safetensors files: arrays, with plain JSON in the header. Nothing in such a file is ever executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import MOST_ARRAYS, UnreadableError, reading


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
    """Return the header and the arrays of a file written by mnistlab."""
    from safetensors import safe_open

    try:
        # safe_open would block on a pipe, and ignore signals
        with reading(path, MOST_ARRAYS), safe_open(path, framework="np") as file:
            about = json.loads((file.metadata() or {}).get("mnistlab", "{}"))
            if not isinstance(about, dict):
                raise ValueError("its header is not a JSON object")
            return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except UnreadableError as error:
        problem = "no such file" if error.missing else f"not a readable safetensors file ({error.cause})"
        raise RequestError(f"{path}: {problem}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
