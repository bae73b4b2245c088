"""The config group ``tracking``: where the metrics of a run are logged in addition to its directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mnistlab.system.errors import RequestError


@dataclass
class Tracking:
    """Base of the group. ``needs`` are the required packages, ``extra`` is the extra that installs them."""

    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""


@dataclass
class NoTracking(Tracking):
    """No tracking: all results are in the run directory only."""


@dataclass
class CsvTracking(Tracking):
    """One table of all runs, with one row per run, updated after every epoch and at the end.

    ``file`` is the path of the table.
    """

    file: str = "outputs/tracking.csv"

    def __post_init__(self) -> None:
        if not str(self.file).endswith(".csv"):
            raise RequestError("must be the name of a table and end in .csv", key="file", value=self.file)


@dataclass
class TensorBoardTracking(Tracking):
    """Event files in the run directory, so that ``tensorboard --logdir outputs`` shows all runs."""

    needs: ClassVar = ("tensorboard",)
    extra: ClassVar = "tensorboard"


@dataclass
class MLflowTracking(Tracking):
    """An MLflow store.

    ``uri`` is an SQLite file, sqlite:///FILE, or the address of a server. ``experiment`` is the name of the MLflow
    experiment that groups the runs.
    Give a user name and a password in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, not in the address, since
    the configuration of a run is saved in its directory.
    """

    uri: str = "sqlite:///outputs/mlflow.db"
    experiment: str = "mnistlab"

    needs: ClassVar = ("mlflow", "sqlalchemy", "alembic")
    extra: ClassVar = "mlflow"

    def __post_init__(self) -> None:
        if not re.match(r"sqlite:///.|https?://[^/]", str(self.uri)):
            raise RequestError(
                "must be sqlite:///FILE or the address of a server, http://HOST:PORT", key="uri", value=self.uri
            )
        if self.uri.startswith("http") and urlsplit(self.uri).username is not None:
            raise RequestError(
                "the address contains a user name or a password, which would be saved in the run directory; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
                key="uri",
            )
        if not str(self.experiment).strip():
            raise RequestError("must be the name of an experiment, not empty", key="experiment")


TRACKINGS: dict[str, type[Any]] = {
    "none": NoTracking,
    "csv": CsvTracking,
    "tensorboard": TensorBoardTracking,
    "mlflow": MLflowTracking,
}
