"""One training step, or one forward pass, of a network for a fixed number of images.

A plan is a list of *stretches*, groups that follow each other and have one program for the way forward and one for the
way back, and of plain layers in between, which are called one by one. Most networks are a single
stretch, and a step is then one compiled call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mnistlab.nn.kernels import dense, losses, transport
from mnistlab.nn.kernels.dense import PANEL
from mnistlab.nn.kernels.group import Group
from mnistlab.nn.kernels.groups import groups
from mnistlab.nn.kernels.jit import PARTS, bits
from mnistlab.nn.kernels.memory import Memory, address, padded
from mnistlab.nn.kernels.program import Program
from mnistlab.nn.kernels.values import Map, Vector, from_columns, to_columns, vector
from mnistlab.nn.kernels.vector_groups import DenseGroup, DropoutGroup, FlattenGroup
from mnistlab.nn.kernels.vector_ir import LANES
from mnistlab.nn.layers import Layer
from mnistlab.nn.losses import BinaryCrossEntropy, CrossEntropy, Loss, MeanSquaredError


def loss_kind(loss: Loss) -> int | None:
    """Return how the loss is called among kernels; None where none computes it."""
    kinds: dict[tuple[type[Loss], str], int] = {
        (CrossEntropy, "softmax"): losses.CROSS_ENTROPY,
        (BinaryCrossEntropy, "sigmoid"): losses.BINARY_SIGMOID,
        (MeanSquaredError, "softmax"): losses.SQUARED_SOFTMAX,
        (MeanSquaredError, "sigmoid"): losses.SQUARED_SIGMOID,
    }
    return kinds.get((type(loss), loss.output))


@dataclass
class Stretch:
    """Groups that follow each other, the values between them, and their programs."""

    groups: list[Group]
    values: list[Any] = field(default_factory=list)
    ahead: Program = field(default_factory=Program)
    back: Program = field(default_factory=Program)

    @property
    def x(self) -> Any:
        """What the stretch reads."""
        return self.values[0]

    @property
    def y(self) -> Any:
        """What it writes."""
        return self.values[-1]


class Plan:
    """The calls of one pass. ``training`` means with the way back; without ``loss`` NumPy computes it."""

    def __init__(
        self, layers: Sequence[Layer], shapes: Sequence[tuple[int, ...]], loss: Loss | None, memory: Memory,
        images: int, training: bool, dropout: bool,
    ) -> None:  # fmt: skip
        self.layers, self.images, self.loss, self.memory = layers, images, loss, memory
        self.training, self.shapes = training, shapes
        self.pieces: list[Stretch | Layer] = []
        cut = groups(layers, shapes, memory, training, frozen=not dropout)
        starts_with_pixels = isinstance(cut[0], FlattenGroup) and cut[0].first == 0
        if starts_with_pixels:  # the pixels are gathered as a vector at once
            cut = cut[1:]
        for each in cut:
            if isinstance(each, Group):
                if not self.pieces or not isinstance(self.pieces[-1], Stretch):
                    self.pieces.append(Stretch([]))
                self.pieces[-1].groups.append(each)  # type: ignore[union-attr]
            else:
                self.pieces.append(each)
        self.reads_images = isinstance(self.pieces[0], Stretch)
        self.result, self.where = np.zeros(2 * PARTS), np.arange(images)
        self.drops = [each for each in cut if isinstance(each, DropoutGroup)]
        for group in self.drops:
            group.key = self.drops[0].key
        self.loss_row: int | None = None
        self._images = self._labels = self._rows = np.zeros(0)
        for n, piece in enumerate(self.pieces):
            if isinstance(piece, Stretch):
                self._link(piece, is_first=n == 0, is_last=n == len(self.pieces) - 1)

    @property
    def programs(self) -> list[Program]:
        """The programs of all stretches."""
        return [program for piece in self.pieces if isinstance(piece, Stretch) for program in (piece.ahead, piece.back)]

    @property
    def is_one_program(self) -> bool:
        """Whether a training step needs no Python between its layers."""
        return len(self.pieces) == 1 and self.loss_row is not None

    def _link(self, stretch: Stretch, is_first: bool, is_last: bool) -> None:
        images, program = self.images, stretch.ahead
        stretch.values = [group.input(images) for group in stretch.groups]
        stretch.values.append(self._output(stretch.groups[-1]))
        if is_first:
            self._add_gather(program, stretch)
        for i, group in enumerate(stretch.groups):
            y = stretch.values[i + 1]
            group.forward(program, stretch.values[i], y, images)
            following = stretch.groups[i + 1] if i + 1 < len(stretch.groups) else None
            if self.training and isinstance(following, DenseGroup) and not isinstance(group, FlattenGroup):
                program.add(dense.to_rows, address(y.panels), address(y.rows), -(-images // PANEL), y.wide)
        if not self.training:
            return
        target = stretch.back
        kind = None if self.loss is None else loss_kind(self.loss)
        if is_last and isinstance(stretch.y, Vector) and self.loss is not None and kind is not None:
            self._add_loss(stretch, kind, self.loss.label_smoothing)
            target = program if len(self.pieces) == 1 else stretch.back
        for i in range(len(stretch.groups) - 1, -1, -1):
            has_weights_before = any(self._has_weights(layer) for layer in self.layers[: stretch.groups[i].first])
            if not has_weights_before and not self._has_weights(self.layers[stretch.groups[i].first]):
                continue
            stretch.groups[i].backward(target, stretch.values[i], stretch.values[i + 1], images, has_weights_before)

    def _has_weights(self, layer: Layer) -> bool:
        return bool(layer.weights() or layer.biases())

    def _output(self, group: Group) -> Any:
        shape = self.shapes[group.last + 1]
        if len(shape) == 1 or isinstance(group, (DenseGroup, FlattenGroup)):
            return vector(self.memory, "output", int(np.prod(shape)), self.images)
        channels, height, width = shape
        wide = padded(channels, LANES)
        row, image = width * wide, height * width * wide
        array, gradient = (self.memory.array(f"output {group.name} {kind}", self.images * image) for kind in "yg")
        dy = Map(gradient, height, width, channels, wide, 0, row, image)
        return Map(array, height, width, channels, wide, 0, row, image, dy)

    def _add_gather(self, program: Program, stretch: Stretch) -> None:
        _, height, width = self.shapes[0]
        x = stretch.x
        if isinstance(x, Vector):
            arguments = (address(x.rows), self.images, 1, height * width, x.wide, height * width)
        else:
            arguments = (x.address, self.images, height, width, x.image, x.row)
        self.gather_row = program.add(transport.gather, 0, 0, *arguments, 1, bits(0.0), bits(1.0))
        if isinstance(x, Vector):
            program.add(dense.to_panels, address(x.rows), address(x.panels), -(-self.images // PANEL), x.wide)

    def _add_loss(self, stretch: Stretch, kind: int, label_smoothing: float) -> None:
        y = stretch.y
        self.loss_row = stretch.ahead.add(
            losses.loss, address(y.panels), address(y.gradient), 0, 0, 0, self.images, y.units, y.wide, kind,
            bits(label_smoothing), bits(1 / self.images), address(self.result),
        )  # fmt: skip

    def point_at(self, images: np.ndarray, rows: np.ndarray, shift: float, scale: float) -> None:
        """Make the program read these rows of the images."""
        if images.dtype not in (np.uint8, np.float32) or not images.flags.c_contiguous:
            images, rows = np.ascontiguousarray(images[rows], np.float32), self.where
        if images is not self._images:  # its address must stay true while the program runs
            self._images = images
            self._gather[9:12] = images.dtype == np.uint8, bits(shift), bits(scale)
            self._gather[1] = address(images)
        self._rows = rows
        self._gather[2] = address(rows)

    def point_loss_at(self, labels: np.ndarray, rows: np.ndarray, weights: np.ndarray | None, share: float) -> None:
        """Make the loss read these rows of the labels, and these weights; ``share`` is 1 / their sum."""
        row = self._loss
        if labels is not self._labels:
            self._labels = labels
            row[3] = address(labels)
        row[4], row[11] = address(rows), bits(share)
        row[5] = 0 if weights is None else address(weights)

    def result_of_parts(self) -> tuple[float, int]:
        """Return the summed loss and the hits of the latest step."""
        sums = self.result.tolist()
        return sum(sums[0::2]), int(sum(sums[1::2]))

    @cached_property
    def _gather(self) -> np.ndarray:
        first = self.pieces[0]
        assert isinstance(first, Stretch)
        return first.ahead.table[self.gather_row]

    @cached_property
    def _loss(self) -> np.ndarray:
        last = self.pieces[-1]
        assert isinstance(last, Stretch)
        return last.ahead.table[self.loss_row]

    def columns(self, stretch: Stretch) -> np.ndarray:
        """Return what a stretch has written, in the layout of the NumPy layers: a copy, which they may overwrite."""
        y = stretch.y
        if isinstance(y, Map):
            return y.view(self.images).copy()
        return to_columns(y.view(y.panels, self.images), self.images)

    def write(self, stretch: Stretch, x: np.ndarray) -> None:
        """Write an array in the layout of the NumPy layers where a stretch reads it."""
        if isinstance(stretch.x, Map):
            stretch.x.view(self.images)[...] = x
            return
        from_columns(x, stretch.x.view(stretch.x.panels, self.images))
        stretch.x.rows[: self.images * stretch.x.wide].reshape(self.images, -1)[:, : stretch.x.units] = x.T

    def write_gradient(self, stretch: Stretch, dy: np.ndarray) -> None:
        """Write a gradient in the layout of the NumPy layers where a stretch reads it."""
        if isinstance(stretch.y, Map):
            assert stretch.y.gradient is not None
            stretch.y.gradient.view(self.images)[...] = dy
            return
        from_columns(dy, stretch.y.view(stretch.y.gradient, self.images))

    def gradient_columns(self, stretch: Stretch) -> np.ndarray:
        """Return the gradient of what a stretch reads, in the layout of the NumPy layers."""
        x = stretch.x
        if isinstance(x, Map):
            assert x.gradient is not None
            return x.gradient.view(self.images).copy()
        return to_columns(x.view(x.gradient, self.images), self.images)
