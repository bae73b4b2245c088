"""``mnistlab explain``: the network of a configuration, layer by layer."""

from __future__ import annotations

import numpy as np

from mnistlab.analysis.network_summary import network_of, summary_of, table
from mnistlab.cli import arguments as arguments_of
from mnistlab.system import output

USAGE = """\
Usage: mnistlab explain [group=option ...] [key=value ...] [--json]

  A table of the network: every layer with its settings, the shape of its output, its parameters, the operations of its
  forward pass for one image (a multiplication and an addition are two), and the size of its output. Published
  datasets need not be there for it.

  --json   one JSON object instead
"""


def main(arguments: list[str]) -> int:
    """Print what the network of a configuration consists of."""
    if {"-h", "--help"} & {*arguments}:
        print(USAGE.rstrip(), flush=True)  # noqa: T201
        return 0
    overrides, _ = arguments_of.with_numbers("explain", arguments)
    made, data, network = network_of(overrides, np.float32)
    from mnistlab.config import schema

    with schema.prefixed("trainer"):
        made.trainer.check(data.train, data.validation)
        made.trainer.check_network(network, data.train)
    about = summary_of(data, network, made.trainer.batch_of(data.train))
    output.show(about, table(about))
    return 0
