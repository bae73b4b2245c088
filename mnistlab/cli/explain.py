"""``mnistlab explain | gradcheck``: the network of a configuration, and whether its gradients are right."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.cli.arguments import known_everywhere
from mnistlab.nn import summary
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError, did_you_mean

if TYPE_CHECKING:
    from mnistlab.config.schema import Experiment
    from mnistlab.data.loading import Outline
    from mnistlab.nn.gradcheck import Checked
    from mnistlab.nn.network import Network

ELEMENTS, BATCH = 100, 4
SLOW = 5  # seconds from which on the check says how long it will take

EXPLAIN = """\
Usage: mnistlab explain [group=option ...] [key=value ...] [--json]

  A table of the network: every layer with its settings, the shape of its output, its parameters, the operations of its
  forward pass for one image (a multiplication and an addition are two), and the size of its output. Published
  datasets need not be there for it.

  --json   one JSON object instead
"""

GRADCHECK = f"""\
Usage: mnistlab gradcheck [group=option ...] [key=value ...] [--elements N] [--batch N]

  Compares backward with central differences in float64, for every block of parameters and for the input, with the
  layers, loss and regularisation of the configuration; the images are noise, the weights Kaiming's. Exit status 1 if
  the largest relative error of a block exceeds 1e-6.

  --elements N   elements checked in a block, drawn at random ({ELEMENTS})
  --batch N      images ({BATCH})
  --json         one JSON object instead; the lines go to standard error
"""


def explain(arguments: list[str]) -> int:
    """Print what the network of a configuration consists of."""
    if {"-h", "--help"} & {*arguments}:
        return _say(EXPLAIN.rstrip())
    overrides, _ = _options("explain", arguments)
    made, data, network = _network(overrides, np.float32)
    from mnistlab.config import schema

    with schema.prefixed("trainer"):
        made.trainer.check(data.train, data.validation)
        made.trainer.check_network(network, data.train)
    about = _about(data, network, made.trainer.batch_of(data.train))
    output.show(about, _table(about))
    return 0


def gradcheck(arguments: list[str]) -> int:
    """Print how well backward agrees with central differences, block by block."""
    if {"-h", "--help"} & {*arguments}:
        return _say(GRADCHECK.rstrip())
    overrides, options = _options("gradcheck", arguments, ("--elements", "--batch"))
    made, data, network = _network(overrides, np.float64)
    from threadpoolctl import threadpool_limits

    from mnistlab.nn.gradcheck import TOLERANCE, check
    from mnistlab.nn.initializers import Kaiming
    from mnistlab.nn.network import MOST

    most, batch = options.get("--elements", ELEMENTS), options.get("--batch", BATCH)
    if batch * network.per_image > MOST:
        possible = max(1, MOST // network.per_image)
        raise RequestError(f"--batch={batch}: all images go through at once; with this network at most {possible:,}")
    rng = np.random.default_rng(made.seed)
    network.initialise(Kaiming(), rng)
    constants = network.theta[network.n_weights :]
    constants += 0.1 * rng.standard_normal(constants.size)  # noise everywhere: no two values of a window are equal
    x = rng.standard_normal((1, *data.image_shape, batch))
    labels = rng.integers(0, data.classes, batch)
    height, width = data.image_shape
    _say(f"{height} x {width} pixels, {data.classes} classes; a batch of {batch}, float64, {most} elements a block")
    names = [*list(network.tensors())[: len(network.blocks)], "input"]
    wide = max(map(len, names))
    _say(f"\n  {'block':{wide}}  {'elements checked':>22}  largest relative error")
    found = []
    with threadpool_limits(1):
        _note_if_slow(network, x, labels, most)
        for block in check(network, x, labels, made.regularization, most=most, seed=made.seed):
            found.append(block)
            _say(f"  {block.name:{wide}}  {block.checked:>9,} of {block.size:>9,}  {block.error:.1e}{_mark(block)}")
    output.give(
        {
            **_about_data(data),
            "batch": batch,
            "elements": most,
            "tolerance": TOLERANCE,
            "agrees": all(block.agrees for block in found),
            "blocks": [{**asdict(block), "agrees": block.agrees} for block in found],
        }
    )
    worst = max(found, key=lambda block: np.inf if np.isnan(block.error) else block.error)
    wrong = [block.name for block in found if not block.agrees]
    if wrong:
        raise RunError(
            f"{len(wrong)} of {len(found)} blocks differ from central differences by more than {TOLERANCE:g}: "
            f"{', '.join(wrong)}; the worst is {worst.name} with {worst.error:.1e}"
        )
    largest = f"the largest error is {worst.error:.1e} ({worst.name})"
    return _say(f"\nright: all {len(found)} blocks agree to {TOLERANCE:g}; {largest}")


def _network(overrides: Sequence[str], dtype: Any) -> tuple[Experiment, Outline, Network]:
    """Return the experiment, the sizes of its data, and its network with all parameters zero."""
    from mnistlab.config import compose, schema
    from mnistlab.data.loading import outline
    from mnistlab.nn.architectures import Model
    from mnistlab.system import console
    from mnistlab.system.random import stream

    console.start("quiet")
    made = schema.experiment(compose.compose(overrides))
    if not isinstance(made.model, Model):
        kind = type(made.model).__name__
        raise RequestError(
            f"model: {kind} is scikit-learn's and has no layers; choose a network, model=lenet5 for instance"
        )
    with schema.prefixed("data"):
        data = outline(made.data, stream(made.seed, "split"))
    with schema.prefixed("regularization"):
        made.model.check(made.regularization)
    with schema.prefixed("model"):
        return made, data, made.model.network(data.image_shape, data.classes, made.regularization, dtype=dtype)


def _about_data(data: Outline) -> dict[str, Any]:
    return {"data": {"name": data.name, "image_shape": list(data.image_shape), "classes": data.classes}}


def _about(data: Outline, network: Network, batch: int) -> dict[str, Any]:
    """Return what `explain` says, as plain JSON data."""
    layers = summary.rows(network)
    memory = sum(row["output_bytes"] for row in layers)
    return {
        **_about_data(data),
        "loss": network.loss.name,
        "output": network.loss.output,
        "layers": layers,
        "parameters": int(network.theta.size),
        "weights": int(network.n_weights),
        "biases": int(network.theta.size - network.n_weights),
        "flop": sum(row["flop"] for row in layers),
        "output_bytes": memory,
        "batch_size": batch,
        "output_bytes_of_batch": batch * memory,
    }


def _table(about: dict[str, Any]) -> str:
    data = about["data"]
    rows = [("", "layer", "output", "parameters", "MFLOP", "output, bytes")]
    for row in about["layers"]:
        place = str(row["layer"]) if row["layer"] else ""
        named = f"{row['kind']}  {summary.settings_text(row)}".rstrip()
        rows.append((place, named, summary.shape_text(row), *_numbers(row)))
    rows.append(("", "all", "", *_numbers(about)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(6))).rstrip() for row in rows]
    lines.insert(-1, "-" * max(map(len, lines)))
    height, width = data["image_shape"]
    return "\n".join(
        (
            f"{data['name']}: {height} x {width} pixels, {data['classes']} classes; "
            f"output {about['output']}, loss {about['loss']}\n",
            *lines,
            "",
            f"parameters  {about['weights']:,} weights, {about['biases']:,} biases, all trained",
            "MFLOP       million operations of the forward pass of one image; a multiplication and an addition are two",
            f"output      float32, of one image; {about['output_bytes_of_batch']:,} bytes for a batch of "
            f"{about['batch_size']:,}",
        )
    )


def _numbers(row: dict[str, Any]) -> tuple[str, str, str]:
    return f"{row['parameters']:,}", f"{row['flop'] / 1e6:,.3f}", f"{row['output_bytes']:,}"


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column in (1, 2) else cell.rjust(width)


def _mark(block: Checked) -> str:
    return "" if block.agrees else "  wrong"


def _note_if_slow(network: Network, x: np.ndarray, labels: np.ndarray, most: int) -> None:
    """Say on stderr how long the check will take if that is long."""
    network.forward(x.copy(), np.random.default_rng(0))
    started = time.perf_counter()
    network.loss.forward(network.forward(x.copy(), np.random.default_rng(0)), labels)
    evaluations = 2 * sum(min(most, size) for size in [x.size, *(int(np.prod(b.shape)) for b in network.blocks)])
    seconds = evaluations * (time.perf_counter() - started)
    if seconds > SLOW:
        print(  # noqa: T201
            f"about {seconds:,.0f} s for {evaluations:,} losses; fewer with --elements", file=sys.stderr, flush=True
        )


def _options(command: str, arguments: Sequence[str], numbers: Sequence[str] = ()) -> tuple[list[str], dict[str, int]]:
    """Return the overrides, and the numbers that were given."""
    overrides: list[str] = []
    found: dict[str, int] = {}
    remaining = iter(arguments)
    for argument in remaining:
        name, given, value = argument.partition("=")
        if name in numbers:
            value = value if given else next(remaining, "")
            if not value.isdecimal() or not int(value):
                raise RequestError(f"{name}={value}: a whole number of 1 or more was expected")
            found[name] = int(value)
        elif argument.startswith("-"):
            near = did_you_mean(name, [*numbers, *known_everywhere(command)])
            raise RequestError(f"{argument}: unknown option; see `mnistlab {command} --help`{near}")
        else:
            overrides.append(argument)
    return overrides, found


def _say(text: str) -> int:
    print(text, flush=True)  # noqa: T201
    return 0
