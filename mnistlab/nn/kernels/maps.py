"""What follows a convolution on a map: bias, activation and pooling of 2 x 2 in one pass, and its adjoint.

Maps are *channels last*, (images, height, width, channels), the channels padded to whole vectors; a convolution hands
over rows of its result while they are in the first cache. The *mode* says what is done with the four neighbours of a
pooling window, or with one pixel; b is the bias:

    PLAIN y + b    RELU max(0, y + b)    MAX max(y) + b    RELU_MAX max(0, max(y) + b)
    MEAN mean(y) + b    MEAN_RELU max(0, mean(y) + b)    RELU_MEAN mean(max(0, y + b))

The backward pass needs to know where the largest element was and which ones were positive: a byte per output, ``code``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir

from mnistlab.nn.kernels import vector_ir as vir
from mnistlab.nn.kernels.jit import helper
from mnistlab.nn.kernels.vector_ir import BYTE, BYTES, LANES, WORDS, Value, instruction, number, pointer

PLAIN, RELU, MAX, RELU_MAX, MEAN, MEAN_RELU, RELU_MEAN = range(7)
DEAD = 4  # the code of a window whose largest element is not positive
POOLED = MAX  # modes from here on pool


def _word(value: int) -> Any:
    return ir.Constant(WORDS, [value] * LANES)


def _read(b: Any, start: Any, index: Any = 0) -> Value:
    return Value(b, vir.load(b, start, number(0) if index == 0 else index))


def _window(b: Any, y: Any, right: Any, down: Any) -> list[Value]:
    """Return the four vectors of a window, row by row."""
    return [_read(b, y), _read(b, y, right), _read(b, y, down), _read(b, y, b.add(down, right))]


def _write_code(b: Any, words: Any, code: Any) -> None:
    place = b.bitcast(pointer(b, code, BYTE), BYTES.as_pointer())
    b.store(b.trunc(words, BYTES), place).align = 1


def _read_code(b: Any, code: Any) -> Any:
    register = b.load(b.bitcast(pointer(b, code, BYTE), BYTES.as_pointer()))
    register.align = 1
    return b.zext(register, WORDS)


def _pixel(relu: bool) -> Any:
    def emit(b: Any, y: Any, bias: Any, out: Any) -> None:
        value = _read(b, pointer(b, y)) + _read(b, pointer(b, bias))
        vir.store(b, (value.relu() if relu else value).register, pointer(b, out), number(0))

    return instruction(3, emit)


def _largest(relu: bool) -> Any:
    def emit(b: Any, y: Any, right: Any, down: Any, bias: Any, out: Any, code: Any) -> None:
        best, *others = _window(b, pointer(b, y), right, down)
        place = _word(0)
        for i, other in enumerate(others, 1):
            larger = b.or_(other.above(best), b.fcmp_unordered("uno", other.register, other.register))  # NaN wins
            best, place = other.where(larger, best), b.select(larger, _word(i), place)
        value = best + _read(b, pointer(b, bias))
        if relu:
            dead = b.fcmp_ordered("<=", value.register, ir.Constant(vir.VECTOR, [0.0] * LANES))
            place = b.select(dead, _word(DEAD), place)
            value = value.relu()
        vir.store(b, value.register, pointer(b, out), number(0))
        _write_code(b, place, code)

    return instruction(6, emit)


def _mean(relu: bool) -> Any:
    def emit(b: Any, y: Any, right: Any, down: Any, bias: Any, out: Any) -> None:
        first, second, third, fourth = _window(b, pointer(b, y), right, down)
        value = (first + second + (third + fourth)) * 0.25 + _read(b, pointer(b, bias))
        vir.store(b, (value.relu() if relu else value).register, pointer(b, out), number(0))

    return instruction(5, emit)


def _emit_mean_of_relu(b: Any, y: Any, right: Any, down: Any, bias: Any, out: Any, code: Any) -> None:
    shift, dead = _read(b, pointer(b, bias)), ir.Constant(vir.VECTOR, [0.0] * LANES)
    values = [value + shift for value in _window(b, pointer(b, y), right, down)]
    words = _word(0)
    for i, value in enumerate(values):
        flat = b.fcmp_ordered("<=", value.register, dead)
        words = b.or_(words, b.select(flat, _word(0), _word(1 << i)))
    first, second, third, fourth = (value.relu() for value in values)
    vir.store(b, ((first + second + (third + fourth)) * 0.25).register, pointer(b, out), number(0))
    _write_code(b, words, code)


def _gradient(positive: bool) -> Any:
    """dy = g, or g where out > 0."""

    def emit(b: Any, g: Any, out: Any, y: Any, db: Any) -> None:
        value = _masked(b, g, out) if positive else _read(b, pointer(b, g))
        vir.store(b, value.register, pointer(b, y), number(0))
        _add_to(b, db, value)

    return instruction(4, emit)


def _masked(b: Any, g: Any, out: Any) -> Value:
    flat = b.fcmp_ordered("<=", _read(b, pointer(b, out)).register, ir.Constant(vir.VECTOR, [0.0] * LANES))
    return Value(b, b.select(flat, ir.Constant(vir.VECTOR, [0.0] * LANES), _read(b, pointer(b, g)).register))


def _add_to(b: Any, sums: Any, value: Value) -> None:
    start = pointer(b, sums)
    vir.store(b, (value + _read(b, start)).register, start, number(0))


def _four(b: Any, y: Any, right: Any, down: Any, values: list[Any]) -> None:
    for value, place in zip(values, (number(0), right, down, b.add(down, right)), strict=True):
        vir.store(b, value, pointer(b, y), place)


def _emit_gradient_of_largest(b: Any, g: Any, code: Any, y: Any, right: Any, down: Any, db: Any) -> None:
    value, words, nothing = _read(b, pointer(b, g)), _read_code(b, code), ir.Constant(vir.VECTOR, [0.0] * LANES)
    values = [b.select(b.icmp_signed("==", words, _word(i)), value.register, nothing) for i in range(4)]
    _four(b, y, right, down, values)
    dead = b.icmp_signed("==", words, _word(DEAD))
    _add_to(b, db, Value(b, b.select(dead, nothing, value.register)))


def _emit_gradient_of_mean_of_relu(b: Any, g: Any, code: Any, y: Any, right: Any, down: Any, db: Any) -> None:
    value, words, nothing = _read(b, pointer(b, g)) * 0.25, _read_code(b, code), ir.Constant(vir.VECTOR, [0.0] * LANES)
    values = []
    for i in range(4):
        live = b.icmp_signed("!=", b.and_(words, _word(1 << i)), _word(0))
        values.append(b.select(live, value.register, nothing))
    _four(b, y, right, down, values)
    first, second, third, fourth = (Value(b, each) for each in values)
    _add_to(b, db, first + second + (third + fourth))


def _gradient_of_mean(positive: bool) -> Any:
    def emit(b: Any, g: Any, out: Any, y: Any, right: Any, down: Any, db: Any) -> None:
        value = _masked(b, g, out) if positive else _read(b, pointer(b, g))
        _four(b, y, right, down, [(value * 0.25).register] * 4)
        _add_to(b, db, value)

    return instruction(6, emit)


_six: Callable[[Any], Any] = lambda emit: instruction(6, emit)  # noqa: E731
plain, relu = _pixel(relu=False), _pixel(relu=True)
largest, relu_largest = _largest(relu=False), _largest(relu=True)
mean, mean_relu, relu_mean = _mean(relu=False), _mean(relu=True), _six(_emit_mean_of_relu)
d_plain, d_relu = _gradient(positive=False), _gradient(positive=True)
d_largest, d_relu_mean = _six(_emit_gradient_of_largest), _six(_emit_gradient_of_mean_of_relu)
d_mean, d_mean_relu = _gradient_of_mean(positive=False), _gradient_of_mean(positive=True)


@helper
def finish_row(mode, y, y_row, width, channels, bias, out, code):
    """Write one row of ``width`` outputs, from one row of y or, where the mode pools, from two that are y_row apart."""
    for q in range(width):
        for f in range(0, channels, LANES):
            b, o, c = bias + 4 * f, out + 4 * (q * channels + f), code + q * channels + f
            one, window = y + 4 * (q * channels + f), y + 4 * (2 * q * channels + f)
            if mode == RELU_MAX:
                relu_largest(window, channels, y_row, b, o, c)
            elif mode == RELU_MEAN:
                relu_mean(window, channels, y_row, b, o, c)
            elif mode == RELU:
                relu(one, b, o)
            elif mode == PLAIN:
                plain(one, b, o)
            elif mode == MAX:
                largest(window, channels, y_row, b, o, c)
            elif mode == MEAN:
                mean(window, channels, y_row, b, o)
            else:
                mean_relu(window, channels, y_row, b, o)


@helper
def spread_row(mode, g, out, code, y, y_row, width, channels, db):
    """The adjoint of `finish_row`: write dL/dy for a row of dL/dout in ``g``, and add it to that of the bias."""
    for q in range(width):
        for f in range(0, channels, LANES):
            s, o, c = g + 4 * (q * channels + f), out + 4 * (q * channels + f), code + q * channels + f
            one, window, b = y + 4 * (q * channels + f), y + 4 * (2 * q * channels + f), db + 4 * f
            if mode in (RELU_MAX, MAX):
                d_largest(s, c, window, channels, y_row, b)
            elif mode == RELU_MEAN:
                d_relu_mean(s, c, window, channels, y_row, b)
            elif mode == RELU:
                d_relu(s, o, one, b)
            elif mode == PLAIN:
                d_plain(s, o, one, b)
            elif mode == MEAN:
                d_mean(s, o, window, channels, y_row, b)
            else:
                d_mean_relu(s, o, window, channels, y_row, b)
