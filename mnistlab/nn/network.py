"""A network: layers for one input shape over ONE flat parameter vector and ONE flat gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.nn.activations import Activation
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.initializers import Init
from mnistlab.nn.layers import Layer, Shape, layer_name
from mnistlab.nn.layout import blocks_of
from mnistlab.nn.losses import Loss, Mixture, probabilities
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import Pool2D
from mnistlab.system.errors import Key, RequestError

if TYPE_CHECKING:
    from mnistlab.nn.kernels.engine import Engine

CHUNK = 4096  # images that go through the layers at once: larger batches are summed over such chunks
BUFFER = 2048  # elements: NumPy takes three such buffers for operations on parts of maps; 8,192 by itself
MOST = 2**28  # parameters of a network, and numbers of all its layers for one image: a gigabyte in float32
THREADS_PAY_FROM = 10_000_000  # multiply-adds of a layer: below, two BLAS threads gain a few per cent on an idle
# machine, and lose a factor of ten where another process takes one of the cores: they wait for each other by spinning
ELEMENTS = 2**25  # of the largest array, so that memory stays bounded: with large images or maps, fewer at once
UNWARNED: dict[str, Any] = {"over": "ignore", "invalid": "ignore", "divide": "ignore"}  # callers look at the result


class Network:
    """Layers in a row, from uint8 images to logits.

    ``theta`` holds all weights first (``theta[:n_weights]``), then all biases; ``grad`` is laid out alike. Layers hold
    views of both. ``buffers`` holds the statistics of all layers. Images are (n, height, width), uint8 or any other
    numbers; the network's input is (pixel - shift) * scale.

    Layers that do not fit each other, or are too large for any computer in question, are a `RequestError` before
    anything is allocated. ``stored`` is how many parameters and statistics there are for it, where that is known.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        image_shape: tuple[int, int],
        loss: Loss,
        shift: float = 0.0,
        scale: float = 1 / 255,
        dtype: Any = np.float32,
        stored: int | None = None,
    ) -> None:
        self.layers, self.loss, self.dtype = list(layers), loss, dtype
        self.image_shape: tuple[int, int] = (int(image_shape[0]), int(image_shape[1]))
        self.shift, self.scale = float(shift), float(scale)
        self.shapes = self._build()
        if stored is not None and self.parameters > stored:
            raise RequestError(
                f"they have {self.parameters:,} parameters, but only {stored:,} values were passed", key="layers"
            )
        self.blocks = blocks_of(self.layers)
        size = sum(int(np.prod(block.shape)) for block in self.blocks)
        self.theta, self.grad = np.zeros(size, dtype), np.zeros(size, dtype)
        self.n_weights = sum(int(np.prod(block.shape)) for block in self.blocks if block.is_weight)
        for block in self.blocks:
            layer = self.layers[block.layer]
            layer.params[block.name] = self.theta[block.part].reshape(block.shape)
            layer.grads[block.name] = self.grad[block.part].reshape(block.shape)
        self.buffers = self._lay_out_statistics()
        sizes = [int(np.prod(shape)) for shape in [self.image_shape, *self.shapes]]
        self._largest = max(sizes + [layer.footprint() for layer in self.layers])
        self._first = min((block.layer for block in self.blocks), default=0)
        self._inputs: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        self._total: np.ndarray | None = None
        self.engine: Engine | None = None

    def use_kernels(self, threads: int) -> None:
        """Compute gradients and predictions by compiled kernels, or raise `RequestError` where they cannot be used."""
        from mnistlab.nn import kernels

        self.engine = kernels.compiled_for(self, threads)

    def initialise(self, init: Init, rng: np.random.Generator) -> None:
        """Draw all weights; biases and statistics become their constants.

        The draws are made in float64 and rounded to the network's dtype.
        """
        for layer in self.layers:
            for name, array in (layer.params | layer.buffers).items():
                array[...] = layer.constants.get(name, 0)
        for block in self.blocks:
            if block.is_weight:
                layer = self.layers[block.layer]
                fan_in, fan_out = layer.fans()
                gain = self._gain_after(block.layer)
                layer.params[block.name][...] = init.sample(rng, block.shape, fan_in, fan_out, gain)

    def gradient(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray | None = None,
        rng: np.random.Generator | None = None,
        weights: np.ndarray | None = None,
        mixture: Mixture | None = None,
    ) -> tuple[float, int]:
        """Write the gradient of the mean loss over the batch to ``grad``; return the mean loss and the hits.

        The batch is the given ``rows`` of images and labels, or all of them. ``rng`` feeds dropout; None switches
        it off. ``weights`` (batch,), above zero and of the network's dtype, make the mean a weighted one. A
        ``mixture`` (second labels and shares, both (batch,)) makes the targets those of mixed images.
        """
        n = len(images) if rows is None else len(rows)
        if n <= self._chunk:
            return self._gradient(images, labels, rows, slice(0, n), rng, weights, mixture)
        if self._total is None:
            self._total = np.empty_like(self.grad)
        total = self._total
        total.fill(0)
        loss, hits = 0.0, 0
        for part in self._chunks(n):
            part_weights, share = None, (part.stop - part.start) / n
            if weights is not None:
                part_weights = weights[part]
                share = float(part_weights.sum() / weights.sum())
            part_mixture = None if mixture is None else (mixture[0][part], mixture[1][part])
            part_loss, part_hits = self._gradient(images, labels, rows, part, rng, part_weights, part_mixture)
            np.multiply(self.grad, share, out=self.grad)
            np.add(total, self.grad, out=total)
            loss, hits = loss + share * part_loss, hits + part_hits
        np.copyto(self.grad, total)
        return loss, hits

    @np.errstate(**UNWARNED)
    def score(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """Return the mean loss and the accuracy in inference."""
        _refuse_none(len(images))
        loss, hits = 0.0, 0
        for part, z in self._logits(images):
            part_loss, part_hits = self.loss.forward(z, labels[part])
            loss, hits = loss + part_loss * z.shape[1], hits + part_hits
        return loss / len(images), hits / len(images)

    @np.errstate(**UNWARNED)
    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities (n, classes) of the network's dtype for images (n, height, width)."""
        if images.shape[1:] != self.image_shape:
            takes = " x ".join(map(str, self.image_shape))
            raise RequestError(
                f"this network takes {takes} pixels", key="images", value="x".join(map(str, images.shape[1:]))
            )
        probs = np.empty((len(images), self.loss.classes), self.dtype)
        for part, z in self._logits(images):
            probs[part] = probabilities(z, self.loss.output).T
        return probs

    def forward(self, x: np.ndarray, rng: np.random.Generator | None = None) -> np.ndarray:
        """Return logits (classes, batch) for the scaled input x (1, height, width, batch); both may be overwritten."""
        for layer in self.layers:
            x = layer.forward(x, rng)
        if not self._logits_are_read:
            return x
        z = self.layers[-1].array("logits", x.shape)
        np.copyto(z, x)
        return z

    def backward(self, dz: np.ndarray, input_gradient: bool = False) -> np.ndarray:
        """Write ``grad`` given dL/dlogits; return dL/dx of the input if asked for (it costs a matrix product)."""
        for i in range(len(self.layers) - 1, -1, -1):
            if i < self._first and not input_gradient:
                break
            dz = self.layers[i].backward(dz, need_dx=input_gradient or i > self._first)
        return dz

    @np.errstate(**UNWARNED)
    def first_not_finite(self, images: np.ndarray, rows: np.ndarray | None) -> str | None:
        """Return the first layer whose output is not finite for these images, or None."""
        n = len(images) if rows is None else len(rows)
        for part in self._chunks(n):
            x = self._load(images, rows, part)
            for i, layer in enumerate(self.layers):
                x = layer.forward(x)
                if not np.isfinite(x).all():
                    return self.title(i)
        return None

    @np.errstate(**UNWARNED)
    def measure_statistics(self, images: np.ndarray) -> None:
        """Make the statistics of batch normalisation those of these images, without dropout: means over chunks."""
        for part in self._chunks(len(images)):
            x = self._load(images, None, part)
            share = (part.stop - part.start) / part.stop
            for layer in self.layers:
                x = layer.measure(x, share) if isinstance(layer, BatchNorm) else layer.forward(x)

    def too_small_for(self, batch: int) -> str | None:
        """Return the first layer that cannot learn from batches of this size, or None.

        Batch normalisation needs two values a channel: two pixels, or two images that go through the layers together.
        """
        if min(batch, self._chunk) == 1:
            for i, layer in enumerate(self.layers):
                if isinstance(layer, BatchNorm) and layer.size == layer.channels:
                    return self.title(i)
        return None

    def gains_from_threads(self, batch: int) -> bool:
        """Return whether the products of its largest layer are so large that a second BLAS thread pays."""
        return max((layer.flops() for layer in self.layers), default=0) // 2 * batch >= THREADS_PAY_FROM

    def norms(self) -> list[tuple[str, float, float]]:
        """Return (layer, norm of its weights, norm of their gradient) for each layer with weights."""
        return [
            (self.title(block.layer), _norm(self.theta[block.part]), _norm(self.grad[block.part]))
            for block in self.blocks
            if block.is_weight
        ]

    def title(self, i: int) -> str:
        """Return how layer i is named to people: its place in the list and its kind."""
        return f"layer {i + 1} {layer_name(type(self.layers[i]))}"

    def spec(self) -> dict[str, Any]:
        """Return the architecture as plain JSON data."""
        return {
            "layers": [layer.spec() for layer in self.layers],
            "image_shape": list(self.image_shape),
            "classes": self.loss.classes,
            "loss": self.loss.name,
            "output": self.loss.output,
            "label_smoothing": self.loss.label_smoothing,
            "shift": self.shift,
            "scale": self.scale,
        }

    def tensors(self) -> dict[str, np.ndarray]:
        """Return parameters and statistics by name, ``2.dense.W`` for instance, as views."""
        places = [(block.layer, block.name, self.layers[block.layer].params[block.name]) for block in self.blocks]
        places += [(i, *named) for i, layer in enumerate(self.layers) for named in layer.buffers.items()]
        return {f"{i + 1}.{layer_name(type(self.layers[i]))}.{name}": array for i, name, array in places}

    @np.errstate(**UNWARNED)
    def activations(self, images: np.ndarray) -> list[np.ndarray]:
        """Return what each layer gives for the images in inference: copies, (units, n) or (channels, h, w, n)."""
        x = self._load(images, None, slice(0, len(images)))
        outputs = []
        for layer in self.layers:
            x = layer.whole_map(x) if isinstance(layer, Conv2D) else layer.forward(x)
            outputs.append(x.copy())
        return outputs

    def _build(self) -> list[Shape]:
        shape: Shape = (1, *self.image_shape)
        shapes = []
        self.parameters = self.per_image = 0  # with statistics; and the numbers that all layers hold for one image
        read = False  # whether a backward reads the array that the next layer receives
        for i, layer in enumerate(self.layers):
            layer.dtype = self.dtype
            try:
                shape = layer.build(shape)
            except RequestError as error:
                raise RequestError(f"layer {i + 1} {error}", key="layers") from None
            shapes.append(shape)
            self.parameters += sum(map(math.prod, (layer.weights() | layer.biases() | layer.statistics()).values()))
            self.per_image += math.prod(shape) + layer.footprint()
            for what, size in (("parameters", self.parameters), ("numbers for one image", self.per_image)):
                if size > MOST:
                    raise RequestError(
                        f"{self.title(i)}: up to here they take {size:,} {what}, more than {MOST:,}; use "
                        "fewer filters or units, more pooling or larger strides, or smaller images",
                        key="layers",
                    )
            if isinstance(layer, Conv2D) and self._is_pooled(i, shape):
                layer.prepare_for_pooling()
            layer.in_place = layer.can_overwrite and i > 0 and not read
            read = layer.reads_output or (layer.may_return_input and read)
        self._logits_are_read = read
        if shape != (self.loss.classes,):
            raise RequestError(
                f"the last one gives {' x '.join(map(str, shape))} outputs for {self.loss.classes} classes; "
                f"end them with dense: {{units: {self.loss.classes}}}, which ",
                Key("output_layer"),
                "=true does",
                key="layers",
            )
        return shapes

    def _is_pooled(self, i: int, shape: Shape) -> bool:
        """Return whether layer i's map reaches a layer that takes it split into its phases, and only such before."""
        for layer in self.layers[i + 1 :]:
            if isinstance(layer, Pool2D):
                return layer.takes_phases and min(shape[1:]) > 1
            if not (layer.element_wise or (isinstance(layer, BatchNorm) and shape[1] % 2 == shape[2] % 2 == 0)):
                break
        return False

    def _lay_out_statistics(self) -> np.ndarray:
        shapes = [(layer, name, shape) for layer in self.layers for name, shape in layer.statistics().items()]
        buffers = np.zeros(sum(int(np.prod(shape)) for _, _, shape in shapes), self.dtype)
        start = 0
        for layer, name, shape in shapes:
            stop = start + int(np.prod(shape))
            layer.buffers[name] = buffers[start:stop].reshape(shape)
            layer.buffers[name][...] = layer.constants.get(name, 0)
            start = stop
        return buffers

    def _gain_after(self, i: int) -> float:
        """Return the gain of the activation that follows layer i; 1 where another layer with weights comes first."""
        for layer in self.layers[i + 1 :]:
            if isinstance(layer, Activation):
                return layer.gain
            if layer.weights():
                break
        return 1.0

    def _gradient(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        rows: np.ndarray | None,
        part: slice,
        rng: np.random.Generator | None,
        weights: np.ndarray | None,
        mixture: Mixture | None,
    ) -> tuple[float, int]:
        if self.engine:
            places = np.arange(part.start, part.stop) if rows is None else rows[part]
            return self.engine.gradient(images, labels, places, rng, weights, mixture)
        x = self._load(images, rows, part)
        if rows is None:
            batch_labels = labels[part]
        else:
            batch_labels = self._inputs[part.stop - part.start][2]
            np.take(labels, rows[part], out=batch_labels, mode="clip")
        buffer = np.setbufsize(BUFFER)
        try:
            result = self.loss.forward(self.forward(x, rng), batch_labels, weights, mixture)
            self.backward(self.loss.backward())
        finally:
            np.setbufsize(buffer)
        return result

    def _logits(self, images: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        for part in self._chunks(len(images)):
            if self.engine:
                yield part, self.engine.logits(images, np.arange(part.start, part.stop))
            else:
                yield part, self.forward(self._load(images, None, part))

    @property
    def _chunk(self) -> int:
        return self.engine.chunk if self.engine else min(CHUNK, max(1, ELEMENTS // self._largest))

    def _chunks(self, n: int) -> Iterator[slice]:
        return (slice(start, min(start + self._chunk, n)) for start in range(0, n, self._chunk))

    def _load(self, images: np.ndarray, rows: np.ndarray | None, part: slice) -> np.ndarray:
        """Gather, cast and scale one batch; return it as (1, height, width, batch), a view of rows of pixels."""
        batch = part.stop - part.start
        _refuse_none(batch)
        pixels = images.reshape(len(images), -1)
        buffers = self._inputs.get(batch)
        if buffers is None or buffers[0].dtype != images.dtype:
            if len(self._inputs) >= 8:
                self._inputs.clear()
            x = np.empty((batch, pixels.shape[1]), self.dtype)
            gathered = x if images.dtype == self.dtype else np.empty(x.shape, images.dtype)
            buffers = self._inputs[batch] = gathered, x, np.empty(batch, np.int64)
        gathered, x, _ = buffers
        if rows is None:
            np.copyto(x, pixels[part])
        else:
            np.take(pixels, rows[part], axis=0, out=gathered, mode="clip")
            if gathered is not x:
                np.copyto(x, gathered)
        if self.shift:
            np.subtract(x, self.shift, out=x)
        if self.scale != 1:
            np.multiply(x, self.scale, out=x)
        return x.T.reshape(1, *self.image_shape, batch)


def _refuse_none(images: int) -> None:
    if not images:
        raise RequestError("must be one image or more", key="images", value=0)


def _norm(v: np.ndarray) -> float:
    return float(np.sqrt(np.vdot(v, v)))
