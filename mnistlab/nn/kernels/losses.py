"""All losses in one pass over the logits: the mean loss, the hits and dL/dz. The formulas are those of `nn.losses`."""

from __future__ import annotations

import math

import numpy as np

from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.jit import PARTS, doubles_at, floats_at, helper, ints_at, kernel, real, share

CROSS_ENTROPY, BINARY_SIGMOID, SQUARED_SOFTMAX, SQUARED_SIGMOID = range(4)


@helper
def _sigmoid(z):
    return 0.5 * math.tanh(0.5 * z) + 0.5


@helper
def _softplus(z):
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


@helper
def _probabilities(kind, column, out, classes, top):
    """Write the outputs of a column of logits; return log sum exp of the logits for cross entropy, otherwise 0."""
    if kind in (BINARY_SIGMOID, SQUARED_SIGMOID):
        for k in range(classes):
            out[k * PANEL] = _sigmoid(np.float64(column[k * PANEL]))
        return 0.0
    total = 0.0
    for k in range(classes):
        e = math.exp(np.float64(column[k * PANEL]) - top)
        out[k * PANEL] = e
        total += e
    for k in range(classes):
        out[k * PANEL] = out[k * PANEL] / total
    return math.log(total) + top if kind == CROSS_ENTROPY else 0.0


@helper
def _of_one(kind, column, out, classes, label, on, off, log_sum, factor):
    """Return the loss of one image, and turn its outputs in ``out`` into factor dL/dz."""
    loss, inner = log_sum, 0.0
    for k in range(classes):
        target = on if k == label else off
        p, z = np.float64(out[k * PANEL]), np.float64(column[k * PANEL])
        if kind == CROSS_ENTROPY:
            loss -= target * z
        elif kind == BINARY_SIGMOID:
            loss += _softplus(z) - target * z
        else:
            loss += 0.5 * (p - target) * (p - target)
            inner += (p - target) * p
    for k in range(classes):
        p = np.float64(out[k * PANEL])
        d = p - (on if k == label else off)
        if kind == SQUARED_SOFTMAX:
            d = p * (d - inner)
        elif kind == SQUARED_SIGMOID:
            d = d * p * (1 - p)
        out[k * PANEL] = d * factor
    return loss


@kernel
def loss(args, part):
    """Write dL/dz for a part of the images, and their summed loss and hits to ``result`` (parts, 2), float64.

    z and dz are panels (panels, wide, PANEL). ``labels`` are int64, found through ``rows``; ``weights`` are
    float32, one per image of the batch, or 0. Columns beyond the last image become 0.
    """
    z, dz, labels, rows, weights = args[0], args[1], ints_at(args[2]), ints_at(args[3]), args[4]
    images, classes, wide, kind = args[5], args[6], args[7], args[8]
    smoothing, share_of_one, result = real(args[9]), real(args[10]), doubles_at(args[11])
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
        label = labels[rows[n]]
        weight = np.float64(floats_at(weights)[n]) if weights else 1.0
        top, best = np.float64(column[0]), 0
        for k in range(1, classes):
            if column[k * PANEL] > top:
                top, best = np.float64(column[k * PANEL]), k
        log_sum = _probabilities(kind, column, gradient, classes, top)
        one = _of_one(kind, column, gradient, classes, label, on, off, log_sum, weight * share_of_one)
        summed += one * weight
        hits += best == label and not math.isnan(one)
    result[2 * part] = summed
    result[2 * part + 1] = hits
