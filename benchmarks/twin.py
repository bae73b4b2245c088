"""The PyTorch twin of an experiment: the same recipe, trained to the end, for `speedrun`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import peers
import torch
from torch.nn import Sequential
from torch.nn.functional import cross_entropy

from mnistlab.config.schema import Experiment
from mnistlab.data.augmentation import Mixup
from mnistlab.data.dataset import Dataset, Split
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.losses import CrossEntropy
from mnistlab.nn.network import Network
from mnistlab.runs import pipeline
from mnistlab.system.errors import RequestError
from mnistlab.training.components import RandomStreams
from mnistlab.training.loop import batches

WARM_UP = 30  # steps in each memory layout
SCORED = 1000  # images that are classified at once

Classify = Callable[[Split], np.ndarray]


def prepared(experiment: Experiment, dataset: Dataset, threads: int) -> Callable[[Experiment], Classify]:
    """Return the function that trains the twin, with the memory layout that is the faster one in a few steps."""
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    layouts = (False, True) if has_convolutions(pipeline.build(experiment, dataset)) else (False,)
    seconds = {channels_last: Twin(experiment, dataset, channels_last).warm_up() for channels_last in layouts}
    channels_last = min(seconds, key=lambda layout: seconds[layout])

    def learn(experiment: Experiment) -> Classify:
        twin = Twin(experiment, dataset, channels_last)
        twin.train()
        return twin.classify

    return learn


def has_convolutions(network: Network) -> bool:
    """Return whether a network has a convolution, for which PyTorch has two memory layouts."""
    return any(isinstance(layer, Conv2D) for layer in network.layers)


class Twin:
    """A network in PyTorch with the initial weights of ours, and everything that trains it."""

    def __init__(self, experiment: Experiment, dataset: Dataset, channels_last: bool) -> None:
        refuse_what_it_lacks(experiment)
        self.experiment, self.train_set, self.scale = experiment, dataset.train, float(dataset.scale)
        self.shift = float(dataset.shift)
        torch.manual_seed(experiment.seed)
        network = pipeline.build(experiment, dataset)
        shape = (1, *network.image_shape) if has_convolutions(network) else (int(np.prod(network.image_shape)),)
        self.shape, self.streams = shape, RandomStreams.from_seed(experiment.seed)
        self.model = Sequential(*peers._torch_layers(network, shape))
        copy_weights(network, self.model)
        self.channels_last = channels_last
        if channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
        self.parameters = list(self.model.parameters())
        self.averaged = [*self.parameters, *(each for each in self.model.buffers() if each.is_floating_point())]
        self.average = [each.detach().clone() for each in self.averaged]
        self.optimizer = optimizer_of(experiment, self.model)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.labels = torch.from_numpy(np.array(dataset.train.labels))

    def train(self) -> None:
        """Train to the end, and put the average of the weights into the model, if there is one."""
        trainer, n, schedule = self.experiment.trainer, len(self.train_set), self.experiment.schedule
        batch, step = trainer.batch_of(n), 0
        schedule.start(trainer.epochs, -(-n // batch))
        self.model.train()
        for _ in range(trainer.epochs):
            self.experiment.augment.start_epoch(self.train_set.images, self.streams.augment)
            for rows in batches(n, batch, self.streams.order):
                self.step(rows, schedule.factor(step))
                step += 1
                self.update_average(step)
        if trainer.ema:
            with torch.no_grad():
                torch._foreach_copy_(self.averaged, self.average)

    def update_average(self, step: int) -> None:
        """Add the weights and running statistics after this step to their average, if there is one, as ours."""
        if self.experiment.trainer.ema:
            with torch.no_grad():
                decay = min(self.experiment.trainer.ema, (1 + step) / (10 + step))
                torch._foreach_lerp_(self.average, self.averaged, 1 - decay)

    def step(self, rows: np.ndarray | None, factor: float) -> None:
        """Take one training step on these rows at this factor of the learning rate."""
        for group, lr in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = lr * factor
        images = self.experiment.augment.batch(self.train_set.images, rows)
        labels = self.labels if rows is None else self.labels[rows]
        smoothing = self.experiment.regularization.label_smoothing
        loss = cross_entropy(self.model(self.input(images)), labels, label_smoothing=smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def input(self, images: np.ndarray) -> Any:
        """Return uint8 images as the model's input."""
        x = torch.from_numpy(np.ascontiguousarray(images)).to(torch.float32).reshape(-1, *self.shape)
        x.sub_(self.shift).mul_(self.scale)
        return x.to(memory_format=torch.channels_last) if self.channels_last else x

    def warm_up(self) -> float:
        """Return the seconds of some steps after some others."""
        rows = np.arange(self.experiment.trainer.batch_of(len(self.train_set)))
        self.experiment.augment.start_epoch(self.train_set.images, self.streams.augment)
        self.model.train()
        for _ in range(2):
            started = time.perf_counter()
            for _ in range(WARM_UP):
                self.step(rows, 0.1)
        return time.perf_counter() - started

    def classify(self, part: Split) -> np.ndarray:
        """Return the classes of images."""
        self.model.eval()
        with torch.no_grad():
            classes = [
                self.model(self.input(np.array(part.images[start : start + SCORED]))).argmax(dim=1).numpy()
                for start in range(0, len(part), SCORED)
            ]
        return np.concatenate(classes)


def copy_weights(network: Network, model: Sequential) -> None:
    """Give a model the weights of ours: W (filters, kernel, kernel, channels) or (units, fan_in), b, gamma, beta."""
    ours = [layer for layer in network.layers if layer.params]
    theirs = [module for module in model if list(module.parameters())]
    with torch.no_grad():
        for layer, module in zip(ours, theirs, strict=True):
            weight, bias = layer.params.values()
            turned = weight.transpose(0, 3, 1, 2) if weight.ndim == 4 else weight
            module.weight.copy_(torch.from_numpy(np.ascontiguousarray(turned)))
            module.bias.copy_(torch.from_numpy(bias.copy()))


def optimizer_of(experiment: Experiment, model: Sequential) -> Any:
    """Return PyTorch's optimizer with our settings; weights decay, biases do not."""
    ours = experiment.optimizer
    weights = [p for p in model.parameters() if p.ndim > 1]
    biases = [p for p in model.parameters() if p.ndim == 1]
    decay = {"Adam": experiment.regularization.l2, "AdamW": getattr(ours, "weight_decay", 0.0)}[type(ours).__name__]
    rule = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[type(ours).__name__]
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]
    return rule(groups, lr=ours.lr, betas=(ours.beta1, ours.beta2), eps=ours.eps, fused=True)


def refuse_what_it_lacks(experiment: Experiment) -> None:
    """Refuse a recipe with settings that the twin does not have, so that it is never another recipe."""
    regularization, trainer, loss = experiment.regularization, experiment.trainer, experiment.model.loss
    lacks = {
        f"optimizer {type(experiment.optimizer).__name__}": type(experiment.optimizer).__name__
        not in ("Adam", "AdamW"),
        "l1": regularization.l1,
        "max_norm": regularization.max_norm,
        "l2 with AdamW": regularization.l2 and type(experiment.optimizer).__name__ == "AdamW",
        "clip_norm": trainer.clip_norm,
        "swa": trainer.swa,
        f"loss {loss}": loss != CrossEntropy.name,
        "mixup": any(
            isinstance(step, Mixup) for step in (experiment.augment, *getattr(experiment.augment, "steps", ()))
        ),
    }
    if missing := [name for name, present in lacks.items() if present]:
        raise RequestError(f"the PyTorch twin has no {missing[0]}; use --peers ours")
