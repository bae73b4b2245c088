"""A convolution of stride 1 with its activation and pooling, by Winograd's algorithm or directly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mnistlab.nn.conv import Conv2D
from mnistlab.nn.kernels import direct, maps, winograd
from mnistlab.nn.kernels.group import Group
from mnistlab.nn.kernels.jit import PARTS
from mnistlab.nn.kernels.memory import address, padded
from mnistlab.nn.kernels.product import product
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.kernels.values import Map
from mnistlab.nn.kernels.vector_ir import LANES

WINOGRAD_FROM = 16  # channels and filters: below, the transforms cost more than they save
SCATTER_FROM = 1.4  # pixels of the input per pixel of the output: below, gathering dx costs less
BLOCK_BYTES = 2**19  # of transformed tiles in work at a time: more leave the second cache, fewer read U too often


@dataclass
class ConvGroup(Group):
    """A convolution of stride 1, with ReLU and pooling of 2 x 2 in any order."""

    conv: Conv2D = None  # type: ignore[assignment]
    mode: int = maps.PLAIN
    is_input: bool = False  # of the network: one channel of pixels needs no padding to vectors

    @property
    def uses_winograd(self) -> bool:
        """Whether the map is convolved by Winograd's algorithm."""
        return self.conv.kernel == 3 and min(self.conv.in_shape[0], self.conv.filters) >= WINOGRAD_FROM

    @property
    def scatters(self) -> bool:
        """Whether the direct convolution scatters its gradient dx: without padding, and where that is less work."""
        _, height, width = self.conv.in_shape
        outputs = self.conv.out_shape[1] * self.conv.out_shape[2]
        unpadded = self.conv.padded == self.conv.in_shape
        return not self.uses_winograd and unpadded and height * width >= SCATTER_FROM * outputs

    @property
    def output(self) -> tuple[int, int]:
        """Height and width of what the group writes."""
        _, height, width = self.conv.out_shape
        return (height // 2, width // 2) if self.mode >= maps.POOLED else (height, width)

    @property
    def wide(self) -> int:
        """The filters, padded to whole vectors."""
        return padded(self.conv.filters, LANES)

    @property
    def tiles(self) -> tuple[int, int]:
        """Winograd's tiles down and right."""
        height, width = self.output
        side = winograd.TILE // 2 if self.mode >= maps.POOLED else winograd.TILE
        return -(-height // side), -(-width // side)

    def input(self, images: int) -> Map:
        channels, height, width = self.conv.in_shape
        _, tall, broad = self.conv.padded
        if self.uses_winograd:
            down, right = self.tiles
            tall, broad = max(tall, winograd.TILE * down + 2), max(broad, winograd.TILE * right + 2)
        wide = 1 if self.is_input else padded(channels, LANES)
        row, image = broad * wide, tall * broad * wide
        first = self.conv.top * row + self.conv.left * wide
        array = self.memory.array(f"{self.name} x", images * image)
        gradient = self.memory.array(f"{self.name} dx", images * image) if not self.is_input else array
        dx = Map(gradient, height, width, channels, wide, first, row, image)
        return Map(array, height, width, channels, wide, first, row, image, dx)

    def forward(self, program: Program, x: Map, y: Map, images: int) -> None:
        self._pack(program, x)
        height, width = self.output
        code = self.memory.array(f"{self.name} code", images * height * width * self.wide, np.uint8)
        common = (address(self.bias), 0, y.address, address(code))
        if self.uses_winograd:
            down, right = self.tiles
            strip = self.memory.array(f"{self.name} y", PARTS * winograd.TILE**2 * right * self.wide)
            program.add(
                winograd.winograd, product.address, address(x.array), address(self.u), common[0], address(strip),
                *common[2:], images, x.image, x.row, x.wide, self.wide, down, right, height, width, self.mode,
                y.image, y.row, self.block, address(self.v), address(self.m),
                self.offsets[1], self.offsets[x.wide], self.offsets[self.wide],
            )  # fmt: skip
            return
        deep = 2 if self.mode >= maps.POOLED else 1
        strip = self.memory.array(f"{self.name} y", PARTS * deep * deep * width * self.wide)
        k, channels = self.conv.kernel, self.conv.in_shape[0]
        taps = np.arange(k)
        program.add(
            direct.convolve, product.address, address(x.array), address(self.packed), common[0], address(strip),
            *common[2:], images, x.image, x.row, self.table(np.arange(width * deep) * x.wide),
            self.table(taps * x.row, taps * x.wide, np.arange(channels)),
            self.table(np.arange(k * k * channels) * self.wide), k * k * channels,
            height, width, self.wide, self.mode, y.image, y.row,
        )  # fmt: skip

    def backward(self, program: Program, x: Map, y: Map, images: int, need_dx: bool) -> None:
        conv, g = self.conv, y.gradient
        assert g is not None and x.gradient is not None
        height, width = self.output
        code = self.memory.array(f"{self.name} code", images * height * width * self.wide, np.uint8)
        db = self.memory.array(f"{self.name} db", PARTS * self.wide)
        filters, channels, taps = conv.filters, conv.in_shape[0], conv.kernel**2
        if self.uses_winograd:
            down, right = self.tiles
            strip = self.memory.array(f"{self.name} dy", PARTS * winograd.TILE**2 * right * self.wide)
            du = self.memory.array(f"{self.name} du", PARTS * winograd.PLACES * x.wide * self.wide)
            dx = address(x.gradient.array) if need_dx else 0
            program.add(
                winograd.winograd_back, product.address, address(x.array), address(self.turned_u), y.address,
                address(code), g.address, address(strip), address(du), address(db), dx,
                images, x.image, x.row, x.wide, self.wide, down, right, height, width, self.mode,
                y.image, y.row, g.image, g.row, self.block, address(self.v), address(self.m),
                self.offsets[1], self.offsets[x.wide], self.offsets[self.wide],
            )  # fmt: skip
            dw = self.memory.array(f"{self.name} dw", taps * x.wide * self.wide)
            program.add(winograd.u_to_weights, address(du), address(dw), x.wide, self.wide)
            rows, parts = x.wide, 1
        else:
            self._convolve_back(program, x, y, images, need_dx, (address(code), address(db)))
            dw, rows, parts = self.memory.array(f"{self.name} dw", 1), channels, PARTS
        program.add(
            direct.reduce_direct, address(dw), address(db), address(conv.grads["W"]), address(conv.grads["b"]),
            filters, taps, channels, rows, self.wide, parts,
        )  # fmt: skip

    def _pack(self, program: Program, x: Map) -> None:
        conv, name = self.conv, self.name
        filters, channels, taps = conv.filters, conv.in_shape[0], conv.kernel**2
        rows, turned_rows = (x.wide, self.wide) if self.uses_winograd else (channels, filters)
        turned_wide = padded(channels, LANES)
        self.packed = self.memory.array(f"{name} packed", taps * rows * self.wide)
        self.turned = self.memory.array(f"{name} turned", taps * turned_rows * turned_wide)
        self.bias = self.memory.array(f"{name} bias", self.wide)
        steps = (turned_rows * turned_wide, turned_wide)  # between the taps and the filters of the turned weights
        if self.scatters:
            steps = (turned_wide, taps * turned_wide)
        program.add(
            direct.pack_direct, address(conv.params["W"]), address(self.packed), address(self.turned),
            address(conv.params["b"]), address(self.bias), filters, taps, channels,
            rows, self.wide, *steps,
        )  # fmt: skip
        if not self.uses_winograd:
            return
        square = winograd.PLACES * x.wide * self.wide
        self.u, self.turned_u = self.memory.array(f"{name} u", square), self.memory.array(f"{name} turned u", square)
        program.add(winograd.weights_to_u, address(self.packed), address(self.u), x.wide, self.wide)
        program.add(winograd.weights_to_u, address(self.turned), address(self.turned_u), self.wide, x.wide)
        _, right = self.tiles
        self.block = max(1, BLOCK_BYTES // (4 * winograd.PLACES * right * (x.wide + self.wide)))
        tiles = self.block * right
        self.v = self.memory.array(f"{name} v", PARTS * winograd.PLACES * (tiles * x.wide + winograd.APART))
        self.m = self.memory.array(f"{name} m", PARTS * winograd.PLACES * (tiles * self.wide + winograd.APART))
        longest = max(tiles, x.wide, self.wide)
        self.offsets = {step: self.table(np.arange(longest) * step) for step in {1, x.wide, self.wide}}

    def _convolve_back(
        self, program: Program, x: Map, y: Map, images: int, need_dx: bool, shared: tuple[int, int]
    ) -> None:
        conv, g = self.conv, y.gradient
        assert g is not None and x.gradient is not None
        (channels, tall, broad), k = conv.in_shape, conv.kernel
        height, width = self.output
        deep = 2 if self.mode >= maps.POOLED else 1
        dy_row = (broad + k - 1) * self.wide
        dy_size = (tall + k - 1) * dy_row
        dy_first = (k - 1 - conv.top) * dy_row + (k - 1 - conv.left) * self.wide
        dy = self.memory.array(f"{self.name} dy", PARTS * dy_size)
        dw = self.memory.array(f"{self.name} dw", PARTS * k * k * channels * self.wide)
        taps, p, q = np.arange(k), np.arange(height * deep), np.arange(width * deep)
        dx, size, columns = x.gradient, k * k * x.gradient.wide, 0
        if self.scatters:
            columns = address(self.memory.array(f"{self.name} columns", PARTS * len(q) * size))
            gathering = (
                self.table(q * self.wide), self.table(np.arange(conv.filters)),
                self.table(np.arange(conv.filters) * size), conv.filters,
            )  # fmt: skip
        else:
            gathering = (
                self.table(np.arange(broad) * self.wide),
                self.table((k - 1 - taps) * dy_row, (k - 1 - taps) * self.wide, np.arange(conv.filters)),
                self.table(np.arange(k * k * conv.filters) * padded(channels, LANES)), k * k * conv.filters,
            )  # fmt: skip
        program.add(
            direct.convolve_back, product.address, address(x.array), address(self.turned), y.address, shared[0],
            g.address, address(dy), address(dw), shared[1], dx.address if need_dx else 0, images, x.image,
            self.table(taps * x.row, taps * x.wide, np.arange(channels)), self.table(p * x.row, q * x.wide),
            self.table(p * dy_row, q * self.wide), k * k * channels, len(p) * len(q),
            height, width, self.wide, self.mode, y.image, y.row, g.image, g.row, dy_size, dy_row, dy_first,
            *gathering, dx.image, dx.row, tall, broad, dx.wide, columns, size, k,
        )  # fmt: skip
