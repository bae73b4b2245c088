"""mnistlab: classic neural-network experiments on MNIST-like images from the command line."""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnistlab.models.estimator import NetworkClassifier as NetworkClassifier

# OpenBLAS's threads spin for 2^26 ticks when they have nothing to do, and on a busy machine that stalls every product
# for milliseconds. 2^20 still spans the pause between two products of a step. It is read when NumPy is imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

__version__ = "0.1.0"
__all__ = ["NetworkClassifier", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "NetworkClassifier":  # on first use: it imports scikit-learn, which no command line should wait for
        return import_module("mnistlab.models.estimator").NetworkClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
