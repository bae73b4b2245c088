"""mnistlab: classic neural-network experiments on MNIST-like images from the command line."""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnistlab.api.commands import compare as compare
    from mnistlab.api.commands import import_plugin as import_plugin
    from mnistlab.api.commands import load_run as load_run
    from mnistlab.api.commands import runs as runs
    from mnistlab.api.commands import sweep as sweep
    from mnistlab.api.commands import train as train
    from mnistlab.models.estimator import NetworkClassifier as NetworkClassifier
    from mnistlab.system.errors import RequestError as RequestError
    from mnistlab.system.errors import RunError as RunError

# OpenBLAS's threads spin for 2^26 ticks when they have nothing to do, and on a busy machine that stalls every product
# for milliseconds. 2^20 still spans the pause between two products of a step. It is read when NumPy is imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

__version__ = "0.1.0"
__all__ = [
    "NetworkClassifier", "RequestError", "RunError", "__version__", "compare", "import_plugin",
    "load_run", "runs", "sweep", "train",
]  # fmt: skip

# Imported on first use: no command line should wait for scikit-learn or Hydra
_HOMES = {
    "NetworkClassifier": "mnistlab.models.estimator",
    "RequestError": "mnistlab.system.errors",
    "RunError": "mnistlab.system.errors",
    **dict.fromkeys(("compare", "import_plugin", "load_run", "sweep", "train"), "mnistlab.api.commands"),
}


def __getattr__(name: str) -> Any:
    if name == "runs":  # a room of the package that is callable, too
        return import_module("mnistlab.runs")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _OldPickles:
    """Resolves the module names in estimators pickled by version 0.1; to be removed in version 0.3."""

    NAMES = (
        *("mnistlab.estimator", "mnistlab.weighted_training"),
        *("mnistlab.nn.init", "mnistlab.nn.optimizer", "mnistlab.nn.schedule"),
    )

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in cls.NAMES:
            return None
        spec: ModuleSpec = import_module("mnistlab.models.old_pickles").spec(name)
        return spec


sys.meta_path.append(_OldPickles)
