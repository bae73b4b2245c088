"""A network as an ONNX graph.

Input ``images``: uint8 from 0 to 255 (n, height, width), as in training, or float32 from 0 to 1, or with an axis for
the channel; the graph shifts and scales them. Output ``probabilities``, or ``logits``: float32 (n, classes). Names,
range and polarity are in the metadata too. Opset 17 and IR version 8 are from 2022, and all later runtimes support
them. Only operators of the standard domain are used; GELU, which was added in opset 20, is composed of other operators.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mnistlab import __version__
from mnistlab.nn.activations import ELU, GELU, HardSigmoid, Identity, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import AvgPool2D, GlobalAvgPool, MaxPool2D, Pool2D

OPSET, IR_VERSION = 17, 8
INPUT = "images"
RANGES = {"uint8": "0 to 255", "float": "0 to 1"}


@dataclass(frozen=True)
class Signature:
    """What the graph takes and returns: the type of the pixels, the layout of the images, and the kind of output."""

    input: str = "uint8"
    layout: str = "nhw"
    output: str = "probabilities"

    def shape(self, image_shape: tuple[int, int]) -> list[str | int]:
        """Return the shape of the input, whose first axis is free."""
        return ["n", *([1] if self.layout == "nchw" else []), *image_shape]

    def metadata(self, image_shape: tuple[int, int]) -> dict[str, str]:
        """Return what a program needs to know to call the model."""
        return {
            "input_name": INPUT,
            "input_type": "uint8" if self.input == "uint8" else "float32",
            "input_shape": ", ".join(map(str, self.shape(image_shape))),
            "input_range": RANGES[self.input],
            "input_polarity": "light ink on a dark background: 0 is black",
            "output_name": self.output,
        }


def model(network: Network, class_names: tuple[str, ...], signature: Signature | None = None) -> bytes:
    """Return the content of the file, checked by the package onnx."""
    signature = signature or Signature()
    graph = Graph()
    x = INPUT
    if signature.input == "uint8":
        x = graph.add("Cast", [x], to=TensorProto.FLOAT)
    else:
        x = graph.add("Mul", [x, graph.constant("white", 255)])
    x = graph.add("Sub", [x, graph.constant("shift", network.shift)])
    x = graph.add("Mul", [x, graph.constant("scale", network.scale)])
    if signature.layout == "nhw":
        x = graph.add("Unsqueeze", [x, graph.constant("axis of the channel", [1], np.int64)])
    for i, layer in enumerate(network.layers):
        graph.prefix = f"{i + 1}."
        x = OPERATORS[type(layer)](graph, x, layer)
    graph.prefix = "output."
    if signature.output == "logits":
        graph.add("Identity", [x], "logits")
    else:
        if network.loss.output == "sigmoid":  # s_k / sum_j s_j is the softmax of the logarithms of the sigmoids
            x = graph.add("Neg", [graph.add("Softplus", [graph.add("Neg", [x])])])
        graph.add("Softmax", [x], "probabilities", axis=1)
    return _checked(graph, network, class_names, signature)


def _checked(graph: Graph, network: Network, class_names: tuple[str, ...], signature: Signature) -> bytes:
    pixels = TensorProto.UINT8 if signature.input == "uint8" else TensorProto.FLOAT
    shape = signature.shape(network.image_shape)
    about = signature.metadata(network.image_shape)
    onnx_model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "mnistlab",
            [helper.make_tensor_value_info(INPUT, pixels, shape)],
            [helper.make_tensor_value_info(signature.output, TensorProto.FLOAT, ["n", network.loss.classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnistlab",
        producer_version=__version__,
        doc_string=f"{INPUT}: {about['input_type']} ({about['input_shape']}) from {about['input_range']}, "
        f"{about['input_polarity']}; {signature.output}: float32 (n, classes)",
    )
    about |= {"class_names": json.dumps(class_names), "architecture": json.dumps(network.spec())}
    helper.set_model_props(onnx_model, about)
    onnx.checker.check_model(onnx_model, full_check=True)
    return bytes(onnx_model.SerializeToString(deterministic=True))


class Graph:
    """Nodes and constants, named after their layers."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.prefix = "input."

    def add(self, operator: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"{self.prefix}{operator}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"node {name}", **attributes))
        return name

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        full = f"{self.prefix}{name}"
        if all(existing.name != full for existing in self.constants):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(value, dtype)), full))
        return full


Operator = Callable[[Graph, str, Any], str]


def _same(graph: Graph, x: str, layer: Layer) -> str:
    return x


def _simple(operator: str, **fixed: Any) -> Operator:
    return lambda graph, x, layer: graph.add(operator, [x], **fixed)


def _dense(graph: Graph, x: str, layer: Dense) -> str:
    W, b = (graph.constant(name, layer.params[name]) for name in ("W", "b"))
    return graph.add("Gemm", [x, W, b], transB=1)


def _conv(graph: Graph, x: str, layer: Conv2D) -> str:
    (_, height, width), (_, padded_height, padded_width) = layer.in_shape, layer.padded
    bottom, right = padded_height - height - layer.top, padded_width - width - layer.left
    W = graph.constant("W", layer.params["W"].transpose(0, 3, 1, 2))
    return graph.add(
        "Conv",
        [x, W, graph.constant("b", layer.params["b"])],
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.top, layer.left, bottom, right],
    )


def _pool(operator: str) -> Operator:
    def add(graph: Graph, x: str, layer: Pool2D) -> str:
        return graph.add(operator, [x], kernel_shape=[layer.size] * 2, strides=[layer.step] * 2)

    return add


def _global_mean(graph: Graph, x: str, layer: Layer) -> str:
    return graph.add("Flatten", [graph.add("GlobalAveragePool", [x])], axis=1)


def _batchnorm(graph: Graph, x: str, layer: BatchNorm) -> str:
    arrays = {**layer.params, **layer.buffers}
    constants = [graph.constant(name, arrays[name]) for name in ("gamma", "beta", "mean", "variance")]
    return graph.add("BatchNormalization", [x, *constants], epsilon=layer.eps)


def _gelu(graph: Graph, x: str, layer: GELU) -> str:
    def times(a: str, value: float, name: str) -> str:
        return graph.add("Mul", [a, graph.constant(name, value)])

    one = graph.constant("one", 1)
    u = graph.add("Add", [times(graph.add("Mul", [x, x]), 0.044715, "cubic"), one])
    u = times(graph.add("Mul", [u, x]), layer.c, "c")
    y = graph.add("Mul", [graph.add("Add", [graph.add("Tanh", [u]), one]), x])
    return times(y, 0.5, "half")


OPERATORS: dict[type[Layer], Operator] = {
    Dense: _dense,
    Dropout: _same,
    Flatten: _simple("Flatten", axis=1),
    Conv2D: _conv,
    MaxPool2D: _pool("MaxPool"),
    AvgPool2D: _pool("AveragePool"),
    GlobalAvgPool: _global_mean,
    BatchNorm: _batchnorm,
    Identity: _same,
    Sigmoid: _simple("Sigmoid"),
    HardSigmoid: _simple("HardSigmoid", alpha=0.2, beta=0.5),
    Tanh: _simple("Tanh"),
    ReLU: _simple("Relu"),
    LeakyReLU: lambda graph, x, layer: graph.add("LeakyRelu", [x], alpha=layer.slope),
    ELU: lambda graph, x, layer: graph.add("Elu", [x], alpha=layer.alpha),
    Softplus: _simple("Softplus"),
    GELU: _gelu,
}
