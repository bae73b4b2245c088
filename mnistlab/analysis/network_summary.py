"""The untrained network of a configuration: its layers, parameters, operations and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnistlab.nn import summary
from mnistlab.reporting import tables
from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from mnistlab.config.schema import Experiment
    from mnistlab.data.loading import Outline
    from mnistlab.nn.network import Network


def network_of(overrides: Sequence[str], dtype: Any) -> tuple[Experiment, Outline, Network]:
    """Return the experiment, the sizes of its data, and its network with all parameters zero."""
    from mnistlab.config import compose, schema
    from mnistlab.data.loading import outline
    from mnistlab.nn.architectures import Model
    from mnistlab.system import console
    from mnistlab.system.random import stream

    console.start("quiet")
    experiment = schema.experiment(compose.compose(overrides))
    if not isinstance(experiment.model, Model):
        kind = type(experiment.model).__name__
        raise RequestError(
            f"model: {kind} is a scikit-learn model and has no layers; choose a network, for example model=lenet5"
        )
    with schema.prefixed("data"):
        data = outline(experiment.data, stream(experiment.seed, "split"))
    with schema.prefixed("regularization"):
        experiment.model.check(experiment.regularization)
    with schema.prefixed("model"):
        return (
            experiment,
            data,
            experiment.model.network(data.image_shape, data.classes, experiment.regularization, dtype=dtype),
        )


def data_summary(data: Outline) -> dict[str, Any]:
    """Return the sizes of the data, as plain JSON data."""
    return {"data": {"name": data.name, "image_shape": list(data.image_shape), "classes": data.classes}}


def summary_of(data: Outline, network: Network, batch: int) -> dict[str, Any]:
    """Return the result of `explain` as plain JSON data."""
    layers = summary.rows(network)
    memory = sum(row["output_bytes"] for row in layers)
    return {
        **data_summary(data),
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


def table(about: dict[str, Any]) -> str:
    """Return a summary as a table with an explanation of its columns."""
    data = about["data"]
    header = ("", "layer", "output", "parameters", "MFLOP", "output, bytes")
    rows = []
    for row in about["layers"]:
        place = str(row["layer"]) if row["layer"] else ""
        named = f"{row['kind']}  {summary.settings_text(row)}".rstrip()
        rows.append((place, named, summary.shape_text(row), *_numbers(row)))
    rows.append(("", "all", "", *_numbers(about)))
    lines = tables.text((header, rows), right=(0, 3, 4, 5)).split("\n")
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
