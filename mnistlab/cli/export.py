"""``mnistlab export``: a saved model in the format of another program."""

from __future__ import annotations

from pathlib import Path

from mnistlab.cli.parameters import DIRECTORY, RUN, Choice, argument, command, json_option, option
from mnistlab.inference.export.formats import FORMATS, refuse_unknown_layers, write
from mnistlab.runs import paths
from mnistlab.system import output
from mnistlab.system.errors import RequestError


@command(
    "export",
    no_args_is_help=True,
    examples=("mnistlab export outputs/2026-11-21/09-30-12_lenet5 --format onnx --to exported",),
)
@argument("place", metavar="RUN", type=RUN, help="A run directory, or the model.safetensors in it.")
@option(
    "--format",
    "form",
    metavar="FORMAT",
    type=Choice([*FORMATS]),
    required=True,
    help="onnx: model.onnx, opset 17, any number of images, class names in the metadata (needs the package onnx: "
    "pip install '.[onnx]'). numpy: predict.py and weights.npz, the network written out in readable Python that "
    "needs NumPy only. npz: model.npz, with named arrays, and the architecture and class names as JSON. safetensors: "
    "model.safetensors, the file that mnistlab itself saves, with the same contents.",
)
@option("--to", metavar="FOLDER", type=DIRECTORY, help="The folder to write to.", show_default="outputs/export/<run>")
@json_option
def main(place: str, form: str, to: str | None) -> int:
    """Export a saved model: ONNX, NPZ, safetensors, or plain NumPy code.

    Exports the model of a run, or a model.safetensors. In every format the input is uint8 images (n, height,
    width), light on dark as in training, and the output is probabilities (n, classes); scaling is included. In onnx
    and numpy, batch normalisation after a dense layer or a convolution is folded into its weights.
    """
    from mnistlab.nn.folding import folded
    from mnistlab.runs.saved_run import display_names, open_run

    run = open_run(place)
    folder = Path(to) if to else Path("outputs", "export", display_names([run])[0])
    inside = folder.resolve().is_relative_to(run.directory.resolve())
    if inside and (run.directory / paths.STATUS).exists():  # a model file that was copied on its own belongs to no run
        raise RequestError(
            f"--to {folder}: this is inside the run, and run directories are never changed; choose another"
        )
    if form in ("onnx", "numpy"):
        refuse_unknown_layers(run.network, form)
    network = folded(run.network) if form in ("onnx", "numpy") else run.network
    contents = FORMATS[form](network, run.class_names)
    write(folder, contents)
    sizes = ", ".join(f"{folder / name} ({len(content):,} bytes)" for name, content in contents.items())
    parameters = int(network.theta.size)
    written = [{"path": folder / name, "bytes": len(content)} for name, content in contents.items()]
    about = {"run": place, "format": form, "parameters": parameters, "files": written}
    output.show(about, f"{parameters:,} parameters in {sizes}")
    return 0
