"""Numbers at their edges: signals of ten thousand, pictures of one colour, one class, one image, one pixel."""

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mnistlab.nn.architectures import LAYERS, LayerList
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.optimizers import OPTIMIZERS, Adam
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig
from mnistlab.training.loop import fit

SETTINGS = {  # of the layers that need some
    "conv": {"filters": 2, "kernel": 3},
    "dense": {"units": 5},
    "maxpool": {"size": 2},
    "avgpool": {"size": 2},
    "dropout": {"rate": 0.5},
}
PAIRS = [(name, output) for name, loss in LOSSES.items() for output in loss.outputs]
MAPS = ("conv", "maxpool", "avgpool", "global_avgpool", "flatten")


@dataclass
class Split:
    images: np.ndarray
    labels: np.ndarray


def around(layer):
    """A layer of this kind between two others, so that its input is a map or a vector and its output is learnt from."""
    own = {layer: SETTINGS[layer]} if layer in SETTINGS else layer
    after = [] if layer in ("flatten", "global_avgpool") else ["flatten"]
    if layer == "dense":
        return ["flatten", own]
    return [{"conv": {"filters": 2, "kernel": 3}}, own, *after] if layer in MAPS else [own, *after]


def network(layers, shape=(6, 6), classes=3, dtype=np.float32, loss="cross_entropy", output="softmax", scale=1 / 255):
    model = LayerList(layers=layers, loss=loss, output=output)
    made = model.network(shape, classes, Regularization(), scale=scale, dtype=dtype)
    made.initialise(Kaiming(), stream(0, "init"))
    return made


def batch(n=7, shape=(6, 6), classes=3, seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), rng.integers(0, classes, n)


def logits(made, images):
    return next(z.copy() for _, z in made._logits(images))


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_takes_signals_of_ten_thousand(layer):
    """In float32 as in float64, to a rounding of the largest number there is."""
    images, labels = batch()
    found = {}
    for dtype in (np.float32, np.float64):
        made = network(around(layer), dtype=dtype, scale=1e4 / 255)
        loss, _ = made.gradient(images, labels, None, stream(0, "dropout"))
        assert math.isfinite(loss)
        found[dtype] = loss, made.grad.copy(), logits(made, images)
    (loss, grad, z), (loss64, grad64, z64) = found.values()
    assert np.isfinite(grad).all()
    np.testing.assert_allclose(z, z64, rtol=0, atol=1e-5 * max(1, np.abs(z64).max()))
    if layer != "dropout":  # whose mask is drawn in the dtype of the network
        assert loss == pytest.approx(loss64, rel=1e-4, abs=1e-4)
        np.testing.assert_allclose(grad, grad64, rtol=0, atol=2e-4 * max(1, np.abs(grad64).max()))


@pytest.mark.parametrize(("loss", "output"), PAIRS)
@pytest.mark.parametrize("classes", [2, 47])
def test_logits_of_ten_thousand_give_finite_steps_with_every_loss(loss, output, classes):
    images, labels = batch(n=classes + 1, classes=classes)
    made = network(["flatten"], classes=classes, loss=loss, output=output)
    made.theta *= 1e4 / np.abs(logits(made, images)).max()
    assert np.abs(logits(made, images)).max() == pytest.approx(1e4, rel=1e-4)
    value, _ = made.gradient(images, labels, None, stream(0, "dropout"))
    assert math.isfinite(value)
    assert np.isfinite(made.grad).all()
    probabilities = made.predict(images)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [1 / 3, 1e4 / 3, -1e4 / 7])
def test_batch_normalisation_of_a_constant_stays_near_its_shift(value):
    """The mean of equal numbers is rounded, and eps is small: what is left must not look like a signal."""
    made = network([{"conv": {"filters": 2, "kernel": 3}}, "batchnorm", "flatten"])
    layer = made.layers[1]
    y = layer.forward(np.full((2, 4, 4, 33), value, np.float32), stream(0, "dropout"))
    assert np.isfinite(y).all()
    assert np.ptp(y) == 0  # every element the same: no signal
    dx = layer.backward(np.random.default_rng(0).standard_normal(y.shape).astype(np.float32))
    assert np.isfinite(dx).all()


LAYERS_OF = {
    "softmax": ["flatten"],
    "mlp": ["flatten", {"dense": {"units": 8}}, "relu"],
    "mlp, normalised": ["flatten", {"dense": {"units": 8}}, "batchnorm", "sigmoid", {"dropout": {"rate": 0.5}}],
    "conv": [{"conv": {"filters": 2, "kernel": 1}}, "batchnorm", "relu", "flatten"],
}


def data(name):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (9, 4, 4), dtype=np.uint8), np.arange(9) % 3
    match name:
        case "black images":
            images[:] = 0
        case "white images":
            images[:] = 255
        case "one image nine times":
            images[:] = images[0]
        case "one class only":
            labels[:] = 1
        case "single pixels":
            images = images[:, :1, :1]
        case "one row of pixels":
            images = images[:, :1]
    return Split(images, labels)


KINDS = ("black images", "white images", "one image nine times", "one class only", "single pixels", "one row of pixels")


@pytest.mark.parametrize("size", [1, 4, 9], ids=["batches of one", "a last batch of one", "full"])
@pytest.mark.parametrize("layers", LAYERS_OF)
@pytest.mark.parametrize("kind", KINDS)
def test_training_on_data_at_the_edge_stays_finite(kind, layers, size):
    part = data(kind)
    made = network(LAYERS_OF[layers], shape=part.images.shape[1:])
    components = Components(Adam(lr=0.01), trainer=TrainerConfig(epochs=3, batch_size=size))
    if size == 1 and ("normalised" in layers or (layers == "conv" and kind == "single pixels")):
        with pytest.raises(RequestError, match="batchnorm"):  # of one number, it would learn nothing
            fit(made, part, part, components, RandomStreams.from_seed(0))
        return
    history = fit(made, part, part, components, RandomStreams.from_seed(0))
    assert [row.step for row in history.epochs] == [(i + 1) * math.ceil(9 / size) for i in range(3)]
    assert all(
        math.isfinite(value) for row in history.epochs for value in (row.train_loss, row.val_loss, row.grad_norm)
    )
    assert np.isfinite(made.theta).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_without_a_gradient_stay_where_they_are(name):
    theta, grad = np.full(5, 0.25, np.float32), np.zeros(5, np.float32)
    optimizer = OPTIMIZERS[name](lr=0.1, **({"weight_decay": 0.0} if name == "adamw" else {}))
    optimizer.bind(theta, grad, 5)
    for _ in range(300):
        grad[:] = 0
        optimizer.step()
    assert theta.tolist() == [0.25] * 5


# ---- through the command line


def write(path, images, labels):
    np.savez(path, images=np.asarray(images, np.uint8), labels=np.asarray(labels))


def numbers(value):
    if isinstance(value, dict):
        return [found for inner in value.values() for found in numbers(inner)]
    if isinstance(value, list):
        return [found for inner in value for found in numbers(inner)]
    return [value] if isinstance(value, float) else []


RUNS = {
    "two classes": (2, (80, 5, 5), []),
    "47 classes": (47, (470, 5, 5), []),
    "single pixels": (3, (60, 1, 1), []),
    "constant images": (3, (60, 5, 5), []),
    "one class only": (3, (60, 5, 5), ["data.stratify=false"]),
    "batches of one": (3, (60, 5, 5), ["trainer.batch_size=1"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_on_data_at_the_edge_ends_with_finite_metrics(kind, command):
    classes, shape, more = RUNS[kind]
    images = np.random.default_rng(0).integers(0, 256, shape)
    labels = np.arange(shape[0]) % classes
    if kind == "constant images":
        images[:] = 128
    if kind == "one class only":
        labels[:] = 1
    write("data.npz", images, labels)
    given = ["data=npz", "data.path=data.npz", f"data.classes={classes}", "data.test=0.2", "data.limit=null"]
    given += ["data.test_limit=null", "data.validation=0.2", "trainer.epochs=2", "trainer.batch_size=8"]
    result = command("train", "experiment=smoke", "report.plots=none", "hydra.run.dir=run", *given, *more)
    assert result.status == 0, result.err
    metrics = json.loads(Path("run/metrics.json").read_text())
    assert all(map(math.isfinite, numbers(metrics)))
    assert 0 <= metrics["test"]["accuracy"] <= 1
    rows = list(csv.DictReader(Path("run/history.csv").read_text().splitlines()))
    assert len(rows) == 2
    assert all(math.isfinite(float(cell)) for row in rows for cell in row.values())


def test_standardising_constant_images_is_refused(command):
    write("data.npz", np.full((60, 5, 5), 7), np.arange(60) % 3)
    given = ["data=npz", "data.path=data.npz", "data.classes=3", "data.test=0.2", "data.scaling=standardize"]
    result = command("train", "experiment=smoke", "data.limit=null", "data.test_limit=null", *given)
    assert result.status == 2
    assert result.err == (
        "mnistlab train: error: data.scaling=standardize: all training pixels have the same value; use unit or none\n"
    )


def test_a_run_that_diverges_ends_at_the_step_at_which_it_does(command):
    """The weights overflow in the update of step 1, so that the loss of step 2 is the first that is not finite."""
    result = command("train", "experiment=smoke", "optimizer=sgd", "optimizer.lr=1e30", "hydra.run.dir=run")
    assert result.status == 1
    assert "the loss is no longer finite at step 2 (epoch 1): layer " in result.err
    assert json.loads(Path("run/status.json").read_text())["state"] == "failed"
