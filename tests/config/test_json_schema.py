"""The JSON Schemas: all of conf/ and good files of settings pass, wrong ones do not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mnistlab.config import json_schema, options

jsonschema = pytest.importorskip("jsonschema")
EXPERIMENTS = sorted((options.folder() / "experiment").rglob("*.yaml"))


@cache
def validator(name: str) -> Any:
    schema = json_schema.schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(name: str, text: str) -> list[str]:
    return [error.message for error in validator(name).iter_errors(yaml.safe_load(text))]


def test_every_experiment_passes() -> None:
    for path in EXPERIMENTS:
        assert problems("experiment.schema.json", path.read_text()) == [], path.name


def test_the_configuration_itself_passes() -> None:
    assert problems("experiment.schema.json", (options.folder() / "config.yaml").read_text()) == []


def test_every_option_of_every_group_has_keys_of_the_schema() -> None:
    checked = 0
    for group in [name for name in options.group_names() if name != "experiment"]:
        schema = json_schema.experiment()["properties"][group]
        for path in sorted((options.folder() / group).glob("*.yaml")):
            keys = {key: value for key, value in yaml.safe_load(path.read_text()).items() if key != "defaults"}
            assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(keys)] == [], path
            checked += 1
    assert checked > 50


@pytest.mark.parametrize(
    "text",
    [
        "data: mnist\nmodel: mlp_1hidden\nmodel.units: 64\noptimizer: {lr: 0.01}\ntrainer: {epochs: 3}\n",
        "init: [random, kaiming]\nseed: range(3)\noptimizer.lr: 0.1,0.01\n",
        "experiment: smoke\ntags: [week3]\nnote: first\nregularization: [l2, dropout]\n",
        "model.hidden: [64, 32]\ntrainer: {batch_size: full, checkpoint_every: 5min}\n",
    ],
)
def test_files_of_settings_pass(text: str) -> None:
    assert problems("settings.schema.json", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "optimzer: adam\n",
        "model: lenet55\n",
        "trainer: {epochs: two}\n",
        "trainer: {epoch: 2}\n",
        "model.unit: 3\n",
        "trainer: {epochs: 0}\n",
        "optimizer.lr: -1\n",
        "optimizer.beta1: 1.5\n",
        "seed: x\n",
    ],
)
def test_wrong_ones_do_not(text: str) -> None:
    assert problems("settings.schema.json", text)


def test_numbers_have_the_range_that_is_accepted() -> None:
    properties = json_schema.settings()["properties"]
    assert properties["trainer.epochs"]["anyOf"][0] == {"type": "integer", "minimum": 1}
    beta, lr = (properties[key]["anyOf"][0]["anyOf"][0] for key in ("optimizer.beta1", "optimizer.lr"))
    assert beta == {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
    assert lr == {"type": "number", "exclusiveMinimum": 0}
    assert properties["regularization.l2"]["anyOf"][0] == {"type": "number", "minimum": 0}


def test_every_experiment_that_is_shipped_names_the_schema_beside_it() -> None:
    shipped = json.loads((options.folder() / "experiment.schema.json").read_text())
    assert shipped == json_schema.schemas()["experiment.schema.json"], "`mnistlab schema --to conf` writes it"
    for path in EXPERIMENTS:
        depth = len(path.relative_to(options.folder()).parts) - 1
        line = f"# yaml-language-server: $schema={'../' * depth}experiment.schema.json"
        assert line in path.read_text().splitlines(), path.name


def test_keys_have_a_meaning_and_a_default() -> None:
    epochs = json_schema.settings()["properties"]["trainer.epochs"]
    assert epochs["default"] == 10
    assert json.dumps(json_schema.settings()).count('"description"') > 60


@pytest.mark.slow
def test_check_jsonschema_agrees(command: Callable[..., Any]) -> None:
    pytest.importorskip("check_jsonschema")
    assert command("schema", "--to", "schemas").out == "schemas/settings.schema.json\nschemas/experiment.schema.json\n"
    words = ["--schemafile", "schemas/experiment.schema.json", *map(str, EXPERIMENTS)]
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    Path("a.yaml").write_text("optimzer: adam\n")
    words = ["--schemafile", "schemas/settings.schema.json", "a.yaml"]
    assert (
        subprocess.run([sys.executable, "-m", "check_jsonschema", *words], capture_output=True, check=False).returncode
        == 1
    )
