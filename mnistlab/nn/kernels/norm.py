"""Batch normalisation of maps, with the activation and pooling of 2 x 2 that follow it.

    y = (x - mean) inverse gamma + beta, inverse = 1 / sqrt(var + eps)
    dx = inverse gamma (dy - dbeta / m - xh dgamma / m), xh = (x - mean) inverse, m = images height width

Forward and backward each read the map twice: for sums over it, and for the result. Every part of the images sums its
own share. All parts then add the shares up in the same order, each for itself, so that none waits for another; only
the first part writes what is kept. `maps` does what follows, a row at a time.
"""

from __future__ import annotations

import math

import numpy as np

from mnistlab.nn.kernels.jit import PARTS, doubles_at, floats_at, helper, kernel, real, share
from mnistlab.nn.kernels.maps import POOLED, finish_row, spread_row


@kernel
def sum_maps(args, part):
    """Write the sums of x and of x^2 over a part of the images for each channel, in float64."""
    x, sums, images, height, width, channels, wide = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    x_image, x_row = args[7], args[8]
    total, squares = doubles_at(sums + 16 * part * wide), doubles_at(sums + 8 * (2 * part + 1) * wide)
    for c in range(wide):
        total[c] = 0.0
        squares[c] = 0.0
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for p in range(height):
            for q in range(width):
                pixel = floats_at(x + 4 * (i * x_image + p * x_row + q * wide))
                for c in range(channels):
                    value = np.float64(pixel[c])
                    total[c] += value
                    squares[c] += value * value


@kernel
def normalise(args, part):
    """Normalise a part of the images, and finish each row; in training also update the running statistics.

    ``table`` (parts, 4, wide) gets the mean, inverse, inverse gamma and beta of each channel.
    """
    x, sums, table, out, code, y, zeros = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    gamma, beta, mean, variance = floats_at(args[7]), floats_at(args[8]), floats_at(args[9]), floats_at(args[10])
    momentum, eps, is_training = real(args[11]), real(args[12]), args[13]
    images, height, width, channels, wide, mode = args[14], args[15], args[16], args[17], args[18], args[19]
    x_image, x_row, out_image, out_row, m = args[20], args[21], args[22], args[23], args[24]
    table += 16 * part * wide
    means, inverses = floats_at(table), floats_at(table + 4 * wide)
    scales, shifts = floats_at(table + 8 * wide), floats_at(table + 12 * wide)
    for c in range(channels):
        if is_training:
            total, squares = 0.0, 0.0
            for k in range(PARTS):
                total += doubles_at(sums + 16 * k * wide)[c]
                squares += doubles_at(sums + 8 * (2 * k + 1) * wide)[c]
            average = total / m
            spread = squares / m - average * average
            spread = 0.0 if spread < 0.0 else spread  # by rounding; NaN stays NaN
            if part == 0 and m > 1:
                mean[c] = momentum * mean[c] + (1.0 - momentum) * average
                variance[c] = momentum * variance[c] + (1.0 - momentum) * spread * (m / (m - 1))
        else:
            average, spread = np.float64(mean[c]), np.float64(variance[c])
        means[c], inverses[c] = average, 1.0 / math.sqrt(spread + eps)
        scales[c], shifts[c] = inverses[c] * gamma[c], beta[c]
    deep = 2 if mode >= POOLED else 1
    row = width * deep * wide
    y += 4 * part * deep * row
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for p in range(height):
            for h in range(deep):
                _normalise_row(
                    x + 4 * (i * x_image + (p * deep + h) * x_row), y + 4 * h * row, width * deep, wide, table
                )
            place, where = out + 4 * (i * out_image + p * out_row), code + (i * height + p) * width * wide
            finish_row(mode, y, row, width, wide, zeros, place, where)


@helper
def _normalise_row(x, y, width, wide, table):
    means, scales, shifts = floats_at(table), floats_at(table + 8 * wide), floats_at(table + 12 * wide)
    for q in range(width):
        pixel, result = floats_at(x + 4 * q * wide), floats_at(y + 4 * q * wide)
        for c in range(wide):
            result[c] = (pixel[c] - means[c]) * scales[c] + shifts[c]


@kernel
def sum_gradients(args, part):
    """Write the sums of dy and of dy xh over a part of the images: ``sums`` (parts, 2, wide)."""
    x, table, sums, out, code, g, dy = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    images, height, width, wide, mode = args[7], args[8], args[9], args[10], args[11]
    x_image, x_row, out_image, out_row, g_image, g_row = args[12], args[13], args[14], args[15], args[16], args[17]
    deep = 2 if mode >= POOLED else 1
    row = width * deep * wide
    dy += 4 * part * deep * row
    d_beta, d_gamma = sums + 8 * part * wide, floats_at(sums + 4 * (2 * part + 1) * wide)
    means, inverses = floats_at(table), floats_at(table + 4 * wide)
    for c in range(wide):
        floats_at(d_beta)[c] = 0
        d_gamma[c] = 0
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for p in range(height):
            grad, place = g + 4 * (i * g_image + p * g_row), out + 4 * (i * out_image + p * out_row)
            spread_row(mode, grad, place, code + (i * height + p) * width * wide, dy, row, width, wide, d_beta)
            for h in range(deep):
                for q in range(width * deep):
                    pixel = floats_at(x + 4 * (i * x_image + (p * deep + h) * x_row + q * wide))
                    gradient = floats_at(dy + 4 * (h * row + q * wide))
                    for c in range(wide):
                        d_gamma[c] += gradient[c] * ((pixel[c] - means[c]) * inverses[c])


@kernel
def normalise_back(args, part):
    """Write dgamma and dbeta, and dx of a part of the images unless its address is 0.

    Pixels beyond the last pooling window have dy = 0, but move mean and variance like all others.
    """
    x, table, sums, out, code, g, dy = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    images, height, width, wide, mode = args[7], args[8], args[9], args[10], args[11]
    x_image, x_row, out_image, out_row, g_image, g_row = args[12], args[13], args[14], args[15], args[16], args[17]
    dx, dx_image, dx_row, x_height, x_width, m = args[18], args[19], args[20], args[21], args[22], args[23]
    d_gamma, d_beta, channels, factors, unused = floats_at(args[24]), floats_at(args[25]), args[26], args[27], args[28]
    means, inverses, scales = floats_at(table), floats_at(table + 4 * wide), floats_at(table + 8 * wide)
    factors += 8 * part * wide
    shifts, slopes = floats_at(factors), floats_at(factors + 4 * wide)
    for c in range(wide):
        total, moment = np.float32(0), np.float32(0)
        for k in range(PARTS):
            total += floats_at(sums + 8 * k * wide)[c]
            moment += floats_at(sums + 4 * (2 * k + 1) * wide)[c]
        if part == 0 and c < channels:
            d_beta[c], d_gamma[c] = total, moment
        shifts[c], slopes[c] = total / m, moment / m * inverses[c]
    if dx == 0:
        return
    deep = 2 if mode >= POOLED else 1
    row = width * deep * wide
    dy += 4 * part * deep * row
    unused += 4 * part * wide
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for r in range(x_height):
            p, h = r // deep, r % deep
            if h == 0 and p < height:
                grad, place = g + 4 * (i * g_image + p * g_row), out + 4 * (i * out_image + p * out_row)
                spread_row(mode, grad, place, code + (i * height + p) * width * wide, dy, row, width, wide, unused)
            inside = width * deep if p < height else 0
            for q in range(x_width):
                pixel = floats_at(x + 4 * (i * x_image + r * x_row + q * wide))
                result = floats_at(dx + 4 * (i * dx_image + r * dx_row + q * wide))
                if q < inside:
                    gradient = floats_at(dy + 4 * (h * row + q * wide))
                    for c in range(wide):
                        result[c] = scales[c] * (gradient[c] - shifts[c] - (pixel[c] - means[c]) * slopes[c])
                else:
                    for c in range(wide):
                        result[c] = scales[c] * (-shifts[c] - (pixel[c] - means[c]) * slopes[c])
