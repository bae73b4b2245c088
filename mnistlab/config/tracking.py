"""The config group ``tracking``: where the metrics of a run are logged besides its directory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mnistlab.system.errors import RequestError


@dataclass
class Tracking:
    """Base of the group. ``needs`` are packages that must be there, ``extra`` what installs them."""

    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = ""


@dataclass
class NoTracking(Tracking):
    """No tracking; the run directory has everything."""


@dataclass
class CsvTracking(Tracking):
    """One table of all runs: a row a run, brought up to date after every epoch and at the end.

    ``file`` is the table's path.
    """

    file: str = "outputs/tracking.csv"

    def __post_init__(self) -> None:
        if not str(self.file).endswith(".csv"):
            raise RequestError("must be the name of a table that ends in .csv", key="file", value=self.file)


@dataclass
class TensorBoardTracking(Tracking):
    """Event files in the directory of the run itself, so that ``tensorboard --logdir outputs`` shows them all."""

    needs: ClassVar = ("tensorboard",)
    extra: ClassVar = "tensorboard"


@dataclass
class MLflowTracking(Tracking):
    """An MLflow store.

    ``uri`` is a SQLite file, sqlite:///FILE, or the address of a server. ``experiment`` is the name in the store that
    groups the runs.
    A name and a password belong into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, since the configuration of
    a run is written into its directory.
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
                "the address holds a name or a password, which would be written into the directory of the run; "
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
