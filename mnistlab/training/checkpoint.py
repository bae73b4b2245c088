"""Checkpoints: the state of a training in one file, written between two steps and checked when it is read.

One file contains both the latest state and the best weights, so that they always match. The header has the
architecture, the configuration, and plain values; the arrays are

    theta, buffers            parameters and statistics of layers
    optimizer.0, ...          the optimizer's vectors
    average.theta, .buffers   the average of the weights, if the settings ask for one
    best.theta, best.buffers  those of the best epoch, if there is a validation set
    history, norms            the rows of history.csv and norms.csv, as float64
    norm_samples, norm_totals gradient norms of the current epoch
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.system import files, tensors
from mnistlab.system.errors import RequestError, number, whole
from mnistlab.system.flatten import as_text, flat
from mnistlab.system.wording import short_digest
from mnistlab.training.config import MOST_THREADS
from mnistlab.training.loop import Epoch, TrainingLoop

FORMAT = "mnistlab-checkpoint-2"
CURE = "remove it; `mnistlab resume` then trains from the start"


@dataclass(frozen=True)
class Origin:
    """The origin of a checkpoint: the configuration, the hash of the data, and the number of BLAS threads."""

    config: Mapping[str, Any]
    data_sha256: str | None
    threads: int
    kernels: str = "numpy"


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file, with its format and origin checked, but not yet its state."""

    path: Path
    origin: Origin
    architecture: Any
    values: Any
    arrays: dict[str, np.ndarray]


def save(path: Path, training: TrainingLoop, origin: Origin) -> None:
    """Write the state of a training atomically."""
    values, arrays = training.state()
    about = {
        "format": FORMAT,
        "architecture": training.network.spec(),
        "config": origin.config,
        "data_sha256": origin.data_sha256,
        "threads": origin.threads,
        "kernels": origin.kernels,
        "state": values,
    }
    tensors.write(path, arrays, about)


def load(path: Path) -> Checkpoint:
    """Return the content of a checkpoint; raise `RequestError` if the file is invalid."""
    shown = files.shown(path)
    about, arrays = tensors.read(path)
    if about.get("format") != FORMAT:
        raise RequestError(f"{shown}: its format is {about.get('format')}, must be {FORMAT}; {CURE}")
    config, sha256, threads = about.get("config"), about.get("data_sha256"), about.get("threads")
    if not isinstance(config, dict) or not isinstance(sha256, (str, type(None))):
        raise RequestError(f"{shown}: its header has no configuration or data hash; {CURE}")
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise RequestError(f"{shown}: threads={threads} is not a number of threads; {CURE}")
    kernels = about.get("kernels", "numpy")  # checkpoints of version 0.1 do not say it
    if kernels not in ("numpy", "numba"):
        raise RequestError(f"{shown}: kernels={kernels} must be numpy or numba; {CURE}")
    origin = Origin(config, sha256, threads, kernels)
    return Checkpoint(path, origin, about.get("architecture"), about.get("state"), arrays)


def restore(saved: Checkpoint, training: TrainingLoop, origin: Origin, epochs: str = "epochs") -> None:
    """Put a training into the state of a checkpoint. Everything is checked before anything is changed.

    ``epochs`` is the key of the number of epochs in the configuration, the only one that may differ, since a training
    may be continued for longer.
    """
    shown = files.shown(saved.path)
    _refuse_another_run(shown, saved, training, origin, epochs)
    try:
        _check(saved.values, saved.arrays, training, epochs)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        problem = (
            error if isinstance(error, ValueError) else f"its state is malformed ({type(error).__name__}: {error})"
        )
        raise RequestError(f"{shown}: {problem}; {CURE}") from None
    training.restore(saved.values, saved.arrays)


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the keys in which two configurations differ, each with its two values."""
    before, after = (dict(flat(json.loads(json.dumps(config)))) for config in (was, now))
    keys = [key for key in {**before, **after} if key not in before or key not in after or before[key] != after[key]]
    return [(key, before.get(key), after.get(key)) for key in keys]


def _refuse_another_run(shown: Path, saved: Checkpoint, training: TrainingLoop, origin: Origin, epochs: str) -> None:
    for key, was, now in differences(saved.origin.config, origin.config):
        if key != epochs or training.schedule.by_total:
            raise RequestError(
                f"{shown}: it was written with {key}={as_text(was)}, but the run now has {key}={as_text(now)}; "
                "restore the old value, or start a new run"
            )
    if saved.origin.data_sha256 != origin.data_sha256:
        raise RequestError(
            f"{shown}: it was trained on other images (sha256 {short_digest(saved.origin.data_sha256)}) than the "
            f"current ones ({short_digest(origin.data_sha256)}); restore the data, or start a new run"
        )
    if saved.architecture != json.loads(json.dumps(training.network.spec())):
        raise RequestError(f"{shown}: its network differs from that of the configuration; {CURE}")


def _check(values: Any, arrays: Mapping[str, np.ndarray], training: TrainingLoop, epochs: str) -> None:
    """Raise an error unless these values and arrays are a possible state of this training."""
    if not isinstance(values, dict) or set(values) != set(training.state()[0]):
        raise ValueError("state: has missing or unknown entries")
    epoch, step = whole("epoch", values["epoch"], 1), whole("step", values["step"], 0)
    done = epoch - 1
    if done > training.trainer.epochs:
        raise ValueError(f"epoch={epoch}: {epochs}={training.trainer.epochs} is fewer than were trained")
    if step > training.steps or (step and done == training.trainer.epochs):
        raise ValueError(f"step={step}: an epoch has {training.steps} steps")
    if values["optimizer_steps"] != done * training.steps + step:
        raise ValueError(f"optimizer_steps={values['optimizer_steps']}: must agree with epoch {epoch}, step {step}")
    if whole("hits", values["hits"], 0) > training.n or number("seconds", values["seconds"]) < 0:
        raise ValueError("hits or seconds: out of range")
    number("loss_sum", values["loss_sum"])
    if not isinstance(values["schedule"], dict):
        raise ValueError("schedule: must be a mapping")
    try:
        copy(training.schedule).restore(values["schedule"])
    except RequestError as error:
        raise error.under("schedule") from None
    watched = training.validation is not None
    _check_best(values["best"], done, watched)
    _check_streams(values["streams"], training.stream_states)
    _check_arrays(arrays, training, done, step)
    _check_history(arrays["history"], training.steps, watched)


def _check_best(best: Any, done: int, watched: bool) -> None:
    if not done or not watched:
        if best != {"epoch": None, "waiting_since": 0}:
            raise ValueError("best: no epoch has been trained yet")
        return
    if set(best) != {"epoch", "waiting_since", "value", "reference"}:
        raise ValueError("best: has missing or unknown entries")
    epoch, since = whole("best.epoch", best["epoch"], 1), whole("best.waiting_since", best["waiting_since"], 1)
    if max(epoch, since) > done:
        raise ValueError(f"best: epoch {max(epoch, since)} has not been trained")
    for name in ("value", "reference"):
        if best[name] is not None:
            number(f"best.{name}", best[name])


def _check_streams(states: Any, own: Mapping[str, Any]) -> None:
    """Check that every state is one of SFC64, the generator of all streams: four words, and half of one."""
    if not isinstance(states, dict) or set(states) != set(own):
        raise ValueError(f"streams: must hold {', '.join(own)}")
    for name, state in states.items():
        words = state["state"]["state"]
        half = [state["has_uint32"], state["uinteger"]]
        kinds = state["bit_generator"] == own[name]["bit_generator"] == "SFC64"
        if not kinds or set(state) != set(own[name]) or set(state["state"]) != {"state"} or len(words) != 4:
            raise ValueError(f"streams.{name}: must be the state of an SFC64 generator")
        for word, bits in ((half[0], 1), (half[1], 32), *((word, 64) for word in words)):
            if isinstance(word, bool) or not isinstance(word, int) or not 0 <= word < 2**bits:
                raise ValueError(f"streams.{name}: {word} is not a number of {bits} bits")


def _check_arrays(arrays: Mapping[str, np.ndarray], training: TrainingLoop, done: int, step: int) -> None:
    network, layers = training.network, training.norms.layers
    looked, columns = len(range(0, step, training.norms.every)), len(Epoch.__dataclass_fields__)
    like = {"theta": network.theta, "buffers": network.buffers}
    like |= {f"optimizer.{i}": slot for i, slot in enumerate(training.optimizer.state)}
    if training.average:
        like |= {"average.theta": network.theta, "average.buffers": network.buffers}
    if done and training.validation is not None:
        like |= {"best.theta": network.theta, "best.buffers": network.buffers}
    expected = {name: (array.shape, array.dtype) for name, array in like.items()}
    sizes = {"history": (done, columns), "norms": (done * layers, 2)}
    sizes |= {"norm_samples": (looked, layers), "norm_totals": (looked,)}  # type: ignore[dict-item]
    expected |= {name: (shape, np.dtype(np.float64)) for name, shape in sizes.items()}
    if odd := sorted(set(expected) ^ set(arrays)):
        raise ValueError(f"the array {odd[0]} is {'missing' if odd[0] in expected else 'not part of a checkpoint'}")
    for name, (shape, dtype) in expected.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"the array {name} is {array.dtype} {array.shape}, must be {dtype} {shape}")
        if name.startswith("optimizer.") and np.isnan(array).any():  # an overflow in a second moment is harmless
            raise ValueError(f"the array {name} contains values that are not numbers")
        if not name.startswith("optimizer.") and name != "history" and not np.isfinite(array).all():
            raise ValueError(f"the array {name} contains values that are not finite")
    for name in ("buffers", "average.buffers", "best.buffers"):
        if name in arrays and _has_negative_variance(training, arrays[name]):
            raise ValueError(f"the array {name} contains a negative variance")


def _has_negative_variance(training: TrainingLoop, buffers: np.ndarray) -> bool:
    start = 0
    for layer in training.network.layers:
        for name, shape in layer.statistics().items():
            size = int(np.prod(shape))
            if name == "variance" and (buffers[start : start + size] < 0).any():
                return True
            start += size
    return False


def _check_history(history: np.ndarray, steps: int, watched: bool) -> None:
    row = {name: history[:, i] for i, name in enumerate(Epoch.__dataclass_fields__)}
    epochs = np.arange(1, len(history) + 1)
    unwatched = [row.pop(name) for name in ("val_loss", "val_accuracy")] if not watched else []
    if not (np.array_equal(row["epoch"], epochs) and np.array_equal(row["step"], epochs * steps)):
        raise ValueError("history: its rows are not consecutive epochs")
    if not all(np.isfinite(column).all() for column in row.values()) or not np.isnan(unwatched).all():
        raise ValueError("history: contains impossible values")
