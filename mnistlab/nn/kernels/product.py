"""The matrix product of the kernels: any size, rows and columns found through tables of offsets."""

from __future__ import annotations

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.nn.kernels.jit import called, helper, subroutine

TALL = 8 if vir.WIDE else 6  # rows of the largest tile of two vectors
SLIM = 8  # and of one vector
two1, two2, two3, two4, two5, two6, two7, two8 = (vir.tile(min(rows, TALL), 2) for rows in range(1, 9))
one1, one2, one3, one4, one5, one6, one7, one8 = (vir.tile(rows, 1) for rows in range(1, 9))


@helper
def _two(rows, a, row_of, a_of, b, b_of, depth, y, y_row, add):
    if rows == 6:
        two6(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 5:
        two5(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 4:
        two4(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 3:
        two3(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 2:
        two2(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 1:
        two1(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 7:
        two7(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    else:
        two8(a, row_of, a_of, b, b_of, depth, y, y_row, add)


@helper
def _one(rows, a, row_of, a_of, b, b_of, depth, y, y_row, add):
    if rows == 8:
        one8(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 7:
        one7(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 6:
        one6(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 5:
        one5(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 4:
        one4(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 3:
        one3(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    elif rows == 2:
        one2(a, row_of, a_of, b, b_of, depth, y, y_row, add)
    else:
        one1(a, row_of, a_of, b, b_of, depth, y, y_row, add)


@subroutine(11)
def product(a, row_of, rows, a_of, b, b_of, depth, y, y_row, columns, add):
    """Write Y[r y_row + n] (+)= sum over k < depth of A[row_of[r] + a_of[k]] B[b_of[k] + n], r < rows, n < columns.

    Rows are shared out evenly among tiles, so that none is much slower than the others. Where ``columns`` is not a
    multiple of LANES, the last vector overlaps the one before it, and the same sums are written twice: then add must
    be 0 and columns at least LANES. depth is at least 1.
    """
    lanes = vir.LANES
    n = 0
    while n < columns:
        if n + 2 * lanes <= columns:
            tallest, width = TALL, 2 * lanes
        else:
            tallest, width = SLIM, lanes
            if n + lanes > columns:
                n = columns - lanes
        tiles = (rows + tallest - 1) // tallest
        r = 0
        for t in range(tiles):
            stop = rows * (t + 1) // tiles
            if width == lanes:
                _one(stop - r, a, row_of + 8 * r, a_of, b + 4 * n, b_of, depth, y + 4 * (r * y_row + n), y_row, add)
            else:
                _two(stop - r, a, row_of + 8 * r, a_of, b + 4 * n, b_of, depth, y + 4 * (r * y_row + n), y_row, add)
            r = stop
        n += width


multiply = called(11)
