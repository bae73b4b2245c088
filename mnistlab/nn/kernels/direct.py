"""Convolution in register tiles, without unrolled windows: any kernel, stride 1, channels last.

    y[p, q, f] = sum over i, j, c of x[p + i, q + j, c] W[i, j, c, f]
    dW[i, j, c, f] = sum over images, p, q of x[p + i, q + j, c] dy[p, q, f]
    dx[r, s, c] = sum over i, j, f of dy[r + pad - i, s + pad - j, f] W[i, j, c, f]

x is padded with zeros when it is written, and dy has a margin of zeros. All three are products of the same kind, with
rows and terms found through tables of offsets. Every part of the images sums its own dW, and `reduce_direct` adds them.
"""

from __future__ import annotations

from mnistlab.nn.kernels.jit import PARTS, floats_at, helper, kernel, share
from mnistlab.nn.kernels.maps import POOLED, finish_row, spread_row
from mnistlab.nn.kernels.product import multiply


@kernel
def pack_direct(args, part):
    """Write W (filters, taps, channels) as (taps, rows, padded filters), and turned, with the channels padded and last.

    Tap t of filter f begins at t tap_step + f filter_step. What is beyond filters and channels stays 0. The bias is
    padded too.
    """
    w, packed, turned, b, bias = (
        floats_at(args[0]), floats_at(args[1]), floats_at(args[2]), floats_at(args[3]), floats_at(args[4])
    )  # fmt: skip
    filters, taps, channels = args[5], args[6], args[7]
    rows, wide_filters, tap_step, filter_step = args[8], args[9], args[10], args[11]
    start, stop = share(filters, part, PARTS)
    for f in range(start, stop):
        bias[f] = b[f]
        for t in range(taps):
            for c in range(channels):
                value = w[(f * taps + t) * channels + c]
                packed[(t * rows + c) * wide_filters + f] = value
                turned[t * tap_step + f * filter_step + c] = value


@kernel
def convolve(args, part):
    """Convolve a part of the images, and finish each row while it is in the first cache."""
    product, x, w, bias, y, out, code = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    images, x_image, x_row = args[7], args[8], args[9]
    column_of, tap_of, weight_of, terms = args[10], args[11], args[12], args[13]
    height, width, filters, mode = args[14], args[15], args[16], args[17]  # of the output, and of y where it pools
    out_image, out_row = args[18], args[19]
    deep = 2 if mode >= POOLED else 1
    y_width = width * deep
    y += 4 * part * deep * y_width * filters
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for p in range(height):
            for h in range(deep):
                row = x + 4 * (i * x_image + (p * deep + h) * x_row)
                strip = y + 4 * h * y_width * filters
                multiply(product, row, column_of, y_width, tap_of, w, weight_of, terms, strip, filters, filters, 0)
            place, where = out + 4 * (i * out_image + p * out_row), code + (i * height + p) * width * filters
            finish_row(mode, y, y_width * filters, width, filters, bias, place, where)


@kernel
def convolve_back(args, part):
    """Write the gradients of a part of the images: dW and db of the part, and dx unless its address is 0.

    dx is gathered, a product for each of its rows; or, where the map is so small that most of those sums would run over
    the margin, it is scattered: the products of a row of dy with all taps are added where they belong.
    """
    product, x, w, out, code, g = args[0], args[1], args[2], args[3], args[4], args[5]
    dy, dw, db, dx = args[6], args[7], args[8], args[9]
    images, x_image = args[10], args[11]
    row_of, pixel_of, dy_of, rows, pixels = args[12], args[13], args[14], args[15], args[16]
    height, width, filters, mode = args[17], args[18], args[19], args[20]
    out_image, out_row, g_image, g_row = args[21], args[22], args[23], args[24]
    dy_size, dy_row, dy_first = args[25], args[26], args[27]  # dy_first: the first pixel within the margin
    column_of, tap_of, weight_of, terms = args[28], args[29], args[30], args[31]
    dx_image, dx_row, dx_height, dx_width, channels = args[32], args[33], args[34], args[35], args[36]
    columns, size, kernel_size = args[37], args[38], args[39]  # columns: 0 where dx is gathered
    deep = 2 if mode >= POOLED else 1
    columns += 4 * part * width * deep * size if columns != 0 else 0
    dy += 4 * part * dy_size
    dw += 4 * part * rows * filters
    db += 4 * part * filters
    sums, bias_sums = floats_at(dw), floats_at(db)
    for k in range(rows * filters):
        sums[k] = 0
    for k in range(filters):
        bias_sums[k] = 0
    inner = dy + 4 * dy_first
    start, stop = share(images, part, PARTS)
    for i in range(start, stop):
        for p in range(height):
            grad, place = g + 4 * (i * g_image + p * g_row), out + 4 * (i * out_image + p * out_row)
            where = code + (i * height + p) * width * filters
            spread_row(mode, grad, place, where, inner + 4 * p * deep * dy_row, dy_row, width, filters, db)
        image = x + 4 * i * x_image
        multiply(product, image, row_of, rows, pixel_of, inner, dy_of, pixels, dw, filters, filters, 1)
        if dx != 0 and columns != 0:
            pixels_of = floats_at(dx + 4 * i * dx_image)
            for n in range(dx_height * dx_row):
                pixels_of[n] = 0
            for p in range(height * deep):
                row = inner + 4 * p * dy_row
                multiply(product, row, column_of, width * deep, tap_of, w, weight_of, terms, columns, size, size, 0)
                place = dx + 4 * (i * dx_image + p * dx_row)
                _scatter(columns, place, width * deep, kernel_size, size, dx_row, channels)
        elif dx != 0:
            for r in range(dx_height):
                strip, row = dx + 4 * (i * dx_image + r * dx_row), dy + 4 * r * dy_row
                multiply(product, row, column_of, dx_width, tap_of, w, weight_of, terms, strip, channels, channels, 0)


@helper
def _scatter(columns, dx, width, kernel_size, size, dx_row, channels):
    """Add columns (width, kernel, kernel, channels) to the pixels of dx under the kernel."""
    for q in range(width):
        for i in range(kernel_size):
            values = floats_at(columns + 4 * (q * size + i * kernel_size * channels))
            pixels = floats_at(dx + 4 * (i * dx_row + q * channels))
            for n in range(kernel_size * channels):
                pixels[n] += values[n]


@kernel
def reduce_direct(args, part):
    """Write the gradients of W (filters, taps, channels) and b, given dW (parts, taps, rows, padded filters) and db.

    ``parts`` of dW and PARTS of db are summed; of the rows the first ``channels`` count.
    """
    dw, db, gw, gb = floats_at(args[0]), floats_at(args[1]), floats_at(args[2]), floats_at(args[3])
    filters, taps, channels, rows, wide, parts = args[4], args[5], args[6], args[7], args[8], args[9]
    start, stop = share(filters, part, PARTS)
    for f in range(start, stop):
        total = db[f]
        for k in range(1, PARTS):
            total += db[k * wide + f]
        gb[f] = total
        for t in range(taps):
            for c in range(channels):
                at = (t * rows + c) * wide + f
                total = dw[at]
                for k in range(1, parts):
                    total += dw[k * taps * rows * wide + at]
                gw[(f * taps + t) * channels + c] = total
