"""The formats of `mnistlab export`, and how their files are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.nn.layers import layer_name
from mnistlab.system import directories, files
from mnistlab.system.errors import RequestError, needs

if TYPE_CHECKING:
    from mnistlab.nn.network import Network

Contents = dict[str, bytes]  # file name -> content


def write(folder: Path, contents: Contents) -> None:
    """Write the files; if one exists already with other content, refuse and write none."""
    cure = "choose another folder with --to"
    directories.named(folder, str(folder), otherwise=cure)
    try:
        for name, content in contents.items():
            path = folder / name
            if path.exists() and not (path.is_file() and path.read_bytes() == content):
                raise RequestError(f"{path}: already exists; remove it, or choose another folder with --to")
        for name, content in contents.items():
            files.write(folder / name, content)
    except OSError as error:
        raise RequestError(f"{error.filename or folder}: {error.strerror or error}; {cure}") from None


def named(path: Path, contents: Contents) -> tuple[Path, Contents]:
    """Return the folder to write to, and the files. A format of one file may be given the name of that file."""
    if len(contents) != 1 or path.is_dir():
        return path, contents
    ((name, content),) = contents.items()
    return (path.parent, {path.name: content}) if path.suffix == Path(name).suffix else (path, contents)


def refuse_unknown_layers(network: Network, form: str) -> None:
    """Raise `RequestError` for a layer of a plug-in, which a format that writes out the computation cannot contain."""
    for layer in network.layers:
        if not type(layer).__module__.startswith("mnistlab.nn."):
            raise RequestError(
                f"--format {form}: the layer {layer_name(type(layer))} is of a plug-in and cannot be written as {form}"
                "; npz and safetensors have its parameters"
            )


def onnx(network: Network, class_names: tuple[str, ...], **signature: str) -> Contents:
    """Return the ONNX file; ``signature`` as in `onnx.Signature`."""
    try:
        import onnx as package  # noqa: F401
    except ImportError:
        raise RequestError(f"--format onnx: {needs('onnx', 'onnx')}, or use --format numpy") from None
    from mnistlab.inference.export import onnx as onnx_graph

    return {"model.onnx": onnx_graph.model(network, class_names, onnx_graph.Signature(**signature))}


def _numpy(network: Network, class_names: tuple[str, ...]) -> Contents:
    from mnistlab.inference.export import npz, numpy_source

    return {
        "predict.py": numpy_source.source(network).encode(),
        "weights.npz": npz.npz(network, class_names),
    }


def _npz(network: Network, class_names: tuple[str, ...]) -> Contents:
    from mnistlab.inference.export import npz

    return {"model.npz": npz.npz(network, class_names)}


def _safetensors(network: Network, class_names: tuple[str, ...]) -> Contents:
    from mnistlab.models import model_file
    from mnistlab.runs import paths

    return {paths.MODEL: model_file.model_bytes(network, class_names)}


FORMATS: dict[str, Callable[[Network, tuple[str, ...]], Contents]] = {
    "onnx": onnx,
    "numpy": _numpy,
    "npz": _npz,
    "safetensors": _safetensors,
}
