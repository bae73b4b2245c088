"""Calls to the tracker of a run; an error of the tracker never ends the run."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mnistlab.config.tracking import CsvTracking, MLflowTracking, TensorBoardTracking, Tracking
from mnistlab.runs.tracking.base import PARTS, Facts, Tracker
from mnistlab.system.errors import Pruned, RequestError, needs
from mnistlab.system.flatten import flat
from mnistlab.training.loop import Epoch, History

LOG = logging.getLogger("mnistlab")


class TrackingDispatcher:
    """Forwards events to a tracker. Its first error is logged as a warning, after which nothing is forwarded."""

    def __init__(self, tracker: Tracker | None, name: str) -> None:
        self.tracker, self.name, self.sent = tracker, name, 0  # epochs forwarded

    def on_epoch(self, history: History) -> None:
        """Log the new epochs, or for a resumed run all epochs, since one may be missing."""
        rows, self.sent = history.epochs[self.sent :], len(history.epochs)
        for row in rows:
            self._tell(partial(_tell_epoch, row))

    def finish(self, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Forward the content of metrics.json, and the files of the run that exist."""
        there = [path for path in files if path.is_file()]
        self._tell(lambda tracker: tracker.finish(final_scalars(metrics), there))

    def close(self, state: str) -> None:
        """Forward the final state."""
        self._tell(lambda tracker: tracker.close(state))
        self.tracker = None

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        if self.tracker is None:
            return
        try:
            call(self.tracker)
        except Exception as error:
            self.tracker = None
            message = (str(error).splitlines() or [""])[0]
            LOG.warning(
                "tracking=%s: %s: %s; the run continues without tracking", self.name, type(error).__name__, message
            )
            LOG.debug("traceback", exc_info=True)


@contextmanager
def listening(tracking: Tracking, facts: Facts) -> Iterator[TrackingDispatcher]:
    """Open the tracker of a run, and close it with the final status. A tracker that cannot be opened is an error."""
    listener = TrackingDispatcher(_open(tracking, facts), tracking.extra or "csv")
    state = "failed"
    try:
        yield listener
        state = "completed"
    except Pruned:
        state = "pruned"
        raise
    except KeyboardInterrupt:
        state = "interrupted"
        raise
    finally:
        listener.close(state)


def check(tracking: Tracking) -> None:
    """Refuse a tracker whose package is not installed."""
    for package in tracking.needs:
        if find_spec(package) is None:
            raise RequestError(f"tracking={tracking.extra}: {needs(package, tracking.extra)}")


def epoch_scalars(row: Epoch) -> dict[str, float]:
    """Return the numbers of an epoch by name, without those that were not measured."""
    values = {name: float(value) for name, value in asdict(row).items() if name not in ("epoch", "step")}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def final_scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the scalar metrics of metrics.json by name: test.accuracy, train.loss, ..., without those per class."""
    return {
        key: float(value)
        for key, value in flat(metrics)
        if key.partition(".")[0] in (*PARTS, "parameters") and ".per_class." not in key
        if isinstance(value, (int, float))
    }


def _tell_epoch(row: Epoch, tracker: Tracker) -> None:
    tracker.epoch(row.epoch, epoch_scalars(row))


def _open(tracking: Tracking, facts: Facts) -> Tracker | None:
    check(tracking)
    try:
        match tracking:
            case CsvTracking():
                from mnistlab.runs.tracking.csv import Table

                return Table(tracking, facts)
            case TensorBoardTracking():
                from mnistlab.runs.tracking.tensorboard import Events

                return Events(facts)
            case MLflowTracking():
                from mnistlab.runs.tracking.mlflow import Store

                return Store(tracking, facts)
        return None
    except RequestError:
        raise
    except Exception as error:
        message = (str(error).splitlines() or [""])[0]
        name = tracking.extra or "csv"
        raise RequestError(
            f"tracking={name}: cannot be opened ({type(error).__name__}: {message}); check its settings, "
            "or use tracking=none"
        ) from error
