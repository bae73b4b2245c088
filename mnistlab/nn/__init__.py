"""The numeric engine: a library of its own on NumPy. It knows nothing of configuration, files or plots."""

from mnistlab.nn.conv import Conv2D
from mnistlab.nn.gradcheck import gradcheck
from mnistlab.nn.layer import Dense, Dropout, Flatten, Layer
from mnistlab.nn.loss import LOSSES, Loss
from mnistlab.nn.model import MLP, LayerList, Model, OneHidden, network_from_spec
from mnistlab.nn.network import Network
from mnistlab.nn.norm import BatchNorm
from mnistlab.nn.optimizer import OPTIMIZERS, Optimizer
from mnistlab.nn.pool import AvgPool2D, GlobalAvgPool, MaxPool2D
from mnistlab.nn.regularization import Regularization
from mnistlab.nn.schedule import SCHEDULES, Schedule

__all__ = [
    "LOSSES",
    "MLP",
    "OPTIMIZERS",
    "SCHEDULES",
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "Layer",
    "LayerList",
    "Loss",
    "MaxPool2D",
    "Model",
    "Network",
    "OneHidden",
    "Optimizer",
    "Regularization",
    "Schedule",
    "gradcheck",
    "network_from_spec",
]
