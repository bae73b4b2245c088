"""`mnistlab.runs` is a room of the package and, called, a function: ``mnistlab.runs("outputs", "state=failed")``."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Runs(ModuleType):
    """The module, callable as `mnistlab.api.commands.runs`."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return import_module("mnistlab.api.commands").runs(*arguments, **keywords)


def install(name: str) -> None:
    """Make a module callable."""
    sys.modules[name].__class__ = _Runs
