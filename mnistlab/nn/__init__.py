"""The numeric engine: a library of its own on NumPy. It knows nothing of configuration, files or plots."""

from .gradcheck import gradcheck
from .layer import Dense, Dropout, Flatten, Layer
from .loss import LOSSES, Loss
from .model import MLP, Model, OneHidden, network_from_spec
from .network import Network
from .optimizer import OPTIMIZERS, Optimizer
from .regularization import Regularization
from .schedule import SCHEDULES, Schedule

__all__ = [
    "LOSSES",
    "MLP",
    "OPTIMIZERS",
    "SCHEDULES",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "Loss",
    "Model",
    "Network",
    "OneHidden",
    "Optimizer",
    "Regularization",
    "Schedule",
    "gradcheck",
    "network_from_spec",
]
