"""`mnistlab explain` and `mnistlab gradcheck`: what they say of a network, and that a wrong gradient does not pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tables import thinned

from mnistlab import cli
from mnistlab.config import compose
from mnistlab.config.options import option_names
from mnistlab.config.schema import experiment, schema_of
from mnistlab.nn.activations import ReLU
from mnistlab.nn.architectures import Model
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.layers import Dense
from mnistlab.runs import pipeline

Command = Callable[..., Any]
NETWORKS = [name for name in option_names("model") if issubclass(schema_of("model", name) or object, Model)]


def explained(command: Command, *overrides: str) -> dict[str, Any]:
    result = command("explain", *overrides, "--json")
    assert (result.status, result.err) == (0, "")
    about: dict[str, Any] = json.loads(result.out)
    return about


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        (["model=mlp_1hidden", "model.units=32"], 25_450),
        (["model.hidden=[128,64]"], 109_386),
        (["model=cnn_simple"], 90_678),
        (["model=cnn_enhanced"], 475_434),
    ],
    ids=["one hidden", "two hidden", "cnn_simple", "cnn_enhanced"],
)
def test_the_networks_of_the_papers_have_their_parameters(
    command: Command, overrides: list[str], parameters: int
) -> None:
    about = explained(command, "data=mnist", *overrides)
    assert about["parameters"] == parameters == about["weights"] + about["biases"]
    assert sum(row["parameters"] for row in about["layers"]) == parameters
    assert f"{parameters:,}" in command("explain", "data=mnist", *overrides).out


def test_the_table_of_a_small_network(command: Command) -> None:
    # 784 x 100 + 100 = 78,500 and 100 x 10 + 10 = 1,010 parameters; forward (2 x 784 + 1) x 100 = 156,900 operations,
    # 100 of ReLU and (2 x 100 + 1) x 10 = 2,010: 0.159 million. Outputs (784 + 784 + 100 + 100 + 10) x 4 bytes = 7,112.
    result = command("explain", "model=mlp_1hidden", "trainer.batch_size=10")
    assert result.status == 0
    assert result.err == ""
    assert result.out == (
        "mnist5k: 28 x 28 pixels, 10 classes; output softmax, loss cross_entropy\n"
        "\n"
        "   layer             output       parameters  MFLOP  output, bytes\n"
        "   input             1 x 28 x 28           0  0.000          3,136\n"
        "1  flatten           784                   0  0.000          3,136\n"
        "2  dense  units 100  100              78,500  0.157            400\n"
        "3  relu              100                   0  0.000            400\n"
        "4  dense  units 10   10                1,010  0.002             40\n"
        "------------------------------------------------------------------\n"
        "   all                                79,510  0.159          7,112\n"
        "\n"
        "parameters  79,400 weights, 110 biases, all trained\n"
        "MFLOP       million operations of the forward pass of one image; a multiplication and an addition are two\n"
        "output      float32, of one image; 71,120 bytes for a batch of 10\n"
    )


def test_json_is_the_same_in_plain_numbers(command: Command) -> None:
    about = explained(command, "model=mlp_1hidden", "model.units=2", "data=digits", "trainer.batch_size=full")
    assert about["data"] == {"name": "digits", "image_shape": [8, 8], "classes": 10}
    assert about["layers"][0] == {
        "layer": 0, "kind": "input", "settings": {}, "output_shape": [1, 8, 8],
        "parameters": 0, "flop": 0, "output_bytes": 256,
    }  # fmt: skip
    assert about["layers"][2] == {
        "layer": 2, "kind": "dense", "settings": {"units": 2}, "output_shape": [2],
        "parameters": 130, "flop": 258, "output_bytes": 8,
    }  # fmt: skip
    assert about["batch_size"] == 1294  # 1,797 less a fifth for testing, less a tenth of the rest for validation
    assert about["output_bytes_of_batch"] == 1294 * about["output_bytes"]


@pytest.mark.parametrize("model", thinned(NETWORKS, 4))
def test_every_model_is_explained_as_it_is_built(command: Command, model: str) -> None:
    made = experiment(compose.compose([f"model={model}", "data.limit=200"]))
    network = pipeline.build(made, pipeline.load_data(made))
    about = explained(command, f"model={model}", "data.limit=200")
    assert about["parameters"] == network.theta.size
    assert [tuple(row["output_shape"]) for row in about["layers"][1:]] == network.shapes
    assert [row["flop"] for row in about["layers"][1:]] == [layer.flops() for layer in network.layers]


def test_published_data_need_not_be_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistlab.data.sources.published.NamedSource.read", lambda self: 1 / 0)
    monkeypatch.setattr("mnistlab.data.sources.bundled.Mnist5k.read", lambda self: 1 / 0)
    assert explained(command, "data=emnist_balanced")["data"]["classes"] == 47
    assert explained(command)["data"]["name"] == "mnist5k"


def test_own_data_are_looked_at(command: Command) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 6, 9), dtype=np.uint8)
    np.savez("own.npz", images=images, labels=np.arange(60) % 3)
    about = explained(command, "data=npz", "data.path=own.npz", "data.classes=3", "trainer.batch_size=8")
    assert about["data"]["image_shape"] == [6, 9]
    assert about["layers"][-1]["output_shape"] == [3]


def test_a_network_of_the_configuration_agrees_and_says_so(command: Command) -> None:
    result = command("gradcheck", "data=digits", "model.hidden=[8]", "regularization=[l2,l1,dropout,label_smoothing]")
    assert (result.status, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "8 x 8 pixels, 10 classes; a batch of 4, float64, 100 elements per block"
    assert [line.split()[0] for line in lines[3:8]] == ["2.dense.W", "2.dense.b", "5.dense.W", "5.dense.b", "input"]
    assert "  2.dense.W        100 of       512  " in result.out
    assert lines[-1].startswith("correct: all 5 blocks agree to within 1e-06; the largest error is ")


@pytest.mark.parametrize("model", thinned(NETWORKS, 4))
def test_every_model_agrees(command: Command, model: str) -> None:
    result = command("gradcheck", f"model={model}", "--elements", "3", "--batch=2")
    assert result.status == 0, result.err
    assert "float64, 3 elements per block" in result.out


BEFORE_A_RELU = ("1.conv.W", "1.conv.b", "4.conv.W", "4.conv.b", "8.dense.W", "8.dense.b")
DENSE_BACKWARD, CONV_BACKWARD = Dense.backward, Conv2D.backward


def one_at_zero(self: ReLU, dy: np.ndarray, y: np.ndarray) -> None:
    np.multiply(dy, y >= 0, out=dy)


def mean_over_the_batch(self: Dense, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
    dx = DENSE_BACKWARD(self, dy, need_dx)
    self.grads["b"] /= dy.shape[1]
    return dx


def turned_filters(self: Conv2D, dy: np.ndarray, need_dx: bool = True) -> np.ndarray:
    dx = CONV_BACKWARD(self, dy, need_dx)
    self.grads["W"][:] = self.grads["W"][:, ::-1, ::-1].copy()
    return dx


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "method", "wrong", "blocks"),
    [
        (
            ReLU,
            "scale_by_derivative",
            one_at_zero,
            "1.conv.W, 1.conv.b, 4.conv.W, 4.conv.b, 8.dense.W, 8.dense.b, input",
        ),
        (Dense, "backward", mean_over_the_batch, "8.dense.b, 10.dense.b"),
        (Conv2D, "backward", turned_filters, "1.conv.W, 4.conv.W"),
    ],
)
def test_a_wrong_backward_is_caught_and_named(
    command: Command, monkeypatch: pytest.MonkeyPatch, layer: type, method: str, wrong: Any, blocks: str
) -> None:
    monkeypatch.setattr(layer, method, wrong)
    result = command("gradcheck", "model=cnn_simple", "--elements", "20")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith("mnistlab gradcheck: error: ")
    assert f"blocks differ from central differences by more than 1e-06: {blocks}; the worst is " in line
    assert "  wrong" in result.out
    assert "right" not in result.out


def test_a_long_check_says_how_long(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistlab.cli.gradcheck.SLOW", 0)
    result = command("gradcheck", "data=digits", "model=softmax", "--elements", "2")
    assert result.status == 0
    assert result.err.startswith("about ")
    assert (
        "12 loss evaluations; use a smaller --elements for fewer" in result.err
    )  # 2 x 2 elements of each of W, b and the input


@pytest.mark.parametrize("name", ["explain", "gradcheck"])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_each_command_has_help(command: Command, name: str, flag: str) -> None:
    result = command(name, flag)
    assert result.status == 0
    assert result.out.startswith(f"Usage: mnistlab {name} [group=option ...]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["explain", "model=lenet"],
            "model=lenet: no such option; choose one of cnn_enhanced",
        ),
        (["explain", "model.hiden=[3]"], "model.hiden: unknown key; model=mlp_2hidden has"),
        (["explain", "--jsn"], "--jsn: no such option (did you mean --json?); see `mnistlab explain --help`"),
        (["explain", "-m"], "-m: no such option"),
        (["explain", "foo"], "foo: must be key=value"),
        (
            ["explain", "optimizer.lr=1,2"],
            "optimizer.lr=1,2: must be one value; `mnistlab train -m`",
        ),
        (["explain", "trainer.batch_size=5000"], "trainer.batch_size=5000: the training set has only"),
        (["explain", "data.validation=4000"], "data.validation=4000: the training pool has 4,000 rows"),
        (["explain", "data=csv", "data.path=nix.csv"], "data.path=nix.csv: no such file"),
        (["explain", "model=cnn_simple", "data=digits"], "model.layers: layer 5 maxpool: size 2 does"),
        (["gradcheck", "--elements", "0"], "--elements 0: must be a whole number of 1 or more"),
        (["gradcheck", "--batch"], "option '--batch' requires an argument; see `mnistlab gradcheck --help`"),
        (["gradcheck", "--batch=1000000000000"], "--batch=1000000000000: all images are processed at once; with"),
        (["gradcheck", "--batch=x"], "--batch x: must be a whole number of 1 or more"),
        (
            ["gradcheck", "--element=3"],
            "--element: no such option (did you mean --elements?); see `mnistlab gradcheck --help`",
        ),
        (["gradcheck", "--jsn"], "--jsn: no such option (did you mean --json?); see `mnistlab gradcheck --help`"),
        (["gradcheck", "regularization.dropout=[0.1]"], "regularization.dropout=[0.1]: 1 rates for"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_requests_are_one_line(command: Command, arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert result.status == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab {arguments[0]}: error: {message}")
    assert list(Path().rglob("*")) == []


def test_neither_command_leaves_anything(command: Command) -> None:
    assert command("explain").status == command("gradcheck", "--elements", "1").status == 0
    assert list(Path().rglob("*")) == []
    assert {"explain", "gradcheck"} <= set(cli.COMMANDS)
