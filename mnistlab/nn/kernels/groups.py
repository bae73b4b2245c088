"""Groups of layers that kernels compute together, and the calls that each group adds to a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mnistlab.nn.activations import Identity, LeakyReLU, ReLU, Sigmoid, Tanh
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.kernels import dense, direct, functions, maps, transport, winograd
from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.jit import PARTS, bits
from mnistlab.nn.kernels.memory import Memory, padded
from mnistlab.nn.kernels.product import product
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.kernels.values import Map, Vector, vector
from mnistlab.nn.kernels.vector_ir import LANES
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.pooling import AvgPool2D, MaxPool2D, Pool2D

WINOGRAD_FROM = 16  # channels and filters: below, the transforms cost more than they save
SCATTER_FROM = 1.4  # pixels of the input per pixel of the output: below, gathering dx costs less
BLOCK_BYTES = 2**17  # of transformed tiles that are in work at a time: a part of the second cache
KINDS: dict[type[Layer], int] = {
    Identity: functions.IDENTITY,
    ReLU: functions.RELU,
    Sigmoid: functions.SIGMOID,
    Tanh: functions.TANH,
    LeakyReLU: functions.LEAKY_RELU,
}


def address(array: np.ndarray) -> int:
    """Return the address of an array's first element."""
    return int(array.__array_interface__["data"][0])  # a third of the time of array.ctypes.data


@dataclass
class Group:
    """Layers first..last of a network, done as one. ``input`` allocates what it reads; the calls write to the next's."""

    name: str
    first: int
    last: int
    memory: Memory = field(repr=False)
    kept: list[np.ndarray] = field(default_factory=list, repr=False)  # tables whose addresses the program holds

    def table(self, *parts: Any) -> int:
        """Return the address of a table of offsets."""
        array = self.memory.table(*parts)
        self.kept.append(array)
        return address(array)

    def input(self, images: int) -> Any:
        """Allocate the input for so many images."""
        raise NotImplementedError

    def forward(self, program: Program, x: Any, y: Any, images: int) -> None:
        """Add the calls that write y for x."""
        raise NotImplementedError

    def backward(self, program: Program, x: Any, y: Any, images: int, need_dx: bool) -> None:
        """Add the calls that write the gradients of the parameters, and of x if needed, given that of y."""
        raise NotImplementedError


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
        return (height, width) if self.mode >= maps.POOLED else (-(-height // 2), -(-width // 2))

    def input(self, images: int) -> Map:
        channels, height, width = self.conv.in_shape
        _, tall, broad = self.conv.padded
        if self.uses_winograd:
            down, right = self.tiles
            tall, broad = max(tall, 2 * down + 2), max(broad, 2 * right + 2)
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
            strip = self.memory.array(f"{self.name} y", PARTS * 4 * right * self.wide)
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
            strip = self.memory.array(f"{self.name} dy", PARTS * 4 * right * self.wide)
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
        program.add(
            direct.pack_direct, address(conv.params["W"]), address(self.packed), address(self.turned),
            address(conv.params["b"]), address(self.bias), filters, taps, channels,
            rows, self.wide, *((turned_wide, taps * turned_wide) if self.scatters else (turned_rows * turned_wide, turned_wide)),
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
        self.v = self.memory.array(f"{name} v", PARTS * winograd.PLACES * tiles * x.wide)
        self.m = self.memory.array(f"{name} m", PARTS * winograd.PLACES * tiles * self.wide)
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
            g.address, address(dy), address(dw), shared[1], dx.address if need_dx else 0, images, x.image, x.row,
            self.table(taps * x.row, taps * x.wide, np.arange(channels)), self.table(p * x.row, q * x.wide),
            self.table(p * dy_row, q * self.wide), k * k * channels, len(p) * len(q),
            height, width, self.wide, self.mode, y.image, y.row, g.image, g.row, dy_size, dy_row, dy_first,
            *gathering, dx.image, dx.row, tall, broad, dx.wide, columns, size, k,
        )  # fmt: skip


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
            images, self.units, self.fan_in, x.wide, self.table(np.arange(self.units) * PANEL),
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


def groups(layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]], memory: Memory, training: bool) -> list[Any]:
    """Return the network as groups, and as plain layers where no kernel does them. ``shapes`` are those of the inputs.

    Without ``training`` dropout is left out.
    """
    found: list[Any] = []
    i = 0
    while i < len(layers):
        group = None
        layer, shape = layers[i], shapes[i]
        if isinstance(layer, Conv2D):
            group = _convolution(layers, i, memory)
        elif isinstance(layer, Dense):
            last, kind, slope = _activation(layers, i)
            group = DenseGroup(f"{i}", i, last, memory, layer=layer, units=layer.units, fan_in=layer.fan_in)
            group.kind, group.slope = kind, slope
        elif isinstance(layer, Flatten) and len(shape) == 3:
            group = FlattenGroup(f"{i}", i, i, memory, shape=(shape[0], shape[1], shape[2]))
        elif isinstance(layer, (Dropout, Flatten, Identity)) and len(shape) == 1:
            passes = not isinstance(layer, Dropout) or not training or layer.rate == 0
            group = Nothing(i) if passes else DropoutGroup(f"{i}", i, i, memory, units=shape[0], rate=layer.rate)
        for each in group if isinstance(group, list) else [group or layer]:
            if not isinstance(each, Nothing):
                found.append(each)
        i = (group[-1].last if isinstance(group, list) else group.last if group else i) + 1
    return found


@dataclass
class Nothing:
    """A layer that changes nothing."""

    last: int


def _activation(layers: Sequence[Layer], i: int) -> tuple[int, int, float]:
    """Return the last layer of the group of dense layer i, and the kind and slope of its activation."""
    following = layers[i + 1] if i + 1 < len(layers) else None
    if following is not None and type(following) in KINDS:
        return i + 1, KINDS[type(following)], float(getattr(following, "slope", 0.0))
    return i, functions.IDENTITY, 0.0


def _convolution(layers: Sequence[Layer], i: int, memory: Memory) -> Any:
    conv = layers[i]
    assert isinstance(conv, Conv2D)
    if conv.stride != 1:
        return None
    if conv.out_shape[1:] == (1, 1) and conv.padded == conv.in_shape:
        last, kind, slope = _activation(layers, i)
        if last + 1 < len(layers) and isinstance(layers[last + 1], Flatten):
            flat = FlattenGroup(f"{i} flat", i, i, memory, shape=conv.in_shape, channels_last=True)
            size = int(np.prod(conv.in_shape))
            group = DenseGroup(f"{i}", i, last + 1, memory, layer=conv, units=conv.filters, fan_in=size)
            group.kind, group.slope = kind, slope
            return [flat, group]
    last, relu_first, relu, pool = i, False, False, None
    for layer in layers[i + 1 : i + 3]:
        if isinstance(layer, ReLU) and not relu:
            relu, relu_first = True, pool is None
        elif isinstance(layer, (MaxPool2D, AvgPool2D)) and pool is None and layer.takes_phases:
            pool = layer
        else:
            break
        last += 1
    return ConvGroup(f"{i}", i, last, memory, conv=conv, mode=_mode(relu, relu_first, pool), is_input=i == 0)


def _mode(relu: bool, relu_first: bool, pool: Pool2D | None) -> int:
    if pool is None:
        return maps.RELU if relu else maps.PLAIN
    if isinstance(pool, MaxPool2D):
        return maps.RELU_MAX if relu else maps.MAX
    if not relu:
        return maps.MEAN
    return maps.RELU_MEAN if relu_first else maps.MEAN_RELU
