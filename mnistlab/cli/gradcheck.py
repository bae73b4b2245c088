"""``mnistlab gradcheck``: check the gradients of a configuration's network."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from mnistlab.analysis.network_summary import data_summary, network_of
from mnistlab.cli.overrides import Overrides
from mnistlab.cli.parameters import Whole, argument, command, json_option, option
from mnistlab.system import output
from mnistlab.system.errors import RunError

if TYPE_CHECKING:
    from mnistlab.nn.gradcheck import Checked

ELEMENTS, BATCH = 100, 4
SLOW = 5  # seconds; a longer check announces its duration


@command("gradcheck", examples=("mnistlab gradcheck", "mnistlab gradcheck model=cnn_simple --elements 20"))
@argument(
    "overrides",
    metavar="[group=option ...] [key=value ...]",
    nargs=-1,
    type=Overrides(),
    help="The configuration, as for `mnistlab train`.",
)
@option("--elements", metavar="N", type=Whole(), default=ELEMENTS, help="Number of random elements to check per block.")
@option("--batch", metavar="N", type=Whole(), default=BATCH, help="Number of images in the batch.")
@json_option
def main(overrides: tuple[str, ...], elements: int, batch: int) -> int:
    """Check the gradients of a network against central differences.

    Compares backpropagation with central differences in float64, for every block of parameters and for the input, with
    the layers, loss and regularisation of the configuration, on random images and Kaiming-initialised weights. The exit
    status is 1 if the largest relative error of a block exceeds 1e-6.
    """
    experiment, data, network = network_of(list(overrides), np.float64)
    from threadpoolctl import threadpool_limits

    from mnistlab.analysis.gradcheck import noise_batch, seconds_of
    from mnistlab.nn.gradcheck import TOLERANCE, check

    x, labels = noise_batch(network, data, batch, experiment.seed)
    height, width = data.image_shape
    _say(
        f"{height} x {width} pixels, {data.classes} classes; a batch of {batch}, float64, {elements} elements per block"
    )
    names = [*list(network.tensors())[: len(network.blocks)], "input"]
    wide = max(map(len, names))
    _say(f"\n  {'block':{wide}}  {'elements checked':>22}  largest relative error")
    blocks: list[Checked] = []
    with threadpool_limits(1):
        evaluations, seconds = seconds_of(network, x, labels, elements)
        if seconds > SLOW:
            expected = (
                f"about {seconds:,.0f} s for {evaluations:,} loss evaluations; use a smaller --elements for fewer"
            )
            print(expected, file=sys.stderr, flush=True)  # noqa: T201
        for block in check(network, x, labels, experiment.regularization, most=elements, seed=experiment.seed):
            blocks.append(block)
            mark = "" if block.agrees else "  wrong"
            _say(f"  {block.name:{wide}}  {block.checked:>9,} of {block.size:>9,}  {block.error:.1e}{mark}")
    output.give(
        {
            **data_summary(data),
            "batch": batch,
            "elements": elements,
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
    return _say(f"\ncorrect: all {len(blocks)} blocks agree to within {tolerance:g}; {largest}")


def _say(text: str) -> int:
    print(text, flush=True)  # noqa: T201
    return 0
