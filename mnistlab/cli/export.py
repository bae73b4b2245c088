"""``mnistlab export``: a saved model in the format of another program."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.cli import arguments as arguments_of
from mnistlab.inference.export.formats import FORMATS, write
from mnistlab.runs import paths
from mnistlab.system import output
from mnistlab.system.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    pass

USAGE = """\
Usage: mnistlab export RUN --format FORMAT [--to FOLDER]

  Writes the model of a run, or a model.safetensors, for other programs. Whatever the format, images go in as uint8
  (n, height, width), light on dark as in training, and probabilities (n, classes) come out: scaling is inside.

  --format onnx         model.onnx: opset 17, any number of images; class names in the metadata (needs the package onnx:
                        pip install '.[onnx]')
  --format numpy        predict.py and weights.npz: the network written out in readable Python that needs NumPy only
  --format npz          model.npz: the arrays by name, the architecture and class names as JSON
  --format safetensors  model.safetensors: the same, as mnistlab itself saves it
  --to FOLDER           where to write, if not in outputs/export/<run>
  --json                one JSON object instead
"""


def main(arguments: list[str]) -> int:
    """Export as the arguments say; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    given, chosen, to = parse(arguments)

    from mnistlab.runs.saved_run import display_names, open_run

    run = open_run(given)
    folder = Path(to) if to else Path("outputs", "export", display_names([run])[0])
    inside = folder.resolve().is_relative_to(run.directory.resolve())
    if inside and (run.directory / paths.STATUS).exists():  # a model that was copied alone is in no run
        raise RequestError(f"--to {folder}: this is inside the run; nothing is written into a run")
    contents = FORMATS[chosen](run.network, run.class_names)
    write(folder, contents)
    sizes = ", ".join(f"{folder / name} ({len(content):,} bytes)" for name, content in contents.items())
    parameters = int(run.network.theta.size)
    written = [{"path": folder / name, "bytes": len(content)} for name, content in contents.items()]
    about = {"run": given, "format": chosen, "parameters": parameters, "files": written}
    output.show(about, f"{parameters:,} parameters in {sizes}")
    return 0


def parse(arguments: Sequence[str]) -> tuple[str, str, str | None]:
    """Return the run, the format and the folder."""
    words, given, _ = arguments_of.split("export", arguments, ("--format", "--to"))
    if len(words) != 1:
        named = (
            f"{words[1]}: one run is exported at a time" if words else "no run is named; a run directory was expected"
        )
        raise RequestError(f"{named}, as in mnistlab export outputs/<date>/<time>_<model> --format onnx")
    if "--format" not in given:
        raise RequestError(f"--format: choose one of {', '.join(FORMATS)}")
    if given["--format"] not in FORMATS:
        near = did_you_mean(given["--format"], FORMATS)
        raise RequestError(f"--format {given['--format']}: choose one of {', '.join(FORMATS)}{near}")
    return words[0], given["--format"], given.get("--to")
