"""Schedules of the learning rate: lr of a step = lr of the optimizer x warm-up x factor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mnistlab.system.errors import Key, RequestError, fraction, not_negative, number, positive, whole


@dataclass
class Schedule:
    """The base class. With ``warmup`` > 0 the learning rate first rises linearly over this many epochs: its factor is
    (step + 1) / warm-up steps (Goyal et al. 2017), and the schedule itself starts after the warm-up."""

    by_total: ClassVar[bool] = False  # the factor depends on how long the whole training is

    warmup: float = 0.0

    def __post_init__(self) -> None:
        not_negative("warmup", self.warmup, "the warm-up (epochs)")

    def start(self, epochs: int, steps_per_epoch: int) -> None:
        """Fix the length of the training."""
        if self.warmup and self.warmup >= epochs:
            raise RequestError(
                "the warm-up must be shorter than ", Key("epochs"), f"={epochs}", key="warmup", value=self.warmup
            )
        self.steps_per_epoch = steps_per_epoch
        self.warmup_steps = round(self.warmup * steps_per_epoch)
        self.total_steps = epochs * steps_per_epoch - self.warmup_steps

    def factor(self, step: int) -> float:
        """Return what the optimizer's learning rate is multiplied by in ``step`` = 0, 1, ..."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        return self.shape(step - self.warmup_steps)

    def shape(self, step: int) -> float:
        """Return the factor ``step`` steps after the warm-up."""
        raise NotImplementedError

    def end_epoch(self, loss: float) -> None:
        """Hear the validation loss of the epoch (the training loss where there is no validation set)."""

    def state(self) -> dict[str, float | None]:
        """Return what the past epochs have left behind: nothing, where the factor depends on the step alone."""
        return {}

    def restore(self, state: Mapping[str, float | None]) -> None:
        """Go back to what `state` returned; raises `RequestError` where that cannot be."""
        if state:
            raise RequestError("this schedule has no state")


@dataclass
class Constant(Schedule):
    """factor = 1."""

    def shape(self, step: int) -> float:
        return 1.0


@dataclass
class Step(Schedule):
    """factor = gamma^floor(epoch / every)."""

    every: int = 10
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("every", self.every, 1, "the epochs between two steps")
        _gamma(self.gamma)

    def shape(self, step: int) -> float:
        return self.gamma ** (step // (self.every * self.steps_per_epoch))


@dataclass
class Exponential(Schedule):
    """factor = gamma^(step / steps per epoch): by gamma per epoch, a little in every step."""

    gamma: float = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        _gamma(self.gamma)

    def shape(self, step: int) -> float:
        return self.gamma ** (step / self.steps_per_epoch)


@dataclass
class Cosine(Schedule):
    """factor = floor + (1 - floor) (1 + cos(pi step / total)) / 2. Loshchilov & Hutter 2017, without restarts."""

    by_total = True

    floor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("floor", self.floor, "the final factor")

    def shape(self, step: int) -> float:
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * step / self.total_steps)) / 2


@dataclass
class OneCycle(Schedule):
    """The factor rises from 1/start to 1 over the share ``rise`` of the steps, then falls to 1/end (half cosines).

    Smith & Topin 2018 in the form of fastai: the optimizer's lr is the peak. The momentum is not changed. PyTorch's
    OneCycleLR differs in two ways: its last factor is 1 / (start * end), since it divides the initial rate and not the
    peak; and its peak is at step rise * total - 1, ours at rise * total.
    """

    by_total = True

    rise: float = 0.3
    start_divisor: float = 25.0
    end_divisor: float = 10_000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("rise", self.rise, "the share of rising steps")
        for name, divisor in (("start_divisor", self.start_divisor), ("end_divisor", self.end_divisor)):
            if number(name, divisor) < 1:
                raise RequestError(
                    "the divisor must be 1 or more; ", Key("lr"), " is the peak", key=name, value=divisor
                )

    def shape(self, step: int) -> float:
        rising = self.rise * self.total_steps
        if step < rising:
            return _half_cosine(1 / self.start_divisor, 1.0, step / rising)
        return _half_cosine(1.0, 1 / self.end_divisor, (step - rising) / max(1.0, self.total_steps - 1 - rising))


@dataclass
class Plateau(Schedule):
    """factor *= ``gamma`` after ``patience`` epochs in a row whose loss is not lower than the best by a relative
    ``threshold``. Epochs are counted as in Keras (PyTorch's ReduceLROnPlateau waits for one more epoch). The loss is
    the validation loss (without a validation set, the training loss)."""

    gamma: float = 0.1
    patience: int = 5
    threshold: float = 1e-4
    floor: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        fraction("gamma", self.gamma, "the factor")
        positive("gamma", self.gamma, "the factor")
        whole("patience", self.patience, 1, "the patience (epochs)")
        not_negative("threshold", self.threshold, "the threshold")
        fraction("floor", self.floor, "the least factor")

    def start(self, epochs: int, steps_per_epoch: int) -> None:
        super().start(epochs, steps_per_epoch)
        self.current, self.best, self.waited = 1.0, math.inf, 0

    def shape(self, step: int) -> float:
        return self.current

    def end_epoch(self, loss: float) -> None:
        if loss < self.best * (1 - self.threshold):
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.current, self.waited = max(self.floor, self.current * self.gamma), 0

    def state(self) -> dict[str, float | None]:
        best = self.best if math.isfinite(self.best) else None  # JSON has no infinity
        return {"current": self.current, "best": best, "waited": self.waited}

    def restore(self, state: Mapping[str, float | None]) -> None:
        if set(state) != {"current", "best", "waited"}:
            raise RequestError("must hold current, best and waited")
        current, waited = number("current", state["current"]), whole("waited", state["waited"], 0)
        if not 0 < current <= 1 or waited >= self.patience:
            raise RequestError(f"current={current} or waited={waited} is out of range")
        best = math.inf if state["best"] is None else number("best", state["best"])
        self.current, self.best, self.waited = current, best, waited


def _gamma(gamma: float) -> None:
    if not 0 < number("gamma", gamma) <= 1:
        raise RequestError("the factor must be above 0 and at most 1", key="gamma", value=gamma)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2


SCHEDULES: dict[str, type[Any]] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}
