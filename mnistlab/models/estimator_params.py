"""The parameters of `NetworkClassifier`, checked and converted to the engine's components."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from mnistlab.nn.architectures import MLP, LayerList, Model
from mnistlab.nn.initializers import INITS, Init
from mnistlab.nn.network import Network
from mnistlab.nn.optimizers import OPTIMIZERS, Optimizer
from mnistlab.nn.regularization import SummedLossPenalty
from mnistlab.nn.schedules import SCHEDULES, Schedule
from mnistlab.system.errors import RequestError, between, choice, not_negative, positive, whole
from mnistlab.training.early_stopping import StoppingRule
from mnistlab.training.loop import Diverged


@contextmanager
def parameter_names() -> Iterator[None]:
    """Rename parameters in errors of the engine to their names in the estimator."""
    try:
        yield
    except RequestError as error:
        raise error.renamed(hidden="hidden_layer_sizes", epochs="max_iter") from None
    except Diverged as error:
        raise Diverged(
            f"the loss is no longer finite: {error.where} overflowed first, with learning_rate_init={error.lr:g}; try "
            f"learning_rate_init={error.lr / 10:.2g}, or scale the features, for example with StandardScaler",
            error.where,
            error.lr,
        ) from None


@dataclass
class Settings:
    """The checked parameters and the components that they name; ``network_params`` are those of the network."""

    network_params: dict[str, Any]
    optimizer: Optimizer
    schedule: Schedule
    init: Init
    regularization: SummedLossPenalty
    batch_size: int
    max_iter: int
    tol: float | None
    validation_fraction: float
    n_iter_no_change: int
    seed: int
    kernels: str

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Settings:
        """Return the settings for an estimator's parameters, or raise `RequestError`."""
        plain = {name: _plain(value) for name, value in parameters.items()}
        optimizer = _component("optimizer", plain["optimizer"], OPTIMIZERS, Optimizer)
        if (lr := plain["learning_rate_init"]) is not None:
            optimizer = replace(optimizer, lr=positive("learning_rate_init", lr, "the learning rate"))
        fraction = between("validation_fraction", plain["validation_fraction"], 0, 1, "the validation set")
        if fraction in (0, 1):
            raise RequestError("must be above 0 and below 1", key="validation_fraction", value=f"{fraction:g}")
        for name in ("shuffle", "early_stopping", "warm_start"):
            choice(name, plain[name], (True, False))
        tol = plain["tol"]
        batch = plain["batch_size"]
        return cls(
            plain,
            optimizer,
            _component("schedule", plain["schedule"], SCHEDULES, Schedule),
            _component("init", plain["init"], INITS, Init),
            SummedLossPenalty(**{field.name: plain[field.name] for field in fields(SummedLossPenalty)}),
            200 if batch == "auto" else whole("batch_size", batch, 1, "the batch size, unless it is auto,"),
            whole("max_iter", plain["max_iter"], 1, "the number of epochs"),
            None if tol is None else not_negative("tol", tol, "the least improvement, unless it is None,"),
            fraction,
            whole("n_iter_no_change", plain["n_iter_no_change"], 1, "the patience (epochs)"),
            _seed(plain["random_state"]),
            choice("kernels", plain["kernels"], ("auto", "numpy", "numba")),
        )

    @property
    def stopping(self) -> StoppingRule:
        """Return the stopping rule: more than ``n_iter_no_change`` epochs without an improvement of ``tol``."""
        patience = None if self.tol is None else self.n_iter_no_change + 1
        return StoppingRule(patience, self.tol or 0.0, inclusive=True, from_best=True)

    @parameter_names()
    def network(self, features: int, classes: int, dtype: Any) -> Network:
        """Return the network for so many features and classes, with all parameters zero."""
        params, model = self.network_params, Model()
        layers, shape = params["layers"], params["image_shape"]
        if layers is None:
            sizes = params["hidden_layer_sizes"]
            hidden = sizes if isinstance(sizes, list) else [sizes]
            model = MLP(hidden=hidden, activation=_activation(params["activation"]))
        elif not isinstance(layers, list):
            raise RequestError("must be a list of layers", key="layers", value=layers)
        else:
            model = LayerList(layers=layers if shape else ["flatten", *layers])
        shape = (1, features) if shape is None else _shape(shape, features)
        return model.network(shape, classes, self.regularization, scale=1.0, dtype=dtype)


def _component(key: str, value: Any, registry: dict[str, type[Any]], kind: type[Any]) -> Any:
    """Return a new component of that name, or a copy of the object."""
    if isinstance(value, kind):
        return replace(value)
    return registry[choice(key, value, list(registry))]()


def _activation(value: Any) -> Any:
    if isinstance(value, str):
        return "sigmoid" if value == "logistic" else value
    if isinstance(value, Mapping):
        return deepcopy(value)
    if not isinstance(value, Sequence):
        raise RequestError(
            "must be a name, a mapping of a name to its settings, or a list", key="activation", value=value
        )
    return [_activation(activation) for activation in value]


def _shape(value: Any, features: int) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise RequestError("must be (height, width)", key="image_shape", value=value)
    height, width = (whole("image_shape", side, 1, "a side") for side in value)
    if height * width != features:
        raise RequestError(
            f"image_shape=({height}, {width}): X must have {height * width:,} features, but has {features:,}"
        )
    return height, width


def _seed(random_state: Any) -> int:
    """Return the seed of the streams: the number itself, or one drawn from the generator."""
    generator = check_random_state(random_state)
    return random_state if isinstance(random_state, int) else int(generator.randint(2**31 - 1))


def _plain(value: Any) -> Any:
    """Return NumPy's numbers and arrays, which parameter searches pass, as Python values; tuples as lists."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value
