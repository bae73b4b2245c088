"""Checks of a run: each problem with its measurement, the likely reason, and the overrides to try.

Thresholds with a source are marked; the others were set so that broken runs are detected, but not the default runs of
any network in conf/model (tests/analysis/test_doctor.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mnistlab.analysis.doctor.snapshot import RunSnapshot
from mnistlab.nn.activations import HardSigmoid, ReLU, Sigmoid, Tanh

DEAD = (
    0.40  # fraction of a layer's ReLU units; cs231n's notes warn of 40 %; after convolutions 20 % is usual and harmless
)
DEAD_SERIOUS = 0.80
FLAT = 0.05  # of the steepest slope of the function; below, hardly any gradient passes (Glorot, Bengio 2010)
SATURATED = 0.50  # fraction of a layer's outputs
UPDATE_LOW, UPDATE_HIGH = 1e-5, 3e-2  # relative change of the weights in one step; cs231n: about 1e-3 is healthy
VANISHING = 1e-3  # ratio of the first layer's gradient, relative to its weights, to the last layer's
AT_CHANCE = 0.97  # of log(classes), the loss of guessing
FAR_ABOVE = 3.0  # times log(classes): only a network that is confident and wrong has such a loss, not one that guesses
RISE = 1.5  # ratio of the last training loss to the smallest
OVERFIT_LOSS = 1.5  # ratio of the last validation loss to the smallest
OVERFIT_GAP = 0.10  # training minus validation accuracy
STILL_FALLING = 0.05  # relative decrease of the training loss in the last epoch
UNDERFIT = 0.5  # of log(classes)
IMBALANCE = 3.0  # ratio of the largest class to the smallest; from here on, plain accuracy misleads

ORDER = ("serious", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """``what`` is the problem with its measurement, ``why`` its cause; ``try_`` are overrides of `mnistlab train`."""

    severity: str
    sign: str
    what: str
    value: float
    why: str
    try_: tuple[str, ...]


def examine(chart: RunSnapshot) -> list[Finding]:
    """Return the problems that were detected, the serious ones first."""
    findings: list[Finding] = []
    for look in (_diverged, _rate, _fit, _gradients, _classes):
        findings += look(chart)
    findings += _units(chart)
    if any(finding.sign.startswith(("lr", "nothing")) for finding in findings):  # underfitting is then only the effect
        findings = [finding for finding in findings if finding.sign != "underfitting"]
    return sorted(findings, key=lambda finding: ORDER.index(finding.severity))


def _lr(chart: RunSnapshot, factor: float) -> str:
    lr = chart.setting("optimizer.lr")
    lr = float(lr) if isinstance(lr, (int, float)) else chart.last("lr")
    return f"optimizer.lr={lr * factor:.2g}" if math.isfinite(lr) else "optimizer.lr=0.001"


def _diverged(chart: RunSnapshot) -> list[Finding]:
    if chart.state != "failed" or "no longer finite" not in chart.error:
        return []
    return [
        Finding(
            "serious",
            "diverged",
            f"training diverged after {len(chart.history)} complete epochs: {chart.error.split(';')[0]}",
            float(len(chart.history)),
            "each step overshot by more than the one before until the numbers overflowed",
            (_lr(chart, 0.1), "trainer.clip_norm=1", "init=kaiming"),
        )
    ]


def _rate(chart: RunSnapshot) -> list[Finding]:
    loss, chance = chart.column("train_loss"), math.log(chart.classes)
    if not len(loss) or not np.isfinite(loss).all():
        return []
    low, high = _update_sizes(chart)
    worst = float(loss.max())
    if high > UPDATE_HIGH or worst > FAR_ABOVE * chance:
        far = worst > FAR_ABOVE * chance
        problem = f"the training loss was {worst:.3g} in epoch {loss.argmax() + 1} (chance: {chance:.3g})"
        problem = problem if far else f"one step changes the weights by {high:.1%}; about 0.1 % is healthy"
        why = "the learning rate is too high, or the initial weights are far too large"
        tries = (_lr(chart, 0.1), LR_FIND, "init=kaiming")
        return [Finding("serious", "lr too high", problem, worst if far else high, why, tries)]
    if len(loss) > 1 and loss[-1] > RISE * loss.min() and loss[-1] > 0.05:
        problem = f"the training loss rose again, from {loss.min():.3g} in epoch {loss.argmin() + 1} to {loss[-1]:.3g}"
        why = "the learning rate is too high: steps overshoot the minimum"
        return [
            Finding("serious", "lr too high", problem, float(loss[-1] / loss.min()), why, (_lr(chart, 0.1), LR_FIND))
        ]
    falling = len(loss) > 1 and bool((np.diff(loss) < 0).all())
    if 0 < low < UPDATE_LOW or (falling and len(loss) >= 3 and loss[-1] > UNDERFIT * chance):
        by = f"; one step changes the weights by {low:.1e} of their norm" if low else ""
        problem = f"after {len(loss)} epochs the training loss is {loss[-1]:.3g} (chance: {chance:.3g}){by}"
        why = "the loss falls slowly: the learning rate is too low for this number of epochs"
        return [Finding("warning", "lr too low", problem, float(loss[-1]), why, (_lr(chart, 10), LR_FIND))]
    if loss[-1] > AT_CHANCE * chance:
        problem = f"the training loss stays at {loss[-1]:.3g} (chance: {chance:.3g})"
        why = "the network did not learn: the gradient does not reach the weights, or each step undoes the last"
        return [Finding("serious", "nothing learnt", problem, float(loss[-1]), why, ("init=kaiming", LR_FIND))]
    return []


LR_FIND = "`mnistlab lr-find` with the same overrides"


def _update_sizes(chart: RunSnapshot) -> tuple[float, float]:
    """Return the smallest and largest step of all layers relative to their weights, 0 for adaptive optimizers.

    Only in gradient descent, with or without momentum, a step is lr / (1 - momentum) times the gradient.
    """
    settings = chart.setting("optimizer")
    if not isinstance(settings, dict) or not set(settings) <= {"lr", "momentum", "dampening"}:
        return 0.0, 0.0
    lr, momentum = chart.last("lr"), float(settings.get("momentum", 0.0))
    sizes = [
        lr / (1 - momentum) * row["grad_norm"] / row["weight_norm"]
        for row in chart.norms.values()
        if row.get("weight_norm", 0) > 0 and math.isfinite(row.get("grad_norm", math.nan))
    ]
    return (min(sizes), max(sizes)) if sizes and math.isfinite(lr) else (0.0, 0.0)


def _fit(chart: RunSnapshot) -> list[Finding]:
    val, train = chart.column("val_loss"), chart.column("train_loss")
    if not len(val) or not np.isfinite(val).all() or not np.isfinite(train).all():
        return []
    gap = _gap(chart)
    kept = chart.metrics.get("kept_epoch")
    stopped = isinstance(kept, int) and 0 < kept < len(val)  # the best epoch's weights were kept, so there is no harm
    rose = float(val[-1] / val.min()) if val.min() > 0 else 1.0
    falls = len(train) > 1 and train[-1] < train[int(val.argmin())]
    if gap > OVERFIT_GAP or (gap > 0.02 and rose > OVERFIT_LOSS and falls and not stopped):
        problem = f"training accuracy is {100 * gap:.1f} points above validation accuracy"
        if rose > OVERFIT_LOSS and falls:
            problem += f"; the validation loss rose from {val.min():.3g} in epoch {val.argmin() + 1} to {val[-1]:.3g}"
        why = "the network memorises the training images (overfitting); it needs more images or more regularisation"
        tries = ["trainer=early_stopping", "augment=affine", "regularization=dropout"]
        if chart.setting("data.limit"):
            tries.insert(0, "data.limit=null")
        return [Finding("warning", "overfitting", problem, gap if gap > OVERFIT_GAP else rose, why, tuple(tries))]
    chance = math.log(chart.classes)
    if len(train) > 1 and train[-1] > 0.1 * chance and gap < 0.02:
        drop = float(1 - train[-1] / train[-2])
        if drop > STILL_FALLING and int(val.argmin()) == len(val) - 1:
            problem = f"the training loss fell by {100 * drop:.0f} % in the last epoch, and so did the validation loss"
            why = "training ended before the network had converged (underfitting)"
            return [Finding("note", "underfitting", problem, drop, why, (f"trainer.epochs={3 * len(train)}",))]
    return []


def _gap(chart: RunSnapshot) -> float:
    scores = [chart.metrics.get(part, {}).get("accuracy") for part in ("train", "validation")]
    if all(isinstance(score, float) for score in scores):
        return float(scores[0] - scores[1])
    gap = chart.last("train_accuracy") - chart.last("val_accuracy")
    return gap if math.isfinite(gap) else 0.0


def _gradients(chart: RunSnapshot) -> list[Finding]:
    rows = list(chart.norms.items())
    none = [name for name, row in rows if row.get("grad_norm") == 0]
    if none:
        problem = f"the gradient of {', '.join(none)} is exactly zero"
        why = "these weights never change: all start with the same value (zeros), or all units after them are dead"
        return [Finding("serious", "no gradient", problem, 0.0, why, ("init=kaiming", _lr(chart, 0.1)))]
    if len(rows) < 2:
        return []
    relative = [row["grad_norm"] / row["weight_norm"] for _, row in rows if row.get("weight_norm", 0) > 0]
    if len(relative) < 2 or not relative[-1] > 0 or relative[0] / relative[-1] > VANISHING:
        return []
    ratio = relative[0] / relative[-1]
    problem = f"relative to its weights, the gradient of {rows[0][0]} is {ratio:.1e} times that of {rows[-1][0]}"
    why = "the gradient vanishes during backpropagation, and the first layers hardly learn"
    return [
        Finding("warning", "vanishing gradient", problem, ratio, why, (*_activation(chart, "relu"), "init=kaiming"))
    ]


def _classes(chart: RunSnapshot) -> list[Finding]:
    findings: list[Finding] = []
    counts = {name: count for name, count in chart.counts.items() if count}
    if len(counts) > 1 and max(counts.values()) >= IMBALANCE * min(counts.values()):
        most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
        ratio = counts[most] / counts[least]
        problem = (
            f"class {most} has {counts[most]:,} training images and class {least} {counts[least]:,}, {ratio:.1f} to 1"
        )
        why = "accuracy hides errors on rare classes; check their recall, and select epochs by macro F1"
        tries = ("trainer.monitor=f1_macro trainer.select=best",)
        findings.append(Finding("warning", "imbalance", problem, ratio, why, tries))
    for part in ("validation", "test"):
        per_class = chart.metrics.get(part, {}).get("per_class") or []
        missed = [str(row["class"]) for row in per_class if row.get("recall") == 0 and row.get("support", 0) >= 5]
        if missed:
            problem = f"no image of class {', '.join(missed)} in the {part} set is classified correctly"
            why = "the network never predicts that class; it is rare in training, or training went wrong"
            cures = (_lr(chart, 0.1), "trainer.monitor=f1_macro trainer.select=best")
            findings.append(Finding("serious", "class missed", problem, float(len(missed)), why, cures))
            break
    return findings


def _units(chart: RunSnapshot) -> list[Finding]:
    if chart.network is None or chart.images is None:
        return []
    findings: list[Finding] = []
    outputs = chart.network.activations(chart.images)
    for i, (layer, y) in enumerate(zip(chart.network.layers, outputs, strict=True)):
        title = chart.network.title(i)
        units = y.reshape(y.shape[0], -1)
        if isinstance(layer, ReLU):
            dead = float((units.max(axis=1) <= 0).mean())
            if dead >= DEAD:
                severity = "serious" if dead >= DEAD_SERIOUS else "warning"
                problem = (
                    f"{title}: {100 * dead:.0f} % of its {len(units)} units are 0 for all {len(chart.images)} images"
                )
                why = "a dead ReLU passes no gradient and stays dead; the cause is a large step or a large bias"
                tries = (_lr(chart, 0.1), "init=kaiming", *_activation(chart, "leaky_relu"))
                findings.append(Finding(severity, "dead units", problem, dead, why, tries))
        elif isinstance(layer, (Sigmoid, Tanh, HardSigmoid)):
            flat = _flat(layer, units)
            if flat >= SATURATED:
                problem = f"{title}: {100 * flat:.0f} % of its outputs are in the saturated range of the function"
                why = (
                    "there the slope is below a twentieth of the steepest, and hardly any gradient passes (saturation)"
                )
                tries = ("init=xavier", "data.scaling=unit", *_activation(chart, "relu"))
                findings.append(Finding("warning", "saturation", problem, flat, why, tries))
    return findings


def _flat(layer: Sigmoid | Tanh | HardSigmoid, y: np.ndarray) -> float:
    if isinstance(layer, Tanh):
        slope = 1 - y * y
    elif isinstance(layer, Sigmoid):
        slope = 4 * y * (1 - y)
    else:
        slope = ((y > 0) & (y < 1)).astype(float)
    return float((slope < FLAT).mean())


def _activation(chart: RunSnapshot, name: str) -> tuple[str, ...]:
    """Return the override of the activation, if the model has one key for all layers."""
    return (f"model.activation={name}",) if isinstance(chart.setting("model.activation"), str) else ()
