"""``tracking=mlflow``: a run of an MLflow experiment, in a SQLite file or on a server."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

# Set before mlflow is imported: it would otherwise send telemetry, and try for minutes to reach a server
for name, value in (
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
    ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1"),
    ("MLFLOW_HTTP_REQUEST_TIMEOUT", "10"),
):
    os.environ.setdefault(name, value)

from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

from mnistlab.config.tracking import MLflowTracking  # noqa: E402
from mnistlab.runs import paths  # noqa: E402
from mnistlab.runs.tracking.base import Facts  # noqa: E402
from mnistlab.system import files as files_of  # noqa: E402
from mnistlab.system.flatten import as_text  # noqa: E402
from mnistlab.system.readers import read_json  # noqa: E402

SQLITE = "sqlite:///"
PATIENCE = 60.0  # seconds to wait for the other processes; creating a database takes about fifteen
STATES = {"completed": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "pruned": "KILLED"}
LONGEST = 6000  # maximum characters of a parameter
MOST = 100  # maximum parameters in one request

for logger in ("mlflow", "alembic"):  # they log the creation of tables
    logging.getLogger(logger).setLevel(logging.WARNING)


class Store:
    """One run of the store; a resumed run is identified by tracking.json."""

    def __init__(self, tracking: MLflowTracking, facts: Facts) -> None:
        uri, self.lock = tracking.uri, None
        artifacts = None
        if uri.startswith(SQLITE):
            path = (facts.started_in / uri.removeprefix(SQLITE)).absolute()
            path.parent.mkdir(parents=True, exist_ok=True)
            uri = f"{SQLITE}{path}"
            artifacts = (path.parent / f"{path.stem}-artifacts").as_uri()
            self.lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE)
        self.directory = facts.directory
        with self._alone():
            self.client = MlflowClient(uri)
            earlier = self._earlier(uri) if facts.resumes else None
            if earlier:
                self.run_id = earlier
                self.client.update_run(earlier, status="RUNNING")
            else:
                tags = {"directory": str(facts.directory), **({"sweep": facts.sweep} if facts.sweep else {})}
                experiment = self._experiment(tracking.experiment, artifacts)
                self.run_id = str(self.client.create_run(experiment, tags=tags, run_name=facts.name).info.run_id)
                params = [Param(key, as_text(value)[:LONGEST]) for key, value in facts.settings.items()]
                for start in range(0, len(params), MOST):
                    self.client.log_batch(self.run_id, params=params[start : start + MOST])
            history = self.client.get_metric_history(self.run_id, "train_loss")
            self.last_step = max((metric.step for metric in history), default=0)
        files_of.write_json(facts.directory / paths.TRACKING, {"uri": uri, "run_id": self.run_id})

    def epoch(self, number: int, scalars: Mapping[str, float]) -> None:
        """Log the scalars of an epoch, unless it was logged before an interruption."""
        if number > self.last_step:
            self._log(number, scalars)
            self.last_step = number

    def finish(self, scalars: Mapping[str, float], files: Sequence[Path]) -> None:
        """Log the final metrics, and store the files with their folders."""
        self._log(self.last_step, scalars)
        with self._alone():
            for path in files:
                folder = path.relative_to(self.directory).parent.as_posix()
                self.client.log_artifact(self.run_id, str(path), None if folder == "." else folder)

    def close(self, state: str) -> None:
        """End the run of the store."""
        with self._alone():
            self.client.set_terminated(self.run_id, STATES[state])

    def _log(self, step: int, scalars: Mapping[str, float]) -> None:
        now = int(1000 * time.time())
        with self._alone():
            self.client.log_batch(self.run_id, [Metric(key, value, now, step) for key, value in scalars.items()])

    def _earlier(self, uri: str) -> str | None:
        """Return the run in the store that an earlier attempt created, if it still exists."""
        try:
            saved = read_json(self.directory / paths.TRACKING)
            if saved["uri"] != uri:
                return None
            return str(self.client.get_run(saved["run_id"]).info.run_id)
        except (ValueError, KeyError, TypeError, MlflowException):
            return None

    def _experiment(self, name: str, artifacts: str | None) -> str:
        experiment = self.client.get_experiment_by_name(name)
        return str(experiment.experiment_id if experiment else self.client.create_experiment(name, artifacts))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the SQLite file against other jobs of a sweep: it allows one writer, and its tables are created once."""
        if self.lock is None:
            yield
        else:
            with self.lock:
                yield
