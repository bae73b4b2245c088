"""``mnistlab gradcheck``: whether the gradients of a configuration's network are right."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.analysis.network_summary import data_summary, network_of
from mnistlab.cli import arguments as arguments_of
from mnistlab.system import output
from mnistlab.system.errors import RunError

if TYPE_CHECKING:
    from mnistlab.nn.gradcheck import Checked

ELEMENTS, BATCH = 100, 4
SLOW = 5  # seconds from which on the check says how long it will take

USAGE = f"""\
Usage: mnistlab gradcheck [group=option ...] [key=value ...] [--elements N] [--batch N]

  Compares backward with central differences in float64, for every block of parameters and for the input, with the
  layers, loss and regularisation of the configuration; the images are noise, the weights Kaiming's. Exit status 1 if
  the largest relative error of a block exceeds 1e-6.

  --elements N   elements checked in a block, drawn at random ({ELEMENTS})
  --batch N      images ({BATCH})
  --json         one JSON object instead; the lines go to standard error
"""


def main(arguments: list[str]) -> int:
    """Print how well backward agrees with central differences, block by block."""
    if {"-h", "--help"} & {*arguments}:
        return _say(USAGE.rstrip())
    overrides, options = arguments_of.with_numbers("gradcheck", arguments, ("--elements", "--batch"))
    made, data, network = network_of(overrides, np.float64)
    from threadpoolctl import threadpool_limits

    from mnistlab.analysis.gradcheck import noise_batch, seconds_of
    from mnistlab.nn.gradcheck import TOLERANCE, check

    most, batch = options.get("--elements", ELEMENTS), options.get("--batch", BATCH)
    x, labels = noise_batch(network, data, batch, made.seed)
    height, width = data.image_shape
    _say(f"{height} x {width} pixels, {data.classes} classes; a batch of {batch}, float64, {most} elements a block")
    names = [*list(network.tensors())[: len(network.blocks)], "input"]
    wide = max(map(len, names))
    _say(f"\n  {'block':{wide}}  {'elements checked':>22}  largest relative error")
    blocks: list[Checked] = []
    with threadpool_limits(1):
        evaluations, seconds = seconds_of(network, x, labels, most)
        if seconds > SLOW:
            expected = f"about {seconds:,.0f} s for {evaluations:,} losses; fewer with --elements"
            print(expected, file=sys.stderr, flush=True)  # noqa: T201
        for block in check(network, x, labels, made.regularization, most=most, seed=made.seed):
            blocks.append(block)
            mark = "" if block.agrees else "  wrong"
            _say(f"  {block.name:{wide}}  {block.checked:>9,} of {block.size:>9,}  {block.error:.1e}{mark}")
    output.give(
        {
            **data_summary(data),
            "batch": batch,
            "elements": most,
            "tolerance": TOLERANCE,
            "agrees": all(block.agrees for block in blocks),
            "blocks": [{**asdict(block), "agrees": block.agrees} for block in blocks],
        }
    )
    return _conclude(blocks, TOLERANCE)


def _conclude(blocks: list[Checked], tolerance: float) -> int:
    worst = max(blocks, key=lambda block: np.inf if np.isnan(block.error) else block.error)
    wrong = [block.name for block in blocks if not block.agrees]
    if wrong:
        raise RunError(
            f"{len(wrong)} of {len(blocks)} blocks differ from central differences by more than {tolerance:g}: "
            f"{', '.join(wrong)}; the worst is {worst.name} with {worst.error:.1e}"
        )
    largest = f"the largest error is {worst.error:.1e} ({worst.name})"
    return _say(f"\nright: all {len(blocks)} blocks agree to {tolerance:g}; {largest}")


def _say(text: str) -> int:
    print(text, flush=True)  # noqa: T201
    return 0
