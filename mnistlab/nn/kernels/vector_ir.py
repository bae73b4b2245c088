"""Vector instructions for numba, written as LLVM IR: what plain loops do not compile to.

LLVM vectorises innermost loops only. A matrix product is fast where a *tile* of the result stays in registers while the
sum over k runs, and that needs vectors in the two loops outside of k; the transforms of Winograd's convolution and the
pooling of maps need them too. The functions below are numba intrinsics: each call becomes exactly these instructions.

All operands are *addresses* (int64, of float32 unless said otherwise), and all strides count elements. Nothing is
checked: the caller owns the memory and has padded it to whole vectors. A vector has LANES elements.

The register tile of R rows and S vectors, one step of k (docs/explanation/kernels.md has the picture):

    y[r, s] += broadcast(a[r]) * b[s]        R S fused multiply-adds for R + S loads

On AVX2 (16 registers) R = 6, S = 2 uses 12 for the sums; on AVX-512 (32 registers) R = 12, S = 2 uses 24.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numba
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic


def _features() -> dict[str, bool]:
    """Return what the processor can do: what NUMBA_CPU_FEATURES says, if it is set, as in all of numba."""
    config: Any = numba.config
    if config.CPU_FEATURES:
        return {word[1:]: word[0] == "+" for word in config.CPU_FEATURES.split(",") if word}
    return dict(binding.get_host_cpu_features())


FEATURES = _features()
WIDE = bool(FEATURES.get("avx512f"))
LANES = 16 if WIDE else 8
FLOAT, INT, BYTE = ir.FloatType(), ir.IntType(64), ir.IntType(8)
VECTOR, BYTES, WORDS = (ir.VectorType(kind, LANES) for kind in (FLOAT, BYTE, ir.IntType(32)))
FAST = ("contract", "nsz")

Linear = Callable[[list["Value"]], list["Value"]]


class Value:
    """A vector in a register, so that formulas are ordinary Python. Numbers become vectors of that number."""

    def __init__(self, builder: Any, register: Any) -> None:
        self.builder, self.register = builder, register

    def _other(self, other: Value | float) -> Any:
        return other.register if isinstance(other, Value) else ir.Constant(VECTOR, [float(other)] * LANES)

    def __add__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fadd(self.register, self._other(other), flags=FAST))

    def __sub__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fsub(self.register, self._other(other), flags=FAST))

    def __mul__(self, other: Value | float) -> Value:
        return Value(self.builder, self.builder.fmul(self.register, self._other(other), flags=FAST))

    __rmul__ = __mul__

    def above(self, other: Value | float) -> Any:
        """Return the mask self > other; False where one is NaN."""
        return self.builder.fcmp_ordered(">", self.register, self._other(other))

    def where(self, mask: Any, other: Value | float) -> Value:
        """Return self where the mask is set, and other elsewhere."""
        return Value(self.builder, self.builder.select(mask, self.register, self._other(other)))

    def relu(self) -> Value:
        """Return max(0, self); NaN stays NaN."""
        negative = self.builder.fcmp_ordered("<=", self.register, self._other(0.0))
        return Value(self.builder, self.builder.select(negative, self._other(0.0), self.register))


def pointer(builder: Any, address: Any, kind: Any = FLOAT) -> Any:
    """Return the address as a pointer."""
    return builder.inttoptr(address, kind.as_pointer())


def number(value: int) -> Any:
    """Return an int64 constant."""
    return ir.Constant(INT, value)


def load(builder: Any, start: Any, index: Any) -> Any:
    """Return the vector at that element."""
    register = builder.load(builder.bitcast(builder.gep(start, [index]), VECTOR.as_pointer()))
    register.align = 4
    return register


def store(builder: Any, register: Any, start: Any, index: Any) -> None:
    """Write the vector at that element."""
    builder.store(register, builder.bitcast(builder.gep(start, [index]), VECTOR.as_pointer())).align = 4


def broadcast(builder: Any, scalar: Any) -> Any:
    """Return a vector of that scalar."""
    nothing, places = ir.Constant(VECTOR, ir.Undefined), ir.Constant(WORDS, [0] * LANES)
    first = builder.insert_element(nothing, scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, nothing, places)


def multiply_add(builder: Any) -> Callable[[Any, Any, Any], Any]:
    """Return the function x y + z of three vectors, rounded once."""
    name = f"llvm.fma.v{LANES}f32"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name
    )
    return lambda x, y, z: builder.call(function, [x, y, z])


def instruction(arguments: int, emit: Callable[..., None]) -> Any:
    """Return the intrinsic of so many int64 arguments whose instructions ``emit(builder, *arguments)`` writes."""

    def stub(_context: Any, *_operands: Any) -> tuple[Any, Callable[..., Any]]:
        def generate(context: Any, builder: Any, _signature: Any, values: Sequence[Any]) -> Any:
            emit(builder, *(builder.extract_value(values[0], i) for i in range(arguments)))
            return context.get_dummy_value()

        return types.void(types.StarArgTuple.from_types([types.int64] * arguments)), generate

    return intrinsic(stub)


def tile(rows: int, vectors: int) -> Any:
    """Return the register tile: for r < rows, n < vectors LANES, and sums over k < K (K >= 1),

    Y[r y_row + n] = add Y[r y_row + n] + sum_k A[row_of[r] + a_of[k]] B[b_of[k] + n],    add = 0 or 1.

    ``tile(A, row_of, a_of, B, b_of, K, Y, y_row, add)``; row_of, a_of and b_of are addresses of int64 offsets.
    """
    cells = [(r, s) for r in range(rows) for s in range(vectors)]

    def emit(b: Any, *operands: Any) -> None:
        a, row_of, a_of, b_, b_of, k_end, y, y_row, add = operands
        a, b_, y = (pointer(b, address) for address in (a, b_, y))
        row_of, a_of, b_of = (pointer(b, address, INT) for address in (row_of, a_of, b_of))
        starts = [b.gep(a, [b.load(b.gep(row_of, [number(r)]))]) for r in range(rows)]
        outputs = [b.gep(y, [b.mul(number(r), y_row)]) for r in range(rows)]
        entry = b.block
        reading, loop, end = (b.append_basic_block(name) for name in ("reading", "loop", "end"))
        b.cbranch(b.icmp_signed("!=", add, number(0)), reading, loop)
        b.position_at_end(reading)
        before = {(r, s): load(b, outputs[r], number(s * LANES)) for r, s in cells}
        b.branch(loop)
        b.position_at_end(loop)
        k = b.phi(INT)
        sums = {cell: b.phi(VECTOR) for cell in cells}
        for block in (entry, reading):
            k.add_incoming(number(0), block)
            for cell in cells:
                sums[cell].add_incoming(ir.Constant(VECTOR, [0.0] * LANES) if block is entry else before[cell], block)
        at_a, at_b = b.load(b.gep(a_of, [k])), b.gep(b_, [b.load(b.gep(b_of, [k]))])
        columns, fma, new = [load(b, at_b, number(s * LANES)) for s in range(vectors)], multiply_add(b), {}
        for r in range(rows):
            row = broadcast(b, b.load(b.gep(starts[r], [at_a])))
            for s in range(vectors):
                new[r, s] = fma(row, columns[s], sums[r, s])
        following = b.add(k, number(1))
        k.add_incoming(following, loop)
        for cell in cells:
            sums[cell].add_incoming(new[cell], loop)
        b.cbranch(b.icmp_signed("<", following, k_end), loop, end)
        b.position_at_end(end)
        for r, s in cells:
            store(b, new[r, s], outputs[r], number(s * LANES))

    return instruction(9, emit)


def transform(linear: Linear, inputs: int, outputs: int, add: bool = False) -> Any:
    """Return the transform of a square of vectors, the same ``linear`` map (inputs -> outputs) along both axes.

    ``transform(X, x_down, x_right, Y, y_down, y_right)``: Y[i, j] (+)= (T X T^T)[i, j], LANES squares at once.
    """

    def emit(b: Any, x: Any, x_down: Any, x_right: Any, y: Any, y_down: Any, y_right: Any) -> None:
        x, y = pointer(b, x), pointer(b, y)

        def place(i: int, down: Any, j: int, right: Any) -> Any:
            return b.add(b.mul(number(i), down), b.mul(number(j), right))

        half = [
            linear([Value(b, load(b, x, place(i, x_down, j, x_right))) for i in range(inputs)]) for j in range(inputs)
        ]
        for i in range(outputs):
            for j, value in enumerate(linear([half[column][i] for column in range(inputs)])):
                at = place(i, y_down, j, y_right)
                store(b, (value + Value(b, load(b, y, at))).register if add else value.register, y, at)

    return instruction(6, emit)


def transpose_square(b: Any, x: Any, x_row: Any, y: Any, y_row: Any) -> None:
    """Write the transpose of a square of LANES x LANES: Y[j y_row + i] = X[i x_row + j], by log2(LANES) exchanges."""
    x, y = pointer(b, x), pointer(b, y)
    rows = [load(b, x, b.mul(number(i), x_row)) for i in range(LANES)]
    apart = 1
    while apart < LANES:  # exchange the off-diagonal blocks of that size
        lower = [i if not i & apart else i - apart + LANES for i in range(LANES)]
        upper = [i + apart if not i & apart else i + LANES for i in range(LANES)]
        for i in range(LANES):
            if not i & apart:
                one, other = rows[i], rows[i + apart]
                rows[i], rows[i + apart] = (
                    b.shuffle_vector(one, other, ir.Constant(WORDS, places)) for places in (lower, upper)
                )
        apart *= 2
    for j in range(LANES):
        store(b, rows[j], y, b.mul(number(j), y_row))


transposed = instruction(4, transpose_square)
