"""Inference of every layer in plain NumPy, batch first. `numpy_source` copies the functions that a network needs."""

from __future__ import annotations

import numpy as np


def dense(x, W, b):  # type: ignore[no-untyped-def]
    """(n, inputs) -> (n, units)."""
    return x @ W.T + b


def flatten(x):  # type: ignore[no-untyped-def]
    """(n, channels, height, width) -> (n, channels * height * width)."""
    return x.reshape(len(x), -1)


def conv(x, W, b, stride, pads):  # type: ignore[no-untyped-def]
    """Cross-correlate (n, channels, height, width) with W (filters, kernel, kernel, channels).

    ``pads`` are the numbers of zeros above, below, on the left and on the right.
    """
    above, below, left, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (above, below), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(x, W.shape[1:3], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncpqij,fijc->nfpq", windows, W, optimize=True) + b[:, None, None]


def maxpool(x, size, stride):  # type: ignore[no-untyped-def]
    """Return the largest element of each window; an edge not covered by a full window is ignored."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.max(axis=(4, 5))


def avgpool(x, size, stride):  # type: ignore[no-untyped-def]
    """Return the mean of each window; an edge not covered by a full window is ignored."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.mean(axis=(4, 5))


def globalavgpool(x):  # type: ignore[no-untyped-def]
    """(n, channels, height, width) -> (n, channels)."""
    return x.mean(axis=(2, 3))


def batchnorm(x, gamma, beta, mean, variance, eps):  # type: ignore[no-untyped-def]
    """Normalise each channel or unit with the statistics of training."""
    scale = gamma / np.sqrt(variance + np.float32(eps))
    by_channel = (len(scale),) + (1,) * (x.ndim - 2)
    return (x - mean.reshape(by_channel)) * scale.reshape(by_channel) + beta.reshape(by_channel)


def sigmoid(x):  # type: ignore[no-untyped-def]
    """1 / (1 + exp(-x)), without overflow."""
    return np.tanh(x / 2) / 2 + np.float32(0.5)


def hard_sigmoid(x):  # type: ignore[no-untyped-def]
    """min(1, max(0, 0.2 x + 0.5))."""
    return np.clip(np.float32(0.2) * x + np.float32(0.5), 0, 1)


def tanh(x):  # type: ignore[no-untyped-def]
    """Return tanh(x)."""
    return np.tanh(x)


def relu(x):  # type: ignore[no-untyped-def]
    """max(0, x)."""
    return np.maximum(x, 0)


def leaky_relu(x, slope):  # type: ignore[no-untyped-def]
    """max(x, slope x)."""
    return np.maximum(x, np.float32(slope) * x)


def elu(x, alpha):  # type: ignore[no-untyped-def]
    """x for x > 0, otherwise alpha (exp(x) - 1)."""
    return np.maximum(x, 0) + np.float32(alpha) * np.expm1(np.minimum(x, 0))


def softplus(x):  # type: ignore[no-untyped-def]
    """log(1 + exp(x))."""
    return np.logaddexp(x, np.float32(0))


def gelu(x):  # type: ignore[no-untyped-def]
    """x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2."""
    return x / 2 * (1 + np.tanh(np.float32(0.7978845608028654) * (x + np.float32(0.044715) * x * x * x)))


def softmax(z):  # type: ignore[no-untyped-def]
    """Logits (n, classes) -> probabilities."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid_share(z):  # type: ignore[no-untyped-def]
    """Logits (n, classes) -> sigmoids, divided by their sum."""
    return softmax(-np.logaddexp(0, -z))
