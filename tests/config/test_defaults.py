"""A default is one value, whether it is read in the class or in the YAML of its option."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from mnistlab.config.compose import compose
from mnistlab.config.options import folder, group_names, option_names
from mnistlab.config.schema import GROUPS, schema_of
from mnistlab.nn.architectures import LayerList

# the option that is its class as it stands
PLAIN = {
    "augment": ("none", "shift", "affine", "elastic", "stroke_width", "flip", "crop", "erasing", "mixup", "combined"),
    "data": ("mnist", "mnist5k", "digits", "auto", "csv", "folder", "idx", "npz"),
    "init": ("kaiming", "normal", "orthogonal", "scaled", "uniform", "xavier", "zeros"),
    "model": (
        *("mlp_1hidden", "mlp_2hidden"),
        *("gradient_boosting", "knn", "logistic", "mlpclassifier", "random_forest", "svm_rbf"),
    ),
    "optimizer": ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"),
    "regularization": ("none",),
    "schedule": ("constant", "step", "exponential", "cosine", "one_cycle", "plateau"),
    "tracking": ("none", "csv", "mlflow", "tensorboard"),
    "trainer": ("default",),
}
# the options that differ from their class on purpose, and the keys in which they do
VARIANTS = {
    "data": {
        **{f"emnist_{split}": ("name",) for split in ("balanced", "byclass", "bymerge", "digits", "letters", "mnist")},
        **dict.fromkeys(("fashion_mnist", "kmnist"), ("name",)),
        **dict.fromkeys(("arff", "hdf5", "libsvm", "mat", "npy", "parquet"), ("format",)),
    },
    "init": {"kaiming_uniform": ("distribution",), "random": ("std",), "xavier_uniform": ("distribution",)},
    "model": {
        "softmax": ("hidden",),
        **dict.fromkeys(("cnn_enhanced", "cnn_simple", "lenet5", "lenet_dropout"), ("layers",)),
        **dict.fromkeys(("svm_linear", "svm_poly", "svm_sigmoid"), ("kernel",)),
    },
    "regularization": {name: (name,) for name in ("dropout", "l1", "l2", "label_smoothing", "max_norm")},
    "trainer": {"early_stopping": ("epochs", "patience"), "full_batch": ("batch_size", "epochs")},
}
PLAINS = [(group, option) for group, names in PLAIN.items() for option in names]


def defaults(schema: type[Any] | None) -> dict[str, Any]:
    """The defaults of a class as plain data, with ``???`` where there is none."""
    assert schema is not None
    values = OmegaConf.to_container(OmegaConf.structured(schema), enum_to_str=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def own_values(group: str, option: str) -> dict[str, Any]:
    """What the YAML file of an option sets."""
    content = yaml.safe_load((folder() / group / f"{option}.yaml").read_text()) or {}
    return {key: value for key, value in content.items() if key != "defaults"}


def test_every_option_is_plain_or_a_variant() -> None:
    for group in group_names():
        if group != "experiment":
            listed = [*PLAIN[group], *VARIANTS.get(group, ())]
            assert sorted(listed) == option_names(group), group


def test_every_class_has_one_plain_option() -> None:
    for group, names in PLAIN.items():
        classes = [schema_of(group, option) for option in names]
        known = set(GROUPS[group].values()) if group in GROUPS else set(classes)
        assert len(classes) == len(set(classes)), group
        assert set(classes) == known - {LayerList}, group  # which has no layers of its own


@pytest.mark.parametrize(("group", "option"), PLAINS)
def test_a_plain_option_has_the_values_of_its_class(group: str, option: str) -> None:
    composed = OmegaConf.to_container(compose([f"{group}={option}"])[group], enum_to_str=True)
    assert composed == defaults(schema_of(group, option))


@pytest.mark.parametrize("group", [group for group in group_names() if group != "experiment"])
def test_an_option_differs_from_its_class_only_where_it_is_a_variant(group: str) -> None:
    for option in option_names(group):
        known = defaults(schema_of(group, option))
        differing = [key for key, value in own_values(group, option).items() if value != known[key]]
        assert sorted(differing) == sorted(VARIANTS.get(group, {}).get(option, ())), option
