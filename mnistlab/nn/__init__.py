"""The engine: a library of its own on NumPy. It knows nothing of configuration, files or plots.

Its public names are imported on first use: ``from mnistlab.nn import Adam, Network``.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "activations": ("ACTIVATIONS",),
    "architectures": ("LAYERS", "MLP", "LayerList", "Model", "OneHidden", "network_from_spec"),
    "conv": ("Conv2D",),
    "folding": ("folded",),
    "initializers": ("INITS", "Init"),
    "layers": ("Dense", "Dropout", "Flatten", "Layer"),
    "losses": ("LOSSES", "Loss"),
    "network": ("Network",),
    "normalization": ("BatchNorm",),
    "optimizers": ("OPTIMIZERS", "SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSprop"),
    "pooling": ("AvgPool2D", "GlobalAvgPool", "MaxPool2D"),
    "regularization": ("Regularization",),
    "schedules": ("SCHEDULES", "Constant", "Cosine", "Exponential", "OneCycle", "Plateau", "Schedule", "Step"),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
