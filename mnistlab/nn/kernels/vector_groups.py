"""Layers on vectors: flatten, dense with its activation, and dropout."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mnistlab.nn.kernels import dense, functions, transport
from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.group import Group
from mnistlab.nn.kernels.jit import bits
from mnistlab.nn.kernels.memory import address, padded
from mnistlab.nn.kernels.product import product
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.kernels.values import Map, Vector, vector
from mnistlab.nn.kernels.vector_ir import LANES
from mnistlab.nn.layers import Layer


@dataclass
class FlattenGroup(Group):
    """A map as a vector, in the order of the NumPy layers or with the channels last."""

    shape: tuple[int, int, int] = (1, 1, 1)
    channels_last: bool = False

    def input(self, images: int) -> Map:
        channels, height, width = self.shape
        wide = padded(channels, LANES)
        row, image = width * wide, height * width * wide
        array, gradient = (self.memory.array(f"{self.name} {kind}", images * image) for kind in ("x", "dx"))
        dx = Map(gradient, height, width, channels, wide, 0, row, image)
        return Map(array, height, width, channels, wide, 0, row, image, dx)

    def forward(self, program: Program, x: Map, y: Vector, images: int) -> None:
        program.add(transport.flatten, x.address, address(y.rows), *self._geometry(x, y, images))
        program.add(dense.to_panels, address(y.rows), address(y.panels), -(-images // PANEL), y.wide)

    def backward(self, program: Program, x: Map, y: Vector, images: int, need_dx: bool) -> None:
        assert x.gradient is not None
        rows = self.memory.array(f"{self.name} dy", y.rows.size)
        program.add(dense.to_rows, address(y.gradient), address(rows), -(-images // PANEL), y.wide)
        program.add(transport.unflatten, address(rows), x.gradient.address, *self._geometry(x.gradient, y, images))

    def _geometry(self, x: Map, y: Vector, images: int) -> tuple[int, ...]:
        return images, x.height, x.width, x.channels, x.image, x.row, x.wide, y.wide, int(self.channels_last)


@dataclass
class DenseGroup(Group):
    """A dense layer and its activation; or a convolution whose kernel covers all of its map, which is the same."""

    layer: Layer = None  # type: ignore[assignment]
    units: int = 1
    fan_in: int = 1
    kind: int = functions.IDENTITY
    slope: float = 0.0

    def input(self, images: int) -> Vector:
        return vector(self.memory, self.name, self.fan_in, images)

    def forward(self, program: Program, x: Vector, y: Vector, images: int) -> None:
        self.parameter = np.array([self.slope], np.float32)
        self.kept.append(self.parameter)
        program.add(
            dense.dense, product.address, address(self.layer.params["W"]), address(self.layer.params["b"]),
            address(x.panels), address(y.panels), self.kind, address(self.parameter), -(-images // PANEL),
            self.units, self.fan_in, x.wide, y.wide, self.table(np.arange(dense.BLOCK) * self.fan_in),
            self.table(np.arange(self.fan_in)), self.table(np.arange(self.fan_in) * PANEL),
        )  # fmt: skip

    def backward(self, program: Program, x: Vector, y: Vector, images: int, need_dx: bool) -> None:
        count, grads = -(-images // PANEL), self.layer.grads
        dz = y.gradient
        program.add(
            dense.activation_back, address(y.gradient), address(y.panels), address(dz), address(grads["b"]),
            self.kind, address(self.parameter), count, self.units, y.wide,
        )  # fmt: skip
        n = np.arange(padded(images, PANEL))
        image_of = n // PANEL * y.wide * PANEL + n % PANEL
        scratch = self.memory.array(f"{self.name} narrow dw", self.units * LANES)
        program.add(
            dense.dense_weights, product.address, address(dz), address(x.rows), address(grads["W"]),
            images, self.units, self.fan_in, self.table(np.arange(self.units) * PANEL),
            self.table(image_of), self.table(n * x.wide), address(scratch),
        )  # fmt: skip
        if need_dx:
            program.add(
                dense.dense_back, product.address, address(self.layer.params["W"]), address(dz), address(x.gradient),
                count, self.units, self.fan_in, y.wide, x.wide, self.table(np.arange(dense.BLOCK)),
                self.table(np.arange(self.units) * self.fan_in), self.table(np.arange(self.units) * PANEL),
            )  # fmt: skip


@dataclass
class DropoutGroup(Group):
    """Dropout of a vector."""

    units: int = 1
    rate: float = 0.5
    key: np.ndarray = field(default_factory=lambda: np.zeros(1, np.int64), repr=False)

    def input(self, images: int) -> Vector:
        return vector(self.memory, self.name, self.units, images)

    def forward(self, program: Program, x: Vector, y: Vector, images: int) -> None:
        self.size = padded(images, PANEL) * x.wide
        self.mask = self.memory.array(f"{self.name} mask", self.size)
        keep = 1 - self.rate
        program.add(
            transport.drop, address(x.panels), address(self.mask), address(y.panels), self.size, self.first,
            round(keep * 2**32), bits(1 / keep), address(self.key),
        )  # fmt: skip

    def backward(self, program: Program, x: Vector, y: Vector, images: int, need_dx: bool) -> None:
        x.gradient = y.gradient
        program.add(transport.scale_by, address(y.gradient), address(self.mask), self.size)
