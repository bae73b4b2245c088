"""The module names in estimators pickled by version 0.1, with the classes that pickle looks for there.

`mnistlab` imports this module only when one of those names is imported. It is to be removed in version 0.3; pickling a
loaded estimator again stores the current names.
"""

from __future__ import annotations

from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from mnistlab.models.estimator import NetworkClassifier
from mnistlab.models.estimator_state import EstimatorState
from mnistlab.nn import initializers, optimizers, schedules


def _public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("_")}


CLASSES: dict[str, dict[str, Any]] = {
    "mnistlab.estimator": {"NetworkClassifier": NetworkClassifier},
    "mnistlab.weighted_training": {"Training": EstimatorState},
    "mnistlab.nn.init": _public(initializers),
    "mnistlab.nn.optimizer": _public(optimizers),
    "mnistlab.nn.schedule": _public(schedules),
}


class _Loader(Loader):
    """Adds the classes to a module."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Return None, so that the module is created as usual."""

    def exec_module(self, module: ModuleType) -> None:
        """Add the classes."""
        vars(module).update(CLASSES[module.__name__])


def spec(name: str) -> ModuleSpec:
    """Return the spec of one of the modules."""
    return ModuleSpec(name, _Loader())
