"""Winograd's transforms: the products of a tile give a convolution, and the adjoints are adjoints."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from mnistlab.nn.kernels import winograd

NUMBERS = st.integers(-99, 99)


def vectors(size):
    return st.lists(NUMBERS, min_size=size, max_size=size)


def dot(one, other):
    return sum(x * y for x, y in zip(one, other, strict=True))


@given(vectors(winograd.INPUTS), vectors(3))
def test_the_products_of_a_tile_are_its_convolution(inputs, weights):
    products = [u * v for u, v in zip(winograd.g_matrix(weights), winograd.b_transposed(inputs), strict=True)]
    expected = [dot(inputs[i : i + 3], weights) for i in range(winograd.TILE)]
    assert winograd.a_transposed(products) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("forward", "adjoint", "inputs", "outputs"),
    [
        (winograd.b_transposed, winograd.b_matrix, winograd.INPUTS, winograd.INPUTS),
        (winograd.a_transposed, winograd.a_matrix, winograd.INPUTS, winograd.TILE),
        (winograd.g_matrix, winograd.g_transposed, 3, winograd.INPUTS),
    ],
    ids=["B", "A", "G"],
)
@given(data=st.data())
def test_the_backward_transform_is_the_adjoint(forward, adjoint, inputs, outputs, data):
    x, y = data.draw(vectors(inputs)), data.draw(vectors(outputs))
    assert dot(forward(x), y) == pytest.approx(dot(x, adjoint(y)), abs=1e-6)
