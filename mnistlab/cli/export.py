"""``mnistlab export``: a saved model in the format of another program."""

from __future__ import annotations

from pathlib import Path

from mnistlab.cli.parameters import DIRECTORY, RUN, Choice, argument, command, json_option, option
from mnistlab.inference.export.formats import FORMATS, named, onnx, refuse_unknown_layers, write
from mnistlab.runs import paths
from mnistlab.system.errors import RequestError
from mnistlab.system.output import show


@command(
    "export",
    no_args_is_help=True,
    examples=(
        "mnistlab export outputs/2026-11-21/09-30-12_lenet5 --format onnx --to exported",
        "mnistlab export my_run --format onnx --input float --layout nchw --output logits --to model.onnx",
    ),
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
@option(
    "--input",
    "pixels",
    type=Choice(("uint8", "float")),
    help="For onnx, the pixels: uint8 from 0 to 255, or float32 from 0 to 1; 0 is black.",
    show_default="uint8",
)
@option(
    "--layout",
    type=Choice(("nhw", "nchw")),
    help="For onnx, the shape of the images: nhw is (n, height, width), nchw is (n, 1, height, width).",
    show_default="nhw",
)
@option(
    "--output",
    type=Choice(("probabilities", "logits")),
    help="For onnx: logits are the values before the softmax or sigmoid.",
    show_default="probabilities",
)
@option(
    "--to",
    metavar="PATH",
    type=DIRECTORY,
    help="The folder to write to, or for a format of one file its name, such as model.onnx.",
    show_default="outputs/export/<run>",
)
@json_option
def main(
    place: str,
    form: str,
    pixels: str | None,
    layout: str | None,
    output: str | None,
    to: str | None,
) -> int:
    """Export a saved model: ONNX, NPZ, safetensors, or plain NumPy code.

    Exports the model of a run, or a model.safetensors. In every format the input is uint8 images (n, height,
    width), light on dark as in training, and the output is probabilities (n, classes); scaling is included. In onnx
    and numpy, batch normalisation after a dense layer or a convolution is folded into its weights. For ONNX the
    options --input, --layout and --output change that; the metadata of the file names the input, its range and
    polarity, the output and the classes. Three lines of Python call it, for images as in training:

    \b
        import onnxruntime
        session = onnxruntime.InferenceSession("model.onnx")
        (probabilities,) = session.run(["probabilities"], {"images": images})
    """
    from mnistlab.nn.folding import folded

    chosen = {"input": pixels, "layout": layout, "output": output}
    signature = {name: value for name, value in chosen.items() if value is not None}
    if signature and form != "onnx":
        name, value = next(iter(signature.items()))
        raise RequestError(f"--{name} {value}: only --format onnx has this option; leave it out")
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
    if form == "onnx":
        contents = onnx(network, run.class_names, **signature)
    else:
        contents = FORMATS[form](network, run.class_names)
    folder, contents = named(folder, contents)
    write(folder, contents)
    sizes = ", ".join(f"{folder / name} ({len(content):,} bytes)" for name, content in contents.items())
    parameters = int(network.theta.size)
    written = [{"path": folder / name, "bytes": len(content)} for name, content in contents.items()]
    about = {"run": place, "format": form, "parameters": parameters, "files": written}
    show(about, f"{parameters:,} parameters in {sizes}")
    return 0
