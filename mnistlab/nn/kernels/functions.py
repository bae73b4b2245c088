"""Activation functions and their derivatives on vectors, in float32.

exp follows Cephes (Moshier 1992): exp(x) = 2^n exp(r) with |r| <= log(2) / 2 and a polynomial of degree 6; tanh is a
polynomial below 0.625 and 1 - 2 / (exp(2x) + 1) above. Both are within 2 units in the last place. NaN stays NaN.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from mnistlab.nn.kernels.vector_ir import (
    FLOAT,
    LANES,
    VECTOR,
    WORDS,
    Value,
    broadcast,
    instruction,
    load,
    number,
    pointer,
    store,
)

IDENTITY, RELU, SIGMOID, TANH, LEAKY_RELU = range(5)
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
TANH_SMALL = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)


def _call(b: Any, name: str, result: Any, *operands: Any) -> Any:
    kinds = [operand.type for operand in operands]
    function = b.module.globals.get(name) or ir.Function(b.module, ir.FunctionType(result, kinds), name)
    return b.call(function, operands)


def _horner(x: Value, coefficients: tuple[float, ...]) -> Value:
    total = x * coefficients[0] + coefficients[1]
    for coefficient in coefficients[2:]:
        total = total * x + coefficient
    return total


def exp(x: Value) -> Value:
    """exp(x) for |x| <= 87."""
    b = x.builder
    n = Value(b, _call(b, f"llvm.floor.v{LANES}f32", VECTOR, (x * 1.4426950408889634 + 0.5).register))
    r = x - n * 0.693359375 + n * 2.12194440e-4
    power = _horner(r, EXP) * (r * r) + r + 1.0
    whole = _call(b, f"llvm.fptosi.sat.v{LANES}i32.v{LANES}f32", WORDS, n.register)  # NaN has no undefined integer
    exponent = b.shl(b.add(whole, ir.Constant(WORDS, [127] * LANES)), ir.Constant(WORDS, [23] * LANES))
    return power * Value(b, b.bitcast(exponent, VECTOR))


def tanh(x: Value) -> Value:
    """tanh(x)."""
    b = x.builder
    size = Value(b, _call(b, f"llvm.fabs.v{LANES}f32", VECTOR, x.register))
    bounded = Value(b, b.select(size.above(20.0), ir.Constant(VECTOR, [20.0] * LANES), size.register))
    two = ir.Constant(VECTOR, [2.0] * LANES)
    large = Value(b, b.fsub(ir.Constant(VECTOR, [1.0] * LANES), b.fdiv(two, (exp(bounded * 2.0) + 1.0).register)))
    signed = Value(b, _call(b, f"llvm.copysign.v{LANES}f32", VECTOR, large.register, x.register))
    square = x * x
    small = _horner(square, TANH_SMALL) * square * x + x
    return signed.where(size.above(0.625), small)


def _function(kind: int, x: Value, slope: Value) -> Value:
    if kind == RELU:
        return x.relu()
    if kind == SIGMOID:
        return tanh(x * 0.5) * 0.5 + 0.5
    if kind == TANH:
        return tanh(x)
    if kind == LEAKY_RELU:
        flat = x.builder.fcmp_ordered("<=", x.register, ir.Constant(VECTOR, [0.0] * LANES))
        return (x * slope).where(flat, x)
    return x


def _derivative(kind: int, dy: Value, y: Value, slope: Value) -> Value:
    """dy f'(x), in terms of y = f(x)."""
    b = dy.builder
    one = Value(b, ir.Constant(VECTOR, [1.0] * LANES))
    flat = b.fcmp_ordered("<=", y.register, ir.Constant(VECTOR, [0.0] * LANES))
    if kind == RELU:
        return Value(b, ir.Constant(VECTOR, [0.0] * LANES)).where(flat, dy)
    if kind == SIGMOID:
        return dy * ((one - y) * y)
    if kind == TANH:
        return dy * (one - y * y)
    if kind == LEAKY_RELU:
        return (dy * slope).where(flat, dy)
    return dy


def _scalar(b: Any, address: Any) -> Value:
    return Value(b, broadcast(b, b.load(pointer(b, address, FLOAT))))


def _forward(kind: int) -> Any:
    """``f(y, bias, slope)``: y <- f(y + bias) for a vector; bias and slope are addresses of one number."""

    def emit(b: Any, y: Any, bias: Any, slope: Any) -> None:
        start = pointer(b, y)
        x = Value(b, load(b, start, number(0))) + _scalar(b, bias)
        store(b, _function(kind, x, _scalar(b, slope)).register, start, number(0))

    return instruction(3, emit)


def _backward(kind: int) -> Any:
    """``f(dy, y, slope, dz)``: dz <- dy f'(x)."""

    def emit(b: Any, dy: Any, y: Any, slope: Any, dz: Any) -> None:
        gradient, value = (Value(b, load(b, pointer(b, address), number(0))) for address in (dy, y))
        store(b, _derivative(kind, gradient, value, _scalar(b, slope)).register, pointer(b, dz), number(0))

    return instruction(4, emit)


identity, relu, sigmoid, tangent, leaky = map(_forward, range(5))
d_relu, d_sigmoid, d_tangent, d_leaky = map(_backward, range(1, 5))
