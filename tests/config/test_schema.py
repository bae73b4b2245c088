"""The configuration: every YAML composes and builds, and what a user overrides is what runs."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from helpers.tables import thinned
from omegaconf import OmegaConf

from mnistlab.config import compose, options
from mnistlab.config import schema as schema_
from mnistlab.nn.architectures import MLP, Model, OneHidden
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.initializers import Distribution, Kaiming, Normal
from mnistlab.nn.optimizers import SGD, Adam

OPTIONS = [(group, option) for group in options.group_names() for option in options.option_names(group)]
NEEDS_PATH = {"csv": ["data.path=x.csv"], "idx": ["data.path=x"], "folder": ["data.path=x"], "npz": ["data.path=x.npz"]}


def experiment(*overrides: str) -> schema_.Experiment:
    return schema_.experiment(compose.compose(overrides))


@pytest.mark.parametrize(("group", "option"), thinned(OPTIONS, 5))
def test_every_option_composes_and_becomes_its_component(group: str, option: str) -> None:
    made = experiment(f"{group}={option}", *(NEEDS_PATH.get(option, []) if group == "data" else []))
    if group in schema_.GROUPS:
        assert type(getattr(made, group)) is schema_.schema_of(group, option)


NETWORKS = [name for name in options.option_names("model") if issubclass(schema_.schema_of("model", name), Model)]


@pytest.mark.slow
@pytest.mark.parametrize("option", NETWORKS)
def test_every_model_builds_a_network(option: str) -> None:
    made = experiment(f"model={option}")
    network = made.model.network((28, 28), 10, made.regularization)
    assert network.predict(np.zeros((2, 28, 28), np.uint8)).shape == (2, 10)


@pytest.mark.parametrize("name", options.option_names("experiment"))
def test_every_experiment_says_its_command_and_what_to_expect(name: str) -> None:
    header = (options.folder() / "experiment" / f"{name}.yaml").read_text()
    assert "@package _global_" in header
    assert f"mnistlab train experiment={name}" in header
    assert "Expected:" in header


def test_every_yaml_says_in_its_first_lines_what_it_is() -> None:
    for path in options.folder().rglob("*.yaml"):
        if "hydra" not in path.parts:
            assert path.read_text().startswith("# "), path


PARAMETERS = {
    **{"softmax": 7_850, "mlp_1hidden": 79_510, "mlp_2hidden": 109_386},
    **{"lenet5": 61_706, "lenet_dropout": 60_170, "cnn_simple": 90_678, "cnn_enhanced": 475_434},
}


@pytest.mark.slow
def test_the_parameter_counts_in_the_headers_are_right() -> None:
    for option, count in PARAMETERS.items():
        made = experiment(f"model={option}")
        assert made.model.network((28, 28), 10, made.regularization).theta.size == count
        assert f"{count:,} parameters" in (options.folder() / "model" / f"{option}.yaml").read_text()


def test_every_model_has_a_count() -> None:
    assert set(PARAMETERS) == set(NETWORKS)


def test_a_setting_of_a_layer_is_reached_by_its_place_in_the_list() -> None:
    made = experiment("model=cnn_simple", "model.layers.0.conv.filters=16", "+model.layers.3.conv.padding=same")
    layers = made.model.row(10, made.regularization)
    assert (layers[0], layers[3]) == (Conv2D(16, 3), Conv2D(32, 3, padding="same"))


def test_defaults() -> None:
    made = experiment()
    assert made.seed == 0
    assert made.model == MLP(hidden=[128, 64], activation="relu")
    assert made.optimizer == Adam(lr=0.001)
    assert isinstance(made.init, Kaiming)


def test_overrides_reach_the_components() -> None:
    made = experiment(
        "model=mlp_1hidden", "model.units=75", "optimizer=sgd", "optimizer.lr=0.9", "init=random", "seed=3"
    )
    assert made.model == OneHidden(units=75)
    assert made.optimizer == SGD(lr=0.9)
    assert made.init == Normal(std=1.0)
    assert made.seed == 3


def test_regularization_options_combine() -> None:
    made = experiment("regularization=[l2,dropout]", "regularization.max_norm=3")
    assert (made.regularization.l2, made.regularization.dropout, made.regularization.max_norm) == (1e-4, 0.5, 3.0)


def test_an_activation_with_settings() -> None:
    made = experiment("model.activation=[{leaky_relu:{slope:0.2}},tanh]")
    layers = made.model.row(10, made.regularization)
    assert [layer.spec() for layer in layers[2:5:2]] == [{"leaky_relu": {"slope": 0.2}}, {"tanh": {}}]


def test_an_experiment_wins_over_the_defaults_and_the_command_line_over_both() -> None:
    assert experiment("experiment=smoke").trainer.epochs == 2
    assert experiment("experiment=smoke", "trainer.epochs=3").trainer.epochs == 3


def test_an_enum_is_given_by_its_name() -> None:
    assert experiment("init=kaiming_uniform").init == Kaiming(distribution=Distribution.uniform)


HASHES = {  # of the first release: a run that is there already must stay the same experiment
    (): "2887c645968b8fc0",
    ("experiment=smoke",): "6399c900bf851234",
    ("trainer=early_stopping", "regularization=dropout"): "beacd755c5808c9d",
    ("model=svm_rbf",): "b7c8c111bb0fc742",
}


@pytest.mark.parametrize("overrides", HASHES, ids=" ".join)
def test_the_hash_of_a_configuration_stays_what_it_was(overrides: tuple[str, ...]) -> None:
    assert schema_.config_hash(compose.compose(overrides)) == HASHES[overrides]


def test_the_hash_knows_what_decides_the_numbers_and_nothing_else() -> None:
    base = schema_.config_hash(compose.compose([]))
    assert schema_.config_hash(compose.compose(["report.plots=none"])) == base
    assert schema_.config_hash(compose.compose(["trainer.checkpoint_every=1"])) == base
    assert schema_.config_hash(compose.compose(["optimizer.lr=0.001"])) == base
    assert schema_.config_hash(compose.compose(["seed=1"])) != base
    assert schema_.config_hash(compose.compose(["trainer.ema=0.0", "trainer.swa=null"])) == base
    for setting in ("trainer.ema=0.9", "trainer.swa=3", "augment=[flip,crop]"):
        assert schema_.config_hash(compose.compose([setting])) != base


@pytest.mark.parametrize(
    "options",
    [
        ("init=kaiming", "init=xavier", "init=scaled"),
        ("optimizer=momentum optimizer.lr=0.1", "optimizer=nesterov optimizer.lr=0.1"),
        ("model=svm_rbf data=csv data.path=x", "model=svm_rbf data=npz data.path=x"),
    ],
)
def test_options_with_the_same_keys_and_values_have_hashes_of_their_own(options: tuple[str, ...]) -> None:
    hashes = {schema_.config_hash(compose.compose(words.split())) for words in options}
    assert len(hashes) == len(options)


def test_every_schema_has_a_plain_default_for_every_field() -> None:
    for schemas in schema_.GROUPS.values():
        for schema in schemas.values():
            config = OmegaConf.structured(schema)  # raises where a type is none that OmegaConf checks
            assert set(config) == {field.name for field in fields(schema)}


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("optimizer.lr=0.1,seed=2", "optimizer.lr=0.1,seed=2"),
        ("data.path=/a b/c", "data.path=-a-b-c"),
        ("x" * 200, "x" * 80),
    ],
)
def test_slug_keeps_a_name_short_and_without_slashes(text: str, slug: str) -> None:
    assert compose.slug(text) == slug
