"""Dense layers in register tiles, in *panels*: PANEL images at a time, the batch last as in the NumPy layers.

The values between two layers are kept twice: in panels (panels, units, PANEL), for products over units, and as rows
(images, units), for products over images. Units are padded to whole vectors, images to whole panels.

    y = f(W x + b)        dz = dy f'(x)        dW = dz x^T        db = sum of dz        dx = W^T dz

W and dW have the layout (units, fan_in) of the parameters themselves and are read and written in place. Every element
of a result is one sum in one order, whatever the parts.
"""

from __future__ import annotations

import numpy as np

from mnistlab.nn.kernels import functions
from mnistlab.nn.kernels.functions import LEAKY_RELU, RELU, SIGMOID, TANH
from mnistlab.nn.kernels.jit import PARTS, floats_at, helper, kernel, share
from mnistlab.nn.kernels.product import multiply
from mnistlab.nn.kernels.vector_ir import LANES, transposed

PANEL = 2 * LANES
BLOCK = 64  # the most rows of a product that go through all panels while they are in the second cache
identity, relu, sigmoid, tangent, leaky = (
    functions.identity,
    functions.relu,
    functions.sigmoid,
    functions.tangent,
    functions.leaky,
)
d_relu, d_sigmoid, d_tangent, d_leaky = (
    functions.d_relu,
    functions.d_sigmoid,
    functions.d_tangent,
    functions.d_leaky,
)


@helper
def _activate(kind, y, bias, slope):
    for at in range(y, y + 4 * PANEL, 4 * LANES):
        if kind == RELU:
            relu(at, bias, slope)
        elif kind == SIGMOID:
            sigmoid(at, bias, slope)
        elif kind == TANH:
            tangent(at, bias, slope)
        elif kind == LEAKY_RELU:
            leaky(at, bias, slope)
        else:
            identity(at, bias, slope)


@kernel
def dense(args, part):
    """Write y = f(W x + b) in panels for a part of the units."""
    product, w, bias, x, y, kind, slope = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    panels, units, fan_in, x_units, y_units = args[7], args[8], args[9], args[10], args[11]
    row_of, input_of, column_of = args[12], args[13], args[14]
    start, stop = share(units, part, PARTS)
    blocks = (stop - start + BLOCK - 1) // BLOCK
    for block in range(blocks):
        first, last = share(stop - start, block, blocks)
        first, rows = start + first, last - first
        for n in range(panels):
            out = y + 4 * (n * y_units + first) * PANEL
            panel = x + 4 * n * x_units * PANEL
            multiply(
                product, w + 4 * first * fan_in, row_of, rows, input_of, panel, column_of, fan_in, out, PANEL, PANEL, 0
            )
            for r in range(rows):
                _activate(kind, out + 4 * r * PANEL, bias + 4 * (first + r), slope)


@kernel
def activation_back(args, part):
    """Write dz = dy f'(x) in panels, and db = its sum over the images, for a part of the units. dz may be dy."""
    dy, y, dz, db, kind, slope, panels, units, wide = (
        args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7], args[8]
    )  # fmt: skip
    start, stop = share(units, part, PARTS)
    sums = floats_at(db)
    for u in range(start, stop):
        total = np.float32(0)
        for n in range(panels):
            row = 4 * (n * wide + u) * PANEL
            for at in range(row, row + 4 * PANEL, 4 * LANES):
                if kind == RELU:
                    d_relu(dy + at, y + at, slope, dz + at)
                elif kind == SIGMOID:
                    d_sigmoid(dy + at, y + at, slope, dz + at)
                elif kind == TANH:
                    d_tangent(dy + at, y + at, slope, dz + at)
                elif kind == LEAKY_RELU:
                    d_leaky(dy + at, y + at, slope, dz + at)
            values = floats_at(dz + row)
            for i in range(PANEL):
                total += values[i]
        sums[u] = total


@kernel
def dense_weights(args, part):
    """Write dW = dz x^T for a part of the units, from dz in panels and x as rows."""
    product, dz, x, dw = args[0], args[1], args[2], args[3]
    images, units, fan_in = args[4], args[5], args[6]
    unit_of, image_of, row_of, scratch = args[7], args[8], args[9], args[10]
    start, stop = share(units, part, PARTS)
    if fan_in >= LANES:
        multiply(
            product, dz + 4 * start * PANEL, unit_of, stop - start, image_of, x, row_of, images,
            dw + 4 * start * fan_in, fan_in, fan_in, 0,
        )  # fmt: skip
        return
    scratch += 4 * start * LANES
    multiply(
        product, dz + 4 * start * PANEL, unit_of, stop - start, image_of, x, row_of, images, scratch, LANES, LANES, 0
    )
    padded, out = floats_at(scratch), floats_at(dw + 4 * start * fan_in)
    for u in range(stop - start):
        for i in range(fan_in):
            out[u * fan_in + i] = padded[u * LANES + i]


@kernel
def dense_back(args, part):
    """Write dx = W^T dz in panels, for a part of the inputs."""
    product, w, dz, dx = args[0], args[1], args[2], args[3]
    panels, units, fan_in, dz_units, x_units = args[4], args[5], args[6], args[7], args[8]
    next_of, unit_of, column_of = args[9], args[10], args[11]
    start, stop = share(fan_in, part, PARTS)
    blocks = (stop - start + BLOCK - 1) // BLOCK
    for block in range(blocks):
        first, last = share(stop - start, block, blocks)
        first, rows = start + first, last - first
        for n in range(panels):
            multiply(
                product, w + 4 * first, next_of, rows, unit_of, dz + 4 * n * dz_units * PANEL, column_of, units,
                dx + 4 * (n * x_units + first) * PANEL, PANEL, PANEL, 0,
            )  # fmt: skip


@kernel
def to_panels(args, part):
    """Write rows (images, units) in panels, for a part of the units."""
    rows, panels, count, wide = args[0], args[1], args[2], args[3]
    start, stop = share(wide // LANES, part, PARTS)
    for n in range(count):
        for u in range(start * LANES, stop * LANES, LANES):
            for half in range(0, PANEL, LANES):
                row, column = rows + 4 * ((n * PANEL + half) * wide + u), panels + 4 * ((n * wide + u) * PANEL + half)
                transposed(row, wide, column, PANEL)


@kernel
def to_rows(args, part):
    """Write panels as rows (images, units), for a part of the units: the inverse of `to_panels`."""
    panels, rows, count, wide = args[0], args[1], args[2], args[3]
    start, stop = share(wide // LANES, part, PARTS)
    for n in range(count):
        for u in range(start * LANES, stop * LANES, LANES):
            for half in range(0, PANEL, LANES):
                row, column = rows + 4 * ((n * PANEL + half) * wide + u), panels + 4 * ((n * wide + u) * PANEL + half)
                transposed(column, PANEL, row, wide)
