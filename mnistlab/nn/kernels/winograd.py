"""Winograd's convolution F(4 x 4, 3 x 3), stride 1, channels last (Lavin & Gray 2016, arXiv:1509.09308, section 4.2).

A tile of 4 x 4 outputs depends on 6 x 6 inputs d. With the 1-D transforms B^T, G and A^T below, along both axes,

    U = G g G^T        V = B^T d B        Y = A^T (sum over channels of U * V) A

which takes 36 products a tile instead of 144. For each of the 36 places k the sum over channels is a matrix product
M_k (tiles x filters) = V_k (tiles x channels) U_k (channels x filters). The backward pass is the exact adjoint:

    Z = A dY A^T    dU_k = V_k^T Z_k    dg = G^T dU G    dV_k = Z_k U_k^T    dx += B dV B^T

Rows of tiles go through all of it in blocks that stay in the second cache; V is computed again in the backward pass.
The transforms evaluate polynomials at 0, 1, -1, 2, -2 and infinity, so each is a sum over even and over odd terms.
"""

from __future__ import annotations

from mnistlab.nn.kernels.jit import PARTS, floats_at, helper, kernel, share
from mnistlab.nn.kernels.maps import POOLED, finish_row, spread_row
from mnistlab.nn.kernels.product import multiply
from mnistlab.nn.kernels.vector_ir import LANES, Value, transform

TILE = 4  # outputs of a tile, along one axis
INPUTS = TILE + 2  # and the inputs that they depend on
PLACES = INPUTS**2
APART = 16  # elements between the places: where they are a power of two apart, they share a set of the first cache


def b_transposed(d: list[Value]) -> list[Value]:
    """B^T: six inputs."""
    even, odd = d[4] - d[2] * 4, d[3] - d[1] * 4
    near, far = d[4] - d[2], (d[3] - d[1]) * 2
    return [d[0] * 4 - d[2] * 5 + d[4], even + odd, even - odd, near + far, near - far, d[1] * 4 - d[3] * 5 + d[5]]


def b_matrix(v: list[Value]) -> list[Value]:
    """B: the adjoint of `b_transposed`."""
    even, odd, near, far = v[1] + v[2], v[1] - v[2], v[3] + v[4], (v[3] - v[4]) * 2
    return [
        v[0] * 4,
        (v[5] - odd) * 4 - far,
        v[0] * -5 - even * 4 - near,
        odd + far - v[5] * 5,
        v[0] + even + near,
        v[5],
    ]


def a_transposed(m: list[Value]) -> list[Value]:
    """A^T: six products to four outputs."""
    even, odd, near, far = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + even + near, odd + far * 2, even + near * 4, odd + far * 8 + m[5]]


def a_matrix(y: list[Value]) -> list[Value]:
    """A: the adjoint of `a_transposed`."""
    even, odd, near, far = y[0] + y[2], y[1] + y[3], y[0] + y[2] * 4, y[1] * 2 + y[3] * 8
    return [y[0], even + odd, even - odd, near + far, near - far, y[3]]


def g_matrix(g: list[Value]) -> list[Value]:
    """G: three weights."""
    even, odd = (g[0] + g[2]) * (-1 / 6), g[1] * (-1 / 6)
    near, far = (g[0] * 0.25 + g[2]) * (1 / 6), g[1] * (1 / 12)
    return [g[0] * 0.25, even + odd, even - odd, near + far, near - far, g[2]]


def g_transposed(u: list[Value]) -> list[Value]:
    """G^T: the adjoint of `g_matrix`."""
    even, odd, near, far = u[1] + u[2], u[1] - u[2], u[3] + u[4], u[3] - u[4]
    return [
        u[0] * 0.25 - even * (1 / 6) + near * (1 / 24),
        odd * (-1 / 6) + far * (1 / 12),
        u[5] + (near - even) * (1 / 6),
    ]


to_u = transform(g_matrix, 3, INPUTS)
to_dg = transform(g_transposed, INPUTS, 3)
to_v = transform(b_transposed, INPUTS, INPUTS)
to_y = transform(a_transposed, INPUTS, TILE)
to_z = transform(a_matrix, TILE, INPUTS)
to_dx = transform(b_matrix, INPUTS, INPUTS, add=True)


@kernel
def weights_to_u(args, part):
    """Write U = G g G^T (16, rows, columns) for g (3, 3, rows, columns); rows and columns are channels and filters."""
    g, u, rows, columns = args[0], args[1], args[2], args[3]
    square = rows * columns
    start, stop = share(square // LANES, part, PARTS)
    for n in range(start * LANES, stop * LANES, LANES):
        to_u(g + 4 * n, 3 * square, square, u + 4 * n, INPUTS * square, square)


@kernel
def u_to_weights(args, part):
    """Add the parts of dU (parts, 16, rows, columns), and write dg = G^T dU G (3, 3, rows, columns)."""
    du, dg, rows, columns = args[0], args[1], args[2], args[3]
    square = rows * columns
    sums = floats_at(du)
    start, stop = share(square // LANES, part, PARTS)
    for k in range(PLACES):
        for n in range(k * square + start * LANES, k * square + stop * LANES):
            total = sums[n]
            for other in range(1, PARTS):
                total += sums[other * PLACES * square + n]
            sums[n] = total
    for n in range(start * LANES, stop * LANES, LANES):
        to_dg(du + 4 * n, INPUTS * square, square, dg + 4 * n, 3 * square, square)


@helper
def _clear(address, size):
    values = floats_at(address)
    for n in range(size):
        values[n] = 0


@helper
def _tiles_to_v(strip, x_row, channels, right, v, place, step):
    """Write V of a row of tiles; the first is tile ``place``, and the places k of V are ``step`` apart."""
    for t in range(right):
        for c in range(0, channels, LANES):
            at = v + 4 * ((place + t) * channels + c)
            to_v(strip + 4 * (TILE * t * channels + c), x_row, channels, at, INPUTS * step, step)


@helper
def _band_back(mode, strip, height, width, filters, g, g_row, out, out_row, code, y, y_row, db):
    """Write dY of a row of tiles; rows beyond the map are zero."""
    deep = 2 if mode >= POOLED else 1
    for h in range(TILE // deep):
        p, at = TILE // deep * strip + h, y + 4 * deep * h * y_row
        if p < height:
            where = code
            if mode >= POOLED:
                where += p * width * filters
            spread_row(mode, g + 4 * p * g_row, out + 4 * p * out_row, where, at, y_row, width, filters, db)
        else:
            _clear(at, deep * y_row)


@kernel
def winograd(args, part):
    """Convolve a part of the images."""
    product, x, u, bias, y, out, code = args[0], args[1], args[2], args[3], args[4], args[5], args[6]
    images, x_image, x_row, channels, filters = args[7], args[8], args[9], args[10], args[11]
    down, right, height, width, mode = args[12], args[13], args[14], args[15], args[16]  # tiles, outputs
    out_image, out_row, block = args[17], args[18], args[19]
    v, m, one_of, channel_of, filter_of = args[20], args[21], args[22], args[23], args[24]
    v += 4 * part * PLACES * (block * right * channels + APART)
    m += 4 * part * PLACES * (block * right * filters + APART)
    y_row = TILE * right * filters
    y += 4 * part * TILE * y_row
    deep = 2 if mode >= POOLED else 1
    first, last = share(images, part, PARTS)
    for start in range(first * down, last * down, block):
        stop = min(start + block, last * down)
        tiles = (stop - start) * right
        v_step, m_step = tiles * channels + APART, tiles * filters + APART
        for row in range(start, stop):
            strip = x + 4 * (row // down * x_image + TILE * (row % down) * x_row)
            _tiles_to_v(strip, x_row, channels, right, v, (row - start) * right, v_step)
        for k in range(PLACES):
            multiply(
                product, v + 4 * k * v_step, channel_of, tiles, one_of, u + 4 * k * channels * filters,
                filter_of, channels, m + 4 * k * m_step, filters, filters, 0,
            )  # fmt: skip
        for row in range(start, stop):
            image, strip = row // down, row % down
            for t in range(right):
                at = 4 * ((row - start) * right + t) * filters
                for f in range(0, filters, LANES):
                    to_y(
                        m + at + 4 * f, INPUTS * m_step, m_step,
                        y + 4 * (TILE * t * filters + f), y_row, filters,
                    )  # fmt: skip
            for h in range(TILE // deep):
                p = TILE // deep * strip + h
                if p < height:
                    place, where = out + 4 * (image * out_image + p * out_row), code
                    if mode >= POOLED:
                        where += (image * height + p) * width * filters
                    finish_row(mode, y + 4 * deep * h * y_row, y_row, width, filters, bias, place, where)


@kernel
def winograd_back(args, part):
    """Write the gradients of a part of the images: dU and db, and dx (padded as x) unless its address is 0."""
    product, x, turned, out, code, g = args[0], args[1], args[2], args[3], args[4], args[5]
    y, du, db, dx = args[6], args[7], args[8], args[9]
    images, x_image, x_row, channels, filters = args[10], args[11], args[12], args[13], args[14]
    down, right, height, width, mode = args[15], args[16], args[17], args[18], args[19]
    out_image, out_row, g_image, g_row, block = args[20], args[21], args[22], args[23], args[24]
    v, m, one_of, channel_of, filter_of = args[25], args[26], args[27], args[28], args[29]
    v += 4 * part * PLACES * (block * right * channels + APART)
    m += 4 * part * PLACES * (block * right * filters + APART)
    du += 4 * part * PLACES * channels * filters
    db += 4 * part * filters
    y_row = TILE * right * filters
    y += 4 * part * TILE * y_row
    first, last = share(images, part, PARTS)
    sums, bias_sums = floats_at(du), floats_at(db)
    for k in range(PLACES * channels * filters):
        sums[k] = 0
    for k in range(filters):
        bias_sums[k] = 0
    if dx != 0:
        pixels = floats_at(dx)
        for k in range(first * x_image, last * x_image):
            pixels[k] = 0
    for start in range(first * down, last * down, block):
        stop = min(start + block, last * down)
        tiles = (stop - start) * right
        v_step, m_step = tiles * channels + APART, tiles * filters + APART
        for row in range(start, stop):
            image, strip = row // down, row % down
            band = x + 4 * (image * x_image + TILE * strip * x_row)
            _tiles_to_v(band, x_row, channels, right, v, (row - start) * right, v_step)
            _band_back(
                mode, strip, height, width, filters, g + 4 * image * g_image, g_row, out + 4 * image * out_image,
                out_row, code + image * height * width * filters, y, y_row, db,
            )  # fmt: skip
            for t in range(right):
                at = (row - start) * right + t
                for f in range(0, filters, LANES):
                    to_z(
                        y + 4 * (TILE * t * filters + f), y_row, filters,
                        m + 4 * (at * filters + f), INPUTS * m_step, m_step,
                    )  # fmt: skip
        for k in range(PLACES):
            vk, zk = v + 4 * k * v_step, m + 4 * k * m_step
            uk, duk = turned + 4 * k * channels * filters, du + 4 * k * channels * filters
            multiply(product, vk, one_of, channels, channel_of, zk, filter_of, tiles, duk, filters, filters, 1)
            if dx != 0:
                multiply(product, zk, filter_of, tiles, one_of, uk, channel_of, filters, vk, channels, channels, 0)
        if dx != 0:
            for row in range(start, stop):
                band = dx + 4 * (row // down * x_image + TILE * (row % down) * x_row)
                for t in range(right):
                    at = (row - start) * right + t
                    for c in range(0, channels, LANES):
                        to_dx(
                            v + 4 * (at * channels + c), INPUTS * v_step, v_step,
                            band + 4 * (TILE * t * channels + c), x_row, channels,
                        )  # fmt: skip
