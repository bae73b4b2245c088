"""A list of runs, and its table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, overload

from mnistlab.api.run import Run
from mnistlab.runs import index

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20  # rows in a notebook


class RunList(Sequence[Run]):
    """Runs in an order. `mnistlab.runs` and `Sweep.runs` return it."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, i: int) -> Run: ...
    @overload
    def __getitem__(self, i: slice) -> RunList: ...
    def __getitem__(self, i: int | slice) -> Run | RunList:
        return RunList(self._runs[i]) if isinstance(i, slice) else self._runs[i]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def frame(self) -> pd.DataFrame:
        """Return a row for each run, with every setting and metric in a column."""
        import pandas as pd

        rows = [index.read(run.directory) for run in self._runs]
        lines = [
            {
                "directory": str(row.directory),
                "state": row.state,
                "started": None if row.started is None else datetime.fromtimestamp(row.started),
                "seconds": row.seconds,
                "tags": " ".join(row.tags),
                "note": row.note,
                "error": row.error,
                **row.values,
            }
            for row in rows
        ]
        usual = ["directory", "state", "started", "seconds", "tags", "note", "error"]
        return pd.DataFrame(lines, columns=None if lines else usual)

    def __repr__(self) -> str:
        return f"<{len(self)} run{'s' if len(self) != 1 else ''}>"

    def _repr_html_(self) -> str:
        table = RunList(self._runs[:SHOWN]).frame()
        columns = [name for name in ("directory", "state", "test.accuracy", "seconds", "tags") if name in table]
        more = f"<p>... {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return str(table[columns].to_html(index=False)) + more
