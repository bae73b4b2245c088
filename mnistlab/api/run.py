"""One run, as its directory has it. Everything is read when it is asked for."""

from __future__ import annotations

import shlex
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.api.plotting import RunPlots
from mnistlab.config import safe_yaml
from mnistlab.config.labels import checked_note
from mnistlab.runs import index, labels, paths, runs_table
from mnistlab.system import files
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import UnreadableError, read_arrays, read_json, read_table

if TYPE_CHECKING:
    import pandas as pd


class Run:
    """A run directory. `mnistlab.train` and `mnistlab.load_run` return it.

    Attributes:
        directory: its path.
        state: completed, failed, interrupted, running, killed or pruned.
        metrics: the content of metrics.json: ``run.metrics["test"]["accuracy"]``.
        config: the composed configuration, as nested dicts.
        settings: the settings and metrics by their dotted keys.
        history: one row per epoch (pandas).
        predictions: the labels, predictions and probabilities of the test set (pandas).
        model: the trained model, with ``predict(images)`` and ``predict_proba(images)``.
        plot: its plots: ``run.plot.confusion_matrix()`` is a matplotlib Figure; ``dir(run.plot)`` lists them.
        tags, note: what people call it; both can be set.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    @property
    def state(self) -> str:
        """Return the state."""
        return index.read(self.directory).state

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the metrics of a completed run."""
        content = self._read(paths.METRICS, read_json)
        assert isinstance(content, dict)
        return content

    @property
    def config(self) -> dict[str, Any]:
        """Return the composed configuration."""
        return dict(safe_yaml.load_or_empty(self.directory / paths.CONFIG))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings and metrics by their dotted keys."""
        return dict(index.read(self.directory).values)

    @property
    def seed(self) -> int | None:
        """Return the seed."""
        return index.read(self.directory).seed

    @property
    def history(self) -> pd.DataFrame:
        """Return one row per epoch."""
        table: pd.DataFrame = self._read(paths.HISTORY, read_table)
        return table.set_index("epoch")

    @property
    def predictions(self) -> pd.DataFrame:
        """Return the test set's labels, predictions and probabilities, one row per image."""
        import pandas as pd

        saved = self._read(paths.PREDICTIONS, read_arrays)
        names = self.metrics["class_names"]
        table = pd.DataFrame(saved["probabilities"], columns=names)
        table.insert(0, "label", [names[i] for i in saved["labels"]])
        table.insert(1, "predicted", [names[i] for i in saved["probabilities"].argmax(axis=1)])
        return table

    @property
    def model(self) -> TrainedModel:
        """Return the trained model."""
        return TrainedModel(self.directory)

    @property
    def plot(self) -> RunPlots:
        """Return the plots."""
        return RunPlots(self.directory)

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags."""
        return labels.read(self.directory).tags

    @tags.setter
    def tags(self, tags: tuple[str, ...]) -> None:
        now = labels.read(self.directory)
        labels.write(self.directory, labels.tagged(labels.Labels(note=now.note), tags))

    @property
    def note(self) -> str:
        """Return the note."""
        return labels.read(self.directory).note

    @note.setter
    def note(self, note: str) -> None:
        labels.write(self.directory, labels.Labels(self.tags, checked_note(note)))

    def resume(self, epochs: int | None = None, quiet: bool = False) -> Run:
        """Continue the run from its checkpoint, or train it to more epochs, and return it."""
        from mnistlab.runs.resume import resume

        more = [f"trainer.epochs={epochs}"] if epochs is not None else []
        resume(self.directory.absolute(), epochs, quiet, ("mnistlab", "resume", str(self.directory), *more))
        return self

    def _read(self, name: str, reader: Any) -> Any:
        try:
            return reader(self.directory / name)
        except UnreadableError as error:
            if error.missing:
                raise RequestError(f"{self.directory}: there is no {name}; the run is {self.state}") from None
            raise RequestError(f"{error}; train the run again") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.directory.absolute() == other.directory.absolute()

    def __hash__(self) -> int:
        return hash(self.directory.absolute())

    def __repr__(self) -> str:
        row = index.read(self.directory)
        accuracy = row.values.get("test.accuracy")
        score = f", test accuracy {100 * accuracy:.2f} %" if isinstance(accuracy, float) else ""
        return f"<Run {shlex.quote(str(files.shown(self.directory)))}: {row.state}{score}>"

    def _repr_html_(self) -> str:
        lines = runs_table.about(index.read(self.directory)).splitlines()
        cells = (line.split(None, 1) for line in lines)
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in cells)
        return f"<table>{rows}</table>"


class TrainedModel:
    """The model of a run.

    Images are uint8 (n, height, width), with 0 for the background, as in the run's data.
    """

    def __init__(self, directory: Path) -> None:
        from mnistlab.runs.saved_run import open_run

        self._run = open_run(str(directory))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return self._run.class_names

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities (n, classes)."""
        images = np.asarray(images)
        height, width = self._run.network.image_shape
        if images.ndim == 2:
            images = images[None]
        if images.ndim != 3 or images.shape[1:] != (height, width) or images.dtype != np.uint8:
            raise RequestError(
                f"images {images.shape} of {images.dtype}: must be uint8 (n, {height}, {width}), as the run's own data"
            )
        with self._run.compute.limits():
            return self._run.network.predict(images)

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Return the name of the most probable class of each image."""
        return np.array(self.class_names)[self.predict_proba(images).argmax(axis=1)]

    def __repr__(self) -> str:
        return f"<TrainedModel of {files.shown(self._run.directory)}>"
