"""All losses in one pass over the logits: the mean loss, the hits and dL/dz. The formulas are those of `nn.losses`."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.jit import PARTS, doubles_at, floats_at, helper, ints_at, kernel, real, share

CROSS_ENTROPY, BINARY_SIGMOID, SQUARED_SOFTMAX, SQUARED_SIGMOID = range(4)


@helper
def _sigmoid(z):  # type: ignore[no-untyped-def]
    return 0.5 * math.tanh(0.5 * z) + 0.5


@helper
def _softplus(z):  # type: ignore[no-untyped-def]
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@kernel
def loss(args, part):  # type: ignore[no-untyped-def]
    """Write dL/dz for a part of the images, and add their losses and hits to ``result`` (parts, 2), float64 bits.

    z and dz are panels (panels, wide, PANEL). ``labels`` are int64, found through ``rows``; ``weights`` are float32, one
    per image of the batch, or 0. ``share_bits`` is 1 / the total weight. Columns beyond the last image become 0.
    """
    z, dz, labels, rows, weights = args[0], args[1], ints_at(args[2]), ints_at(args[3]), args[4]
    images, classes, wide, kind = args[5], args[6], args[7], args[8]
    smoothing, total, result = real(args[9]), real(args[10]), doubles_at(args[11])
    panels = (images + PANEL - 1) // PANEL
    start, stop = share(panels * PANEL, part, PARTS)
    summed, hits, off = 0.0, 0, smoothing / classes
    on = 1 - smoothing + off
    for n in range(start, stop):
        at = 4 * (n // PANEL * wide * PANEL + n % PANEL)
        column, gradient = floats_at(z + at), floats_at(dz + at)
        if n >= images:
            for k in range(classes):
                gradient[k * PANEL] = np.float32(0)
            continue
        y = labels[rows[n]]
        weight = np.float64(floats_at(weights)[n]) if weights else 1.0
        top, best = np.float64(column[0]), 0
        for k in range(1, classes):
            if column[k * PANEL] > top:
                top, best = np.float64(column[k * PANEL]), k
        one, inner = 0.0, 0.0
        if kind == CROSS_ENTROPY or kind == SQUARED_SOFTMAX:
            exps = 0.0
            for k in range(classes):
                e = math.exp(np.float64(column[k * PANEL]) - top)
                gradient[k * PANEL] = e
                exps += e
            for k in range(classes):
                gradient[k * PANEL] = gradient[k * PANEL] / exps
            if kind == CROSS_ENTROPY:
                one = math.log(exps) + top
        else:
            for k in range(classes):
                gradient[k * PANEL] = _sigmoid(np.float64(column[k * PANEL]))
        for k in range(classes):
            target = on if k == y else off
            p, logit = np.float64(gradient[k * PANEL]), np.float64(column[k * PANEL])
            d = p - target
            if kind == CROSS_ENTROPY:
                one -= target * logit
            elif kind == BINARY_SIGMOID:
                one += _softplus(logit) - target * logit
            else:
                one += 0.5 * d * d
                inner += d * p
        for k in range(classes):
            target = on if k == y else off
            p = np.float64(gradient[k * PANEL])
            d = p - target
            if kind == SQUARED_SOFTMAX:
                d = p * (d - inner)
            elif kind == SQUARED_SIGMOID:
                d = d * p * (1 - p)
            gradient[k * PANEL] = d * weight * total
        summed += one * weight
        hits += best == y and not math.isnan(one)
    result[2 * part] = summed
    result[2 * part + 1] = hits
