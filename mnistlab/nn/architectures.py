"""From a description to layers: the models of conf/model, and the list of layers in the header of a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from mnistlab.nn.activations import ACTIVATIONS, Activation
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense, Dropout, Flatten, Layer, layer_name
from mnistlab.nn.losses import LOSSES, OUTPUTS, Loss
from mnistlab.nn.network import Network
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.pooling import AvgPool2D, GlobalAvgPool, MaxPool2D
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import Key, RequestError, choice, did_you_mean, number, whole

KINDS: tuple[type[Layer], ...] = (
    *(Dense, Dropout, Flatten),
    *(Conv2D, MaxPool2D, AvgPool2D, GlobalAvgPool, BatchNorm),
)
LAYERS: dict[str, type[Layer]] = {layer_name(cls): cls for cls in KINDS} | dict(ACTIVATIONS)


def layer(spec: Any, registry: Mapping[str, type[Layer]] = LAYERS) -> Layer:
    """Return the layer of a description: a name (``relu``) or a one-key mapping (``leaky_relu: {slope: 0.1}``)."""
    if isinstance(spec, Mapping):
        if len(spec) != 1:
            raise RequestError(
                "must be one name with its settings, as in {dense: {units: 100}}", key="layer", value=dict(spec)
            )
        ((name, settings),) = spec.items()
    else:
        name, settings = spec, None
    if not isinstance(name, str) or not (settings is None or isinstance(settings, Mapping)):
        raise RequestError(
            "must be a name, or a name with settings as in {leaky_relu: {slope: 0.1}}", key="layer", value=spec
        )
    choice("layer", name, registry)
    cls = registry[name]
    settings = dict(settings or {})
    known = [f.name for f in fields(cls)]
    for key in settings:
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no settings"
            raise RequestError(f"unknown setting; {takes}{did_you_mean(key, known)}", key=f"{name}.{key}")
    needed = [f.name for f in fields(cls) if f.default is MISSING]
    if missing := [key for key in needed if key not in settings]:
        free = [f"{f.name}={f.default}" for f in fields(cls) if f.default is not MISSING]
        others = f" (and {', '.join(free)}, unless set)" if free else ""
        raise RequestError(f"must be set; {name} takes {', '.join(needed)}{others}", key=f"{name}.{missing[0]}")
    try:
        return cls(**settings)
    except RequestError as error:
        raise error.under(name) from None


def layer_row(descriptions: Sequence[Any]) -> list[Layer]:
    """Return the layers of a list of descriptions; an error names the place in it, counted from 0 as in a key."""
    layers = []
    for i, description in enumerate(descriptions):
        try:
            layers.append(layer(description))
        except RequestError as error:
            raise _placed(error, f"layers.{i}") from None
    return layers


def _placed(error: RequestError, place: str) -> RequestError:
    """Return the error of `layer` with the key under which the description stands."""
    return error.renamed(layer=place) if error.key == "layer" else error.under(place)


@dataclass
class Model:
    """Keys of every network model: ``output`` turns logits into probabilities; ``loss`` is minimised in training."""

    sized_by: ClassVar[str] = "layers"  # the key to blame for layers that do not fit, or are too large

    output: str = "softmax"
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        choice("output", self.output, OUTPUTS)
        choice("loss", self.loss, LOSSES)
        LOSSES[self.loss](2, self.output)  # refuses a pair that does not go together

    def row(self, classes: int, regularization: Regularization) -> list[Layer]:
        """Return the layers for ``classes`` outputs."""
        raise NotImplementedError

    def check(self, regularization: Regularization) -> None:
        """Refuse dropout rates that do not go with the layers."""
        self.row(1, regularization)

    def network(
        self,
        image_shape: tuple[int, int],
        classes: int,
        regularization: Regularization,
        shift: float = 0.0,
        scale: float = 1 / 255,
        dtype: Any = np.float32,
    ) -> Network:
        """Return the network, its parameters all zero."""
        loss = self.make_loss(classes, regularization.label_smoothing, dtype)
        layers = self.row(classes, regularization)
        try:
            return Network(layers, image_shape, loss, shift, scale, dtype)
        except RequestError as error:
            raise error.renamed(layers=self.sized_by) from None

    def make_loss(self, classes: int, label_smoothing: float = 0.0, dtype: Any = np.float32) -> Loss:
        """Return the loss object."""
        return LOSSES[self.loss](classes, self.output, label_smoothing, dtype)


@dataclass
class MLP(Model):
    """A multi-layer perceptron: flatten, then dense + activation (+ dropout) for each of ``hidden``, then dense.

    ``activation`` is one activation for all hidden layers, or a list with one per hidden layer.
    """

    sized_by = "hidden"

    hidden: list[int] = field(default_factory=lambda: [128, 64])
    activation: Any = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        for units in self.hidden:
            whole("hidden", units, 1, "the number of hidden units")
        self._activations()

    def row(self, classes: int, regularization: Regularization) -> list[Layer]:
        """Return the hidden layers, each with its activation and dropout, and the output layer."""
        rates = regularization.dropout_rates(len(self.hidden))
        layers: list[Layer] = [Flatten()]
        if rates[0]:
            layers.append(Dropout(rates[0]))
        for units, activation, rate in zip(self.hidden, self._activations(), rates[1:], strict=True):
            layers += [Dense(units), activation]
            if rate:
                layers.append(Dropout(rate))
        return [*layers, Dense(classes)]

    def _activations(self) -> list[Activation]:
        several = isinstance(self.activation, Sequence) and not isinstance(self.activation, str)
        if several and len(self.activation) != len(self.hidden):
            raise RequestError(
                f"{len(self.activation)} activations for {len(self.hidden)} "
                f"hidden layer(s) {list(self.hidden)}; give one name, or one per layer",
                key="activation",
                value=list(self.activation),
            )
        specs = self.activation if several else [self.activation] * len(self.hidden)
        try:
            if not specs:
                layer(self.activation, ACTIVATIONS)
            return [layer(spec, ACTIVATIONS) for spec in specs]  # type: ignore[misc]
        except RequestError as error:
            raise _placed(error, "activation") from None


@dataclass
class OneHidden(Model):
    """A multi-layer perceptron with one hidden layer of ``units`` units, followed by the ``activation``."""

    sized_by = "units"

    units: int = 100
    activation: Any = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("units", self.units, 1, "the number of hidden units")
        self._mlp()

    def row(self, classes: int, regularization: Regularization) -> list[Layer]:
        """Return the layers of an `MLP` with this hidden layer."""
        return self._mlp().row(classes, regularization)

    def _mlp(self) -> MLP:
        return MLP(self.output, self.loss, [self.units], self.activation)


@dataclass
class LayerList(Model):
    """Any ``layers``, each a name or a name with settings: ``[{conv: {filters: 6, kernel: 5}}, relu, flatten]``.

    Sizes are inferred. After the list comes the output layer, dense with one unit per class, unless ``output_layer`` is
    false; the list must then itself end with one output per class. Dropout by regularisation acts after the activation
    of each hidden dense layer, as in the other models, and cannot be combined with dropout layers in the list.
    """

    layers: list[Any] = field(default_factory=list)
    output_layer: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        layer_row(self.layers)

    def row(self, classes: int, regularization: Regularization) -> list[Layer]:
        """Return the listed layers, with dropout after hidden dense ones, and the output layer if there is one."""
        layers = layer_row(self.layers)
        if self.output_layer:
            layers.append(Dense(classes))
        hidden = [i for i, one in enumerate(layers) if isinstance(one, Dense)][: -1 if self.output_layer else None]
        rates = regularization.dropout_rates(len(hidden))
        if any(rates) and any(isinstance(one, Dropout) for one in layers):
            raise RequestError(
                Key("layers"),
                " has dropout of its own; set one of them",
                key="dropout",
                value=regularization.dropout,
            )
        for i, rate in reversed(list(zip(hidden, rates[1:], strict=True))):
            if rate:
                after = i + 1 + isinstance(layers[i + 1] if i + 1 < len(layers) else None, Activation)
                layers.insert(after, Dropout(rate))
        return [Dropout(rates[0]), *layers] if rates[0] else layers


SPEC = ("layers", "image_shape", "classes", "loss", "output", "label_smoothing", "shift", "scale")
MOST_PIXELS, MOST_CLASSES = 2**24, 10_000

MODELS: dict[str, type[Any]] = {"mlp": MLP, "one_hidden": OneHidden, "layers": LayerList}


def network_from_spec(spec: Any, dtype: Any = np.float32, stored: int | None = None) -> Network:
    """Return the network that `Network.spec` describes, all parameters zero. Names are looked up, never imported.

    The description may come from anyone: what does not fit is a `RequestError`. Where it asks for more than the
    ``stored`` parameters and statistics, or for far more memory than any network here, nothing is allocated.
    """
    if not isinstance(spec, Mapping):
        raise RequestError("must be a mapping", key="architecture", value=spec)
    if missing := [key for key in SPEC if key not in spec]:
        raise RequestError(f"{missing[0]} is missing; an architecture has {', '.join(SPEC)}")
    for key, kind in (("layers", list), ("image_shape", list), ("loss", str), ("output", str)):
        if not isinstance(spec[key], kind):
            raise RequestError(f"must be {'a list' if kind is list else 'a name'}", key=key, value=spec[key])
    height, width = (whole("image_shape", side, 1, "a side") for side in _two(spec["image_shape"]))
    classes = whole("classes", spec["classes"], 1, "the number of classes")
    if height * width > MOST_PIXELS or classes > MOST_CLASSES:
        raise RequestError(
            f"{height} x {width} pixels, {classes} classes: at most {MOST_PIXELS:,} and {MOST_CLASSES:,} are accepted"
        )
    layers = layer_row(spec["layers"])
    loss = LOSSES[choice("loss", spec["loss"], LOSSES)](classes, spec["output"], spec["label_smoothing"], dtype)
    shift, scale = number("shift", spec["shift"]), number("scale", spec["scale"])
    return Network(layers, (height, width), loss, shift, scale, dtype, stored)


def _two(sides: list[Any]) -> list[Any]:
    if len(sides) != 2:
        raise RequestError("must be [height, width]", key="image_shape", value=sides)
    return sides
