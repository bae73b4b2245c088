"""Every optimizer's rule in one pass over the parameters, with the L1 and L2 penalties and the factor of clipping.

The formulas are those of `nn.optimizers`. Moments below TINY become 0 within the pass: none is ever denormal.
"""

from __future__ import annotations

import numpy as np

from mnistlab.nn.kernels.jit import PARTS, doubles_at, floats_at, helper, kernel, real, share

TINY = np.float32(1e-30)
ZERO, ONE = np.float32(0), np.float32(1)
CHUNK = 16  # elements: parts begin on cache lines


@helper
def _penalised(g, p, l1, l2, factor):
    """Return the gradient with the derivatives of l1 |p| and l2 p^2 / 2, times the factor of clipping."""
    sign = l1 if p > ZERO else (-l1 if p < ZERO else ZERO)
    return (g + l2 * p + sign) * factor


@helper
def _flushed(moment):
    return moment if abs(moment) > TINY or moment != moment else ZERO


@helper
def _penalties(args, weights):
    """Return l1 and l2 for the weights, and 0 for the biases."""
    return np.float32(real(args[4])) * np.float32(weights), np.float32(real(args[5])) * np.float32(weights)


@helper
def _span(args, part, weights):
    """Return start and stop of a part of the weights, or of the biases."""
    n_weights, size = args[2], args[3]
    low, high = (0, n_weights) if weights else (n_weights, size)
    start, stop = share((high - low + CHUNK - 1) // CHUNK, part, PARTS)
    return low + start * CHUNK, min(low + stop * CHUNK, high)


# The arguments of a rule: theta, gradient, weights, size, l1, l2, factor, lr, first slot, second slot, then its own.


@kernel
def sgd(args, part):
    """Gradient descent."""
    p, g = floats_at(args[0]), floats_at(args[1])
    factor, lr = np.float32(real(args[6])), np.float32(real(args[7]))
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            p[i] -= lr * _penalised(g[i], p[i], l1, l2, factor)


@kernel
def momentum(args, part):
    """Momentum."""
    p, g, v = floats_at(args[0]), floats_at(args[1]), floats_at(args[8])
    factor, lr, decay = np.float32(real(args[6])), np.float32(real(args[7])), np.float32(real(args[10]))
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            vi = _flushed(decay * v[i] - lr * _penalised(g[i], p[i], l1, l2, factor))
            v[i] = vi
            p[i] += vi


@kernel
def nesterov(args, part):
    """Nesterov's momentum."""
    p, g, v = floats_at(args[0]), floats_at(args[1]), floats_at(args[8])
    factor, lr, decay = np.float32(real(args[6])), np.float32(real(args[7])), np.float32(real(args[10]))
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            step = lr * _penalised(g[i], p[i], l1, l2, factor)
            vi = _flushed(decay * v[i] - step)
            v[i] = vi
            p[i] += decay * vi - step


@kernel
def rmsprop(args, part):
    """s <- rho s + share g^2: RMSprop with share = 1 - rho, AdaGrad with rho = share = 1."""
    p, g, s = floats_at(args[0]), floats_at(args[1]), floats_at(args[8])
    factor, lr = np.float32(real(args[6])), np.float32(real(args[7]))
    rho, fresh, eps = np.float32(real(args[10])), np.float32(real(args[11])), np.float32(real(args[12]))
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            gi = _penalised(g[i], p[i], l1, l2, factor)
            si = _flushed(rho * s[i] + fresh * gi * gi)
            s[i] = si
            p[i] -= lr * gi / (np.sqrt(si) + eps)


@kernel
def adam(args, part):
    """Adam on m / (1 - b1) and v / (1 - b2), as in `nn.optimizers`. AdamW first multiplies weights by ``kept``."""
    p, g, m, v = floats_at(args[0]), floats_at(args[1]), floats_at(args[8]), floats_at(args[9])
    factor, step = np.float32(real(args[6])), np.float32(real(args[7]))
    b1, b2, eps = np.float32(real(args[10])), np.float32(real(args[11])), np.float32(real(args[12]))
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        kept = np.float32(real(args[13])) if weights else ONE
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            gi = _penalised(g[i], p[i], l1, l2, factor)
            mi, vi = _flushed(b1 * m[i] + gi), _flushed(b2 * v[i] + gi * gi)
            m[i] = mi
            v[i] = vi
            p[i] = kept * p[i] - step * mi / (np.sqrt(vi) + eps)


@kernel
def squares(args, part):
    """Write the sum of squares of a part of the penalised gradient to ``result[part]`` (float64): for clipping."""
    p, g = floats_at(args[0]), floats_at(args[1])
    total = 0.0
    for weights in range(2):
        l1, l2 = _penalties(args, weights)
        start, stop = _span(args, part, weights)
        for i in range(start, stop):
            gi = np.float64(_penalised(g[i], p[i], l1, l2, ONE))
            total += gi * gi
    doubles_at(args[8])[part] = total
