"""What the board knows of a folder of runs: the table, the curves, the verdicts, and the images behind the numbers."""

from __future__ import annotations

import os
import re
import secrets
import threading
from pathlib import Path

from mnistlab.board.curves import Curves
from mnistlab.board.images import Datasets
from mnistlab.board.models import Models
from mnistlab.board.table import Entry, Table
from mnistlab.board.verdicts import Verdicts
from mnistlab.runs import paths
from mnistlab.system.errors import RequestError
from mnistlab.system.readers import read_bytes

PICTURE = re.compile(rf"{paths.PLOTS}/[\w.-]+\.png")


class Board:
    """Everything that a page can ask for. The work on many runs, or on a network, is done for one request at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.session = secrets.token_hex(8)
        self.table = Table(root)
        self.curves, self.verdicts = Curves(), Verdicts()
        self.datasets, self.models = Datasets(), Models()
        self.lock = threading.Lock()

    def entry(self, number: int) -> Entry:
        """Return a run whose directory is inside the folder, also where links lead."""
        entry = self.table.entry(number)
        inside(self.root, entry.row.directory)
        return entry

    def file(self, number: int, name: str) -> tuple[bytes, str]:
        """Return the report of a run, or one of its pictures, and the type of the content."""
        run = self.entry(number).row.directory
        if name == paths.REPORT:
            return read_bytes(inside(self.root, run / name)), "text/html; charset=utf-8"
        if PICTURE.fullmatch(name):
            return read_bytes(inside(self.root, run / name)), "image/png"
        raise RequestError(f"{name}: only {paths.REPORT} and the pictures of a run can be opened here")

    def close(self) -> None:
        """Close the index."""
        self.table.close()


def inside(root: Path, path: Path) -> Path:
    """Return a path; raises `RequestError` if it leads out of the folder, for example through a link."""
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise RequestError(f"{path.name}: leads out of the folder of the runs, and is not opened")
    return path


def check_files(root: Path, run: Path) -> None:
    """Refuse a run whose files are links that lead out of the folder."""
    for name in (
        paths.METRICS,
        paths.PREDICTIONS,
        paths.MODEL,
        paths.CONFIG,
        paths.ENVIRONMENT,
        paths.ROC,
        paths.HISTORY,
    ):
        inside(root, run / name)
