"""Batch normalisation of a map with its activation and pooling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.nn.kernels import maps, norm
from mnistlab.nn.kernels.group import Group
from mnistlab.nn.kernels.jit import PARTS, bits
from mnistlab.nn.kernels.memory import address, padded
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.kernels.values import Map
from mnistlab.nn.kernels.vector_ir import LANES
from mnistlab.nn.normalization import BatchNorm


@dataclass
class NormGroup(Group):
    """Batch normalisation of a map, with ReLU and pooling of 2 x 2 in any order; ``frozen`` as in inference."""

    norm: BatchNorm = None  # type: ignore[assignment]
    shape: tuple[int, int, int] = (1, 1, 1)
    mode: int = maps.PLAIN
    frozen: bool = False

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of what the group writes."""
        _, height, width = self.shape
        return (height // 2, width // 2) if self.mode >= maps.POOLED else (height, width)

    @property
    def wide(self) -> int:
        """The channels, padded to whole vectors."""
        return padded(self.shape[0], LANES)

    def input(self, images: int) -> Map:
        channels, height, width = self.shape
        row, image = width * self.wide, height * width * self.wide
        array, gradient = (self.memory.array(f"{self.name} {kind}", images * image) for kind in ("x", "dx"))
        dx = Map(gradient, height, width, channels, self.wide, 0, row, image)
        return Map(array, height, width, channels, self.wide, 0, row, image, dx)

    def forward(self, program: Program, x: Map, y: Map, images: int) -> None:
        (channels, x_height, x_width), wide = self.shape, self.wide
        height, width = self.output
        self.statistics = self.memory.array(f"{self.name} table", PARTS * 4 * wide)
        self.code = self.memory.array(f"{self.name} code", images * height * width * wide, np.uint8)
        self.strip = self.memory.array(f"{self.name} y", PARTS * 4 * width * wide)
        sums = self.memory.array(f"{self.name} sums", PARTS * 2 * wide, np.float64)
        zeros = self.memory.array(f"{self.name} zeros", wide)
        if not self.frozen:
            program.add(
                norm.sum_maps, x.address, address(sums), images, x_height, x_width, channels, wide, x.image, x.row
            )
        params, buffers = self.norm.params, self.norm.buffers
        program.add(
            norm.normalise, x.address, address(sums), address(self.statistics), y.address, address(self.code),
            address(self.strip), address(zeros), address(params["gamma"]), address(params["beta"]),
            address(buffers["mean"]), address(buffers["variance"]), bits(self.norm.momentum), bits(self.norm.eps),
            int(not self.frozen), images, height, width, channels, wide, self.mode, x.image, x.row, y.image, y.row,
            images * x_height * x_width,
        )  # fmt: skip

    def backward(self, program: Program, x: Map, y: Map, images: int, need_dx: bool) -> None:
        g, dx, grads = y.gradient, x.gradient, self.norm.grads
        assert g is not None and dx is not None
        (channels, x_height, x_width), wide = self.shape, self.wide
        sums, factors = (self.memory.array(f"{self.name} {kind}", PARTS * 2 * wide) for kind in ("d sums", "factors"))
        unused = self.memory.array(f"{self.name} unused", PARTS * wide)
        common = (
            x.address, address(self.statistics), address(sums), y.address, address(self.code), g.address,
            address(self.strip), images, *self.output, wide, self.mode, x.image, x.row, y.image, y.row, g.image, g.row,
        )  # fmt: skip
        program.add(norm.sum_gradients, *common)
        program.add(
            norm.normalise_back, *common, dx.address if need_dx else 0, dx.image, dx.row, x_height, x_width,
            images * x_height * x_width, address(grads["gamma"]), address(grads["beta"]), channels, address(factors),
            address(unused),
        )  # fmt: skip
