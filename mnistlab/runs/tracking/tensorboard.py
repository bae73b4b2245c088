"""``tracking=tensorboard``: event files in the directory of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from mnistlab.runs import paths
from mnistlab.runs.tracking.base import Facts
from mnistlab.system.flatten import as_text

# Training and validation curves are side by side under one heading
TAGS = {
    "train_loss": "loss/train",
    "val_loss": "loss/validation",
    "train_accuracy": "accuracy/train",
    "val_accuracy": "accuracy/validation",
    "lr": "training/learning_rate",
    "grad_norm": "training/gradient_norm",
    "seconds": "training/seconds",
}


class Events:
    """One event file per attempt at the run. The step of a scalar is its epoch."""

    def __init__(self, facts: Facts) -> None:
        self.resumes, self.last = facts.resumes, 0
        self.writer = EventFileWriter(str(facts.directory / paths.TENSORBOARD))
        self._add(summary_v2.hparams_pb({key: _plain(value) for key, value in facts.settings.items()}, facts.name))

    def epoch(self, number: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of an epoch."""
        if self.resumes:  # discards the events of the earlier attempt, which are all logged again
            self._event(step=number, session_log=SessionLog(status=SessionLog.START))
            self.resumes = False
        self.last = number
        self._scalars(number, {TAGS[name]: value for name, value in scalars.items()})

    def finish(self, scalars: Mapping[str, float], files: Sequence[Path]) -> None:
        """Write the final metrics, and the pictures."""
        self._scalars(self.last, {f"final/{name}": value for name, value in scalars.items()})
        for path in files:
            if path.suffix == ".png":
                with Image.open(path) as image:
                    width, height = image.size
                summary = Summary.Image(
                    height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes()
                )
                self._add(Summary(value=[Summary.Value(tag=f"{paths.PLOTS}/{path.stem}", image=summary)]), self.last)

    def close(self, state: str) -> None:
        """Flush the events in memory; the status of the run is in its directory."""
        self.writer.close()

    def _scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]), step)
        self.writer.flush()  # visible while the run continues

    def _add(self, summary: Any, step: int = 0) -> None:
        self._event(step=step, summary=summary)

    def _event(self, **content: Any) -> None:
        self.writer.add_event(Event(wall_time=time.time(), **content))


def _plain(value: Any) -> bool | float | str:
    return value if isinstance(value, (bool, int, float, str)) else as_text(value)
