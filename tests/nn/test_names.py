"""The engine's names are those of conf/, and importing it brings nothing heavy along."""

import re
import sys
from pathlib import Path

import pytest
from helpers import processes

from mnistlab.nn.architectures import MODELS
from mnistlab.nn.initializers import INITS
from mnistlab.nn.optimizers import OPTIMIZERS
from mnistlab.nn.schedules import SCHEDULES

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(
    ("group", "registry"),
    [("init", INITS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("model", MODELS)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_component_has_a_file_in_conf(group, registry):
    used = {re.search(rf"/schema/{group}/(\w+)@", path.read_text()) for path in (CONF / group).glob("*.yaml")}
    assert {match[1] for match in used if match} >= set(registry)


@pytest.mark.process
@pytest.mark.parametrize("module", ["mnistlab.nn", "mnistlab.training.loop"])
def test_the_import_is_light(module):
    heavy = ["hydra", "omegaconf", "pandas", "sklearn", "matplotlib", "scipy", "PIL", "pooch", "torch"]
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({heavy})))"
    done = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
