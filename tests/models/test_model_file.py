"""Saved models: what is saved comes back, and no file, however damaged or hostile, does more than raise one error."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import processes
from safetensors.numpy import save

from mnistlab.models.model_file import MODEL, load_model, save_model
from mnistlab.nn.architectures import MLP, LayerList
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.network import Network
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError

NAMES = ("a", "b", "c")


def network() -> Network:
    made = MLP(hidden=[5]).network((4, 6), 3, Regularization())
    made.initialise(Kaiming(), np.random.default_rng(0))
    return made


def written(path: Path, about: Any, tensors: dict[str, np.ndarray] | None = None) -> Path:
    arrays = network().tensors() if tensors is None else tensors
    text = about if isinstance(about, str) else json.dumps(about)
    path.write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}, {"mnistlab": text}))
    return path


def about(**changes: Any) -> dict[str, Any]:
    spec = {**network().spec(), **changes}
    return {"format": MODEL, "architecture": {k: v for k, v in spec.items() if v is not KeyError}, "class_names": NAMES}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    saved = network()
    save_model(tmp_path / "m", saved, NAMES)
    again, names = load_model(tmp_path / "m")
    assert names == NAMES
    assert again.spec() == saved.spec()
    assert np.array_equal(again.theta, saved.theta)


LAYERS = network().spec()["layers"]
DEEP = "[" * 100_000 + "]" * 100_000

HEADERS: dict[str, tuple[Any, str]] = {
    "no architecture": ({"format": MODEL, "class_names": NAMES}, "architecture=None: must be a mapping"),
    "a list": (about() | {"architecture": [1]}, "architecture=[1]: must be a mapping"),
    "a key missing": (about(layers=KeyError), "layers is missing; an architecture has layers, image_shape,"),
    "layers a name": (about(layers="dense"), "layers=dense: must be a list"),
    "an unknown layer": (about(layers=["flatten", "os.system"]), "layers.1=os.system: choose one of dense,"),
    "a layer of two": (about(layers=[{"relu": {}, "tanh": {}}]), "must be one name with its settings"),
    "an unknown setting": (about(layers=[{"dense": {"unts": 3}}]), "layers.0.dense.unts: unknown setting"),
    "a setting missing": (about(layers=["flatten", "dense"]), "layers.1.dense.units: must be set"),
    "a setting of text": (
        about(layers=["flatten", {"dense": {"units": "3"}}]),
        "layers.1.dense.units='3': the number of units must be a whole number",
    ),
    "a huge layer": (
        about(layers=["flatten", {"dense": {"units": 10**12}}, {"dense": {"units": 3}}]),
        "layers: layer 2 dense: up to here they take 25,000,000,000,000 parameters, more than 268,435,456",
    ),
    "a huge map": (
        about(layers=[{"conv": {"filters": 10**9, "kernel": 1}}, "batchnorm", "flatten", {"dense": {"units": 3}}]),
        "layers: layer 1 conv: up to here they take 2,000,000,000 parameters, more than 268,435,456",
    ),
    "a map that padding makes huge": (
        about(layers=[{"conv": {"filters": 1, "kernel": 9_000, "padding": 8_999}}, "flatten", {"dense": {"units": 3}}]),
        "layers: layer 1 conv: up to here they take",
    ),
    "padding of zeros only": (
        about(layers=[{"conv": {"filters": 1, "kernel": 3, "padding": 10**9}}, "flatten", {"dense": {"units": 3}}]),
        "layers.0.conv.padding=1000000000: must be below kernel=3; more only adds windows of zeros",
    ),
    "more than is given": (
        about(layers=["flatten", {"dense": {"units": 50}}, {"dense": {"units": 3}}]),
        "layers: they have 1,403 parameters, but only 143 values were passed",
    ),
    "a layer that does not fit": (about(layers=["maxpool", "dense"]), "layers.1.dense.units: must be set"),
    "a map for dense": (about(layers=["relu", {"dense": {"units": 3}}]), "layers: layer 2 dense: takes a vector, got"),
    "too few layers": (about(layers=LAYERS[:2]), "layers: the last one gives 5 outputs for 3 classes; end them with"),
    "sides of text": (about(image_shape=["4", 6]), "image_shape='4': a side must be a whole number of 1 or more"),
    "three sides": (about(image_shape=[1, 4, 6]), "image_shape=[1, 4, 6]: must be [height, width]"),
    "a negative side": (about(image_shape=[-4, 6]), "image_shape=-4: a side must be a whole number"),
    "huge sides": (about(image_shape=[10**6, 10**6]), "1000000 x 1000000 pixels, 3 classes: at most 16,777,216 and"),
    "classes of text": (about(classes="3"), "classes='3': the number of classes must be a whole number"),
    "a million classes": (about(classes=10**6), "4 x 6 pixels, 1000000 classes: at most"),
    "an unknown loss": (about(loss="mse"), "loss=mse: choose one of"),
    "a loss that is none": (about(loss=["x"]), "loss=['x']: must be a name"),
    "an unknown output": (about(output="linear"), "output=linear: choose one of softmax, sigmoid"),
    "smoothing of text": (about(label_smoothing="x"), "label_smoothing=x: must be a number"),
    "no shift": (about(shift=None), "shift=None: must be a number"),
    "scale not finite": (json.dumps(about(scale=float("nan"))), "scale=nan: must be a number"),
    "no names": (about() | {"class_names": None}, "the header must give the 3 classes different names"),
    "too few names": (about() | {"class_names": ["a", "b"]}, "the header must give the 3 classes"),
    "names that are numbers": (about() | {"class_names": [0, 1, 2]}, "the header must give the 3 classes"),
    "the same names": (about() | {"class_names": ["a", "b", "a"]}, "the header must give the 3 classes"),
    "another format": ({"format": "mnistlab-checkpoint-1"}, "must be a model saved by mnistlab (format="),
    "no header of ours": ("{}", "must be a model saved by mnistlab (format=mnistlab-model-1, found None)"),
    "a header that is a list": ("[1, 2]", "not a readable safetensors file (its header is not a JSON object)"),
    "a header that is no JSON": ("{nope", "not a readable safetensors file"),
    "a header too deep": (DEEP, "not a readable safetensors file"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_malformed_header_is_one_error_that_names_the_file(tmp_path: Path, case: str) -> None:
    header, message = HEADERS[case]
    path = written(tmp_path / "model.safetensors", header)
    with pytest.raises(RequestError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def changed(name: str, array: np.ndarray | None) -> dict[str, np.ndarray]:
    tensors = dict(network().tensors())
    if array is None:
        del tensors[name]
    else:
        tensors[name] = array
    return tensors


W = network().tensors()["2.dense.W"]
ARRAYS: dict[str, tuple[dict[str, np.ndarray], str]] = {
    "missing": (
        changed("2.dense.W", None) | {"2.dense.V": W},
        "the array 2.dense.V does not belong to any layer of the network in the header",
    ),
    "of another shape": (
        changed("2.dense.W", W.T.copy()),
        "2.dense.W of shape (5, 24) is missing or has another shape or type",
    ),
    "of another type": (changed("2.dense.W", W.astype(np.float64)), "2.dense.W of shape (5, 24) is missing or has"),
    "not a number": (changed("2.dense.W", np.where(W.max() == W, np.nan, W).astype(np.float32)), "not finite"),
    "infinite": (changed("4.dense.b", np.full(3, np.inf, np.float32)), "4.dense.b contains values that are not finite"),
    "too many": (
        changed("9.dense.W", W),
        "the array 9.dense.W does not belong to any layer of the network in the header",
    ),
    "none": ({}, "they have 143 parameters, but only 0 values were passed"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit_the_header(tmp_path: Path, case: str) -> None:
    tensors, message = ARRAYS[case]
    path = written(tmp_path / "model.safetensors", about(), tensors)
    with pytest.raises(RequestError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_negative_variance_is_refused(tmp_path: Path) -> None:
    layers = ["flatten", {"dense": {"units": 2}}, "batchnorm", {"dense": {"units": 3}}]
    made = LayerList(layers=layers, output_layer=False).network((4, 6), 3, Regularization())
    made.tensors()["3.batchnorm.variance"][1] = -1e-9
    save_model(tmp_path / "m", made, NAMES)
    with pytest.raises(
        RequestError, match=r"m: the array 3\.batchnorm\.variance contains a negative variance; train the"
    ):
        load_model(tmp_path / "m")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in the header": lambda content: content[:100],
    "cut in the arrays": lambda content: content[:-7],
    "longer": lambda content: content + b"more",
    "text": lambda content: b"not a model at all, but long enough to hold a length",
    "a huge header claimed": lambda content: struct.pack("<Q", 2**60) + content[8:],
    "a type that NumPy has not": lambda content: content.replace(b'"F32"', b'"U16"'),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file(tmp_path: Path, case: str) -> None:
    path = written(tmp_path / "model.safetensors", about())
    path.write_bytes(DAMAGE[case](path.read_bytes()))
    with pytest.raises(RequestError) as caught:
        load_model(path)
    assert str(caught.value).startswith(f"{path}: not a readable safetensors file")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        load_model(tmp_path / "gone")
    with pytest.raises(RequestError, match="not a readable safetensors file"):
        load_model(tmp_path)


@pytest.mark.process
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    code = "from pathlib import Path; from mnistlab.system.tensors import read; read(Path('model.safetensors'))"
    ended = processes.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False
    )
    assert "model.safetensors: not a readable safetensors file (model.safetensors is not a file)" in ended.stderr
