"""From a description to layers: the models of conf/model, and the list of layers in the header of a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from mnistlab.errors import RequestError, choice, did_you_mean, whole
from mnistlab.nn.activation import ACTIVATIONS, Activation
from mnistlab.nn.layer import Dense, Dropout, Flatten, Layer, layer_name
from mnistlab.nn.loss import LOSSES, OUTPUTS, Loss
from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization

LAYERS: dict[str, type[Layer]] = {layer_name(cls): cls for cls in (Dense, Dropout, Flatten)} | dict(ACTIVATIONS)


def layer(spec: Any, registry: Mapping[str, type[Layer]] = LAYERS) -> Layer:
    """Return the layer of a description: a name (``relu``) or a one-key mapping (``leaky_relu: {slope: 0.1}``)."""
    if isinstance(spec, Mapping):
        if len(spec) != 1:
            raise RequestError(
                f"layer={dict(spec)}: one name with its settings was expected, as in {{dense: {{units: 100}}}}"
            )
        ((name, settings),) = spec.items()
    else:
        name, settings = spec, None
    if not isinstance(name, str) or not (settings is None or isinstance(settings, Mapping)):
        raise RequestError(
            f"layer={spec}: a name, or a name with settings as in {{leaky_relu: {{slope: 0.1}}}}, was expected"
        )
    choice("layer", name, registry)
    cls = registry[name]
    settings = dict(settings or {})
    known = [f.name for f in fields(cls)]
    for key in settings:
        if key not in known:
            takes = f"it takes {', '.join(known)}" if known else "it takes no settings"
            raise RequestError(f"{name}.{key}: unknown setting; {takes}{did_you_mean(key, known)}")
    try:
        return cls(**settings)
    except TypeError:
        raise RequestError(f"{name}: a setting is missing; it takes {', '.join(known)}") from None
    except RequestError as error:
        raise RequestError(f"{name}.{error}") from None


@dataclass
class Model:
    """What every network model has: its output and its loss."""

    output: str = "softmax"
    loss: str = "cross_entropy"

    def __post_init__(self) -> None:
        choice("output", self.output, OUTPUTS)
        choice("loss", self.loss, LOSSES)
        LOSSES[self.loss](2, self.output)  # refuses a pair that does not go together

    def layers(self, classes: int, regularization: Regularization) -> list[Layer]:
        """Return the layers for ``classes`` outputs."""
        raise NotImplementedError

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
        return Network(self.layers(classes, regularization), image_shape, loss, shift, scale, dtype)

    def make_loss(self, classes: int, label_smoothing: float = 0.0, dtype: Any = np.float32) -> Loss:
        """Return the loss object."""
        return LOSSES[self.loss](classes, self.output, label_smoothing, dtype)


@dataclass
class MLP(Model):
    """A multi-layer perceptron: flatten, then dense + activation (+ dropout) for each of ``hidden``, then dense.

    ``activation`` is one for all hidden layers, or a list of one a hidden layer.
    """

    hidden: list[int] = field(default_factory=lambda: [128, 64])
    activation: Any = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        for units in self.hidden:
            whole("hidden", units, 1, "the number of hidden units")
        self._activations()

    def layers(self, classes: int, regularization: Regularization) -> list[Layer]:
        try:
            rates = regularization.dropout_rates(len(self.hidden))
        except RequestError as error:
            raise RequestError(f"regularization.{error}") from None
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
                f"activation={list(self.activation)}: {len(self.activation)} activations for {len(self.hidden)} "
                f"hidden layer(s) {list(self.hidden)}; give one name, or one a layer"
            )
        specs = self.activation if several else [self.activation] * len(self.hidden)
        try:
            if not specs:
                layer(self.activation, ACTIVATIONS)
            return [layer(spec, ACTIVATIONS) for spec in specs]  # type: ignore[misc]
        except RequestError as error:
            message = str(error)
            raise RequestError(
                message.replace("layer=", "activation=", 1) if message.startswith("layer=") else f"activation.{message}"
            ) from None


@dataclass
class OneHidden(Model):
    """A perceptron with one hidden layer of ``units``."""

    units: int = 100
    activation: Any = "relu"

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("units", self.units, 1, "the number of hidden units")
        self._mlp()

    def layers(self, classes: int, regularization: Regularization) -> list[Layer]:
        return self._mlp().layers(classes, regularization)

    def _mlp(self) -> MLP:
        return MLP(self.output, self.loss, [self.units], self.activation)


MODELS: dict[str, type[Any]] = {"mlp": MLP, "one_hidden": OneHidden}


def network_from_spec(spec: Mapping[str, Any], dtype: Any = np.float32) -> Network:
    """Return the network that `Network.spec` describes, all parameters zero. Names are looked up, never imported."""
    loss = LOSSES[choice("loss", spec["loss"], LOSSES)](spec["classes"], spec["output"], spec["label_smoothing"], dtype)
    height, width = spec["image_shape"]
    layers = [layer(description) for description in spec["layers"]]
    return Network(layers, (height, width), loss, spec["shift"], spec["scale"], dtype)
