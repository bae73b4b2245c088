"""The numeric engine: a library of its own on NumPy. It knows nothing of configuration, files or plots."""

from mnistlab.nn.gradcheck import gradcheck
from mnistlab.nn.layer import Dense, Dropout, Flatten, Layer
from mnistlab.nn.loss import LOSSES, Loss
from mnistlab.nn.model import MLP, Model, OneHidden, network_from_spec
from mnistlab.nn.network import Network
from mnistlab.nn.optimizer import OPTIMIZERS, Optimizer
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedule import SCHEDULES, Schedule

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
