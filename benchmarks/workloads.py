"""The workloads: what is trained, and what is expected of the ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnistlab.config.schema import Experiment


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    ``overrides`` are those of `mnistlab train`; ``epochs`` of ours make one measurement of some seconds; ``bar`` is
    the least ratio PyTorch's time / ours. The largest network is timed on a fifth of the images.
    """

    name: str
    overrides: tuple[str, ...]
    epochs: int
    bar: float


def _mlp(hidden: str, activation: str, batch: int | str, *more: str) -> tuple[str, ...]:
    model = ("model=mlp_2hidden", f"model.hidden={hidden}", f"model.activation={activation}")
    return (*model, "init=scaled", f"trainer.batch_size={batch}", *more)


def _cnn(model: str, batch: int, *more: str) -> tuple[str, ...]:
    return (f"model={model}", f"trainer.batch_size={batch}", *more)


SGD, ADAM = "optimizer=sgd", "optimizer=adam"

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("macalinao", _mlp("[75]", "sigmoid", 64, SGD, "optimizer.lr=0.9"), 8, 2.2),
        Workload("macalinao_full", _mlp("[75]", "sigmoid", "full", SGD, "optimizer.lr=0.9"), 10, 1.4),
        Workload(
            "ghimire",
            _mlp("[200,20]", "[leaky_relu,tanh]", 128, SGD, "optimizer.lr=0.1", "regularization.l2=1e-4"),
            6,
            1.8,
        ),
        Workload("lin_dense", _mlp("[128,64]", "sigmoid", 32, ADAM), 4, 2.6),
        Workload(
            "oxford_dense",
            _mlp("[1200,1200]", "relu", 62, ADAM, "optimizer.lr=5e-4", "regularization.dropout=[0.4,0]"),
            2,
            1.1,
        ),
        Workload("fashion_dense", _mlp("[300,200]", "tanh", 32, ADAM, "regularization.l2=1e-4"), 3, 1.6),
        Workload("oxford_cnn", _cnn("lenet_dropout", 128, ADAM), 5, 3.3),
        Workload("lin_simple_cnn", _cnn("cnn_simple", 32, SGD, "optimizer.lr=0.01"), 2, 3.0),
        Workload("lin_enhanced_cnn", _cnn("cnn_enhanced", 32, ADAM, "data.limit=12000"), 2, 1.6),
        Workload("fashion_lenet5", _cnn("lenet5", 32, ADAM), 3, 3.3),
    )
}


@dataclass(frozen=True)
class Point:
    """One point of a growth table: what grows and how far, a workload without a target, and its random images."""

    axis: str
    value: int
    workload: Workload
    batch: int = 128
    side: int = 28
    classes: int = 10


def _dense_point(axis: str, value: int, hidden: list[int], batch: int = 128, classes: int = 10) -> Point:
    overrides = _mlp(str(hidden).replace(" ", ""), "relu", batch, ADAM)
    return Point(axis, value, Workload(f"{axis}_{value}", overrides, 10, 0), batch, classes=classes)


def _image_point(side: int) -> Point:
    return Point("side", side, Workload(f"side_{side}", _cnn("lenet_dropout", 128, ADAM), 4, 0), side=side)


POINTS = {
    point.workload.name: point
    for point in (
        *(_dense_point("width", units, [units]) for units in (32, 64, 128, 256, 512, 1024)),
        *(_dense_point("depth", layers, [128] * layers) for layers in (1, 2, 3, 4, 5, 6)),
        *(_dense_point("batch", images, [128], batch=images) for images in (16, 32, 64, 128, 256, 512)),
        *(_image_point(side) for side in (28, 36, 44, 52, 64)),
        *(_dense_point("classes", classes, [128], classes=classes) for classes in (10, 47, 100)),
    )
}

EVERY = WORKLOADS | {name: point.workload for name, point in POINTS.items()}
CONVOLUTIONAL = {name for name in EVERY if name.endswith("cnn") or name == "fashion_lenet5" or name.startswith("side_")}


def compose(workload: Workload, epochs: int, overrides: list[str]) -> Experiment:
    """Return the experiment that `mnistlab train` would run with the workload's overrides and these."""
    import hydra

    from mnistlab.config import compose as compose_
    from mnistlab.config import options, schema

    compose_.register(claiming=False)
    everything = [*workload.overrides, f"trainer.epochs={epochs}", *overrides]
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(options.folder())):
        return schema.experiment(hydra.compose("config", everything))
