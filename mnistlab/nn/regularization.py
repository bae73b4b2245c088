"""Regularisation: one group of options, freely combined. Weights are regularised, biases never."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnistlab.system.errors import RequestError, fraction, not_negative, positive


@dataclass
class Regularization:
    """loss + l1 sum |w| + l2/2 sum w^2, dropout, max-norm and label smoothing; all off by default.

    l2 is the lambda of lambda/2 sum w^2, added to the *mean* loss of a batch: PyTorch's ``weight_decay`` on weights,
    scikit-learn's ``alpha / n`` with n the size of the batch. ``dropout`` is one rate for all hidden layers, a list
    with one rate per hidden layer, or a list with one more rate at the start, for the input. ``max_norm`` limits the
    Euclidean norm of the incoming weights of each unit after every step (Srivastava et al. 2014, section 5.1).
    """

    l1: float = 0.0
    l2: float = 0.0
    dropout: Any = 0.0
    max_norm: float | None = None
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        not_negative("l1", self.l1, "the factor of the L1 penalty")
        not_negative("l2", self.l2, "the factor of the L2 penalty")
        fraction("label_smoothing", self.label_smoothing, "label smoothing")
        if self.max_norm is not None:
            positive("max_norm", self.max_norm, "the largest norm")
        rates = (
            self.dropout if isinstance(self.dropout, Sequence) and not isinstance(self.dropout, str) else [self.dropout]
        )
        for rate in rates:
            fraction("dropout", rate, "a dropout rate")

    def dropout_rates(self, hidden: int) -> tuple[float, ...]:
        """Return hidden + 1 rates: that of the input, then one after each hidden layer."""
        if not isinstance(self.dropout, Sequence):
            if self.dropout and not hidden:
                raise RequestError(
                    f"this model has no hidden layer; give [{self.dropout}] to drop inputs",
                    key="dropout",
                    value=self.dropout,
                )
            return (0.0, *[float(self.dropout)] * hidden)
        rates = tuple(float(rate) for rate in self.dropout)
        if len(rates) == hidden:
            return (0.0, *rates)
        if len(rates) == hidden + 1:
            return rates
        raise RequestError(
            f"{len(rates)} rates for {hidden} hidden layer(s); "
            f"give one number, {hidden} rates, or {hidden + 1} with the input's first",
            key="dropout",
            value=list(rates),
        )

    def start_step(self, batch_weight: float) -> None:
        """Prepare the penalty of a step whose batch has this total weight: without sample weights, its size."""

    @property
    def has_penalty(self) -> bool:
        """Whether the gradient has a term from the weights."""
        return self.l1 > 0 or self.l2 > 0

    def add_gradient(self, w: np.ndarray, g: np.ndarray, t: np.ndarray) -> None:
        """Add l1 sign(w) + l2 w to g, with t as scratch."""
        if self.l2:
            np.multiply(w, self.l2, out=t)
            np.add(g, t, out=g)
        if self.l1:
            np.sign(w, out=t)
            np.multiply(t, self.l1, out=t)
            np.add(g, t, out=g)

    def penalty(self, w: np.ndarray) -> float:
        """Return l1 sum |w| + l2/2 sum w^2."""
        w = w.astype(np.float64)
        return self.l1 * float(np.abs(w).sum()) + 0.5 * self.l2 * float(np.vdot(w, w))

    def project(self, weights: Sequence[np.ndarray], scratch: Sequence[np.ndarray]) -> None:
        """Scale each row of each (units, ...) weight array back to ``max_norm`` if it is longer."""
        if self.max_norm is None:
            return
        for w, t in zip(weights, scratch, strict=True):
            rows, squares = w.reshape(len(w), -1), t.reshape(len(t), -1)
            np.multiply(rows, rows, out=squares)
            norms = np.sqrt(squares.sum(axis=1))
            factors = np.minimum(1, self.max_norm / np.maximum(norms, self.max_norm))
            np.multiply(rows, factors[:, None].astype(w.dtype), out=rows)


@dataclass
class SummedLossPenalty(Regularization):
    """`Regularization`, and alpha/2 sum w^2 added to the *summed* loss of a batch, as scikit-learn has it.

    Beside the mean loss it is alpha / n in l2, with n the total weight of the batch, so it weighs less in a larger one.
    """

    alpha: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        not_negative("alpha", self.alpha, "the factor of the L2 penalty")
        self.mean_loss_l2 = self.l2

    def start_step(self, batch_weight: float) -> None:
        self.l2 = self.mean_loss_l2 + self.alpha / batch_weight

    @property
    def has_penalty(self) -> bool:
        return super().has_penalty or self.alpha > 0
