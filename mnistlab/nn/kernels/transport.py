"""What moves values between layouts: pixels into a network, maps into vectors and back; and dropout.

Dropout's mask comes from Philox 4x32-10 (Salmon et al. 2011), a counter-based generator: any part of it can be computed
alone. Its key is one draw of the run's dropout stream a step; the counter is the element and the layer.
"""

from __future__ import annotations

import numpy as np

from mnistlab.nn.kernels.jit import PARTS, bytes_at, floats_at, helper, ints_at, kernel, real, share

LOW = np.uint64(0xFFFFFFFF)
HALF_WORD = np.uint64(32)
FIRST_MULTIPLIER, SECOND_MULTIPLIER = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
FIRST_WEYL, SECOND_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
ROUNDS = 10


@kernel
def gather(args, part):
    """Write (pixel - shift) scale for a part of the images, which are uint8 (bytes = 1) or float32.

    Pixel (r, s) of image i goes to out[i out_image + r out_row + s]. ``rows`` are int64 places of the images.
    """
    images, rows, out, count = args[0], args[1], args[2], args[3]
    height, width, out_image, out_row, is_bytes = args[4], args[5], args[6], args[7], args[8]
    shift, scale = np.float32(real(args[9])), np.float32(real(args[10]))
    places = ints_at(rows)
    start, stop = share(count, part, PARTS)
    for i in range(start, stop):
        for r in range(height):
            at, values = (places[i] * height + r) * width, floats_at(out + 4 * (i * out_image + r * out_row))
            if is_bytes:
                pixels = bytes_at(images + at)
                for s in range(width):
                    values[s] = (np.float32(pixels[s]) - shift) * scale
            else:
                numbers = floats_at(images + 4 * at)
                for s in range(width):
                    values[s] = (numbers[s] - shift) * scale


@kernel
def flatten(args, part):
    """Write maps as rows of their elements, for a part of the images.

    Element (r, s, c) goes to c height width + r width + s as in the NumPy layers, or to (r width + s) channels + c.
    """
    maps, rows, count, height, width, channels = args[0], args[1], args[2], args[3], args[4], args[5]
    image, row, wide_channels, wide, channels_last = args[6], args[7], args[8], args[9], args[10]
    start, stop = share(count, part, PARTS)
    for i in range(start, stop):
        out = floats_at(rows + 4 * i * wide)
        for r in range(height):
            for s in range(width):
                pixel = floats_at(maps + 4 * (i * image + r * row + s * wide_channels))
                if channels_last:
                    for c in range(channels):
                        out[(r * width + s) * channels + c] = pixel[c]
                else:
                    for c in range(channels):
                        out[(c * height + r) * width + s] = pixel[c]


@kernel
def unflatten(args, part):
    """The inverse of `flatten`."""
    rows, maps, count, height, width, channels = args[0], args[1], args[2], args[3], args[4], args[5]
    image, row, wide_channels, wide, channels_last = args[6], args[7], args[8], args[9], args[10]
    start, stop = share(count, part, PARTS)
    for i in range(start, stop):
        values = floats_at(rows + 4 * i * wide)
        for r in range(height):
            for s in range(width):
                pixel = floats_at(maps + 4 * (i * image + r * row + s * wide_channels))
                if channels_last:
                    for c in range(channels):
                        pixel[c] = values[(r * width + s) * channels + c]
                else:
                    for c in range(channels):
                        pixel[c] = values[(c * height + r) * width + s]


@helper
def philox(c0, c1, k0, k1):
    """Return four words of 32 bits for the counter (c0, c1, 0, 0) and the key (k0, k1), all as uint64."""
    c2 = c3 = np.uint64(0)
    for _ in range(ROUNDS):
        first, second = c0 * FIRST_MULTIPLIER, c2 * SECOND_MULTIPLIER
        c0, c2 = (second >> HALF_WORD) ^ c1 ^ k0, (first >> HALF_WORD) ^ c3 ^ k1
        c1, c3 = second & LOW, first & LOW
        k0, k1 = (k0 + FIRST_WEYL) & LOW, (k1 + SECOND_WEYL) & LOW
    return c0, c1, c2, c3


@kernel
def drop(args, part):
    """Draw the mask for a part of the elements, 0 or 1 / (1 - rate), and multiply the elements by it.

    ``key`` is the address of 64 random bits; ``threshold`` is (1 - rate) 2^32.
    """
    values, mask, out, size, layer = floats_at(args[0]), floats_at(args[1]), floats_at(args[2]), args[3], args[4]
    threshold, factor = np.uint64(args[5]), np.float32(real(args[6]))
    key = np.uint64(ints_at(args[7])[0])
    k0, k1, zero = key & LOW, key >> HALF_WORD, np.float32(0)
    start, stop = share(size // 4, part, PARTS)
    for n in range(start, stop):
        words = philox(np.uint64(n), np.uint64(layer), k0, k1)
        for j in range(4):
            kept = factor if words[j] < threshold else zero
            mask[4 * n + j] = kept
            out[4 * n + j] = values[4 * n + j] * kept


@kernel
def scale_by(args, part):
    """Multiply a part of the values by another array: the gradient by the mask of `drop`."""
    values, factors, size = floats_at(args[0]), floats_at(args[1]), args[2]
    start, stop = share(size, part, PARTS)
    for n in range(start, stop):
        values[n] *= factors[n]
