"""``mnistlab explain``: the network of a configuration, layer by layer."""

from __future__ import annotations

import numpy as np

from mnistlab.analysis.network_summary import network_of, summary_of, table
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import argument, command, json_option
from mnistlab.system import output


@command("explain", examples=("mnistlab explain", "mnistlab explain model=lenet5 data=fashion_mnist"))
@argument(
    "overrides",
    metavar="[group=option ...] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="The configuration, as for `mnistlab train`.",
)
@json_option
def main(overrides: tuple[str, ...]) -> int:
    """Show a network's layers, parameters, operations and memory.

    Prints every layer with its settings, output shape, number of parameters, output size, and floating-point operations
    in the forward pass of one image (a multiply-add counts as two). Published datasets need not be downloaded for this.
    """
    experiment, data, network = network_of(list(overrides), np.float32)
    from mnistlab.config import schema

    with schema.prefixed("trainer"):
        experiment.trainer.check(data.train, data.validation)
        experiment.trainer.check_network(network, data.train)
    about = summary_of(data, network, experiment.trainer.batch_of(data.train))
    output.show(about, table(about))
    return 0
