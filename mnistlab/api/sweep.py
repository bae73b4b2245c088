"""A sweep, as its directory has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistlab.analysis.compare import Comparison
from mnistlab.analysis.compare import compare as compare_records
from mnistlab.api.comparison import ComparisonView
from mnistlab.api.plotting import SweepPlots
from mnistlab.api.run import Run
from mnistlab.api.run_list import RunList
from mnistlab.runs import paths
from mnistlab.sweeps import manifest, records, runner
from mnistlab.system import files
from mnistlab.system.readers import read_table
from mnistlab.system.wording import counted

if TYPE_CHECKING:
    import pandas as pd


class Sweep:
    """The directory of a sweep. `mnistlab.sweep` returns it.

    Attributes:
        directory: its path.
        runs: its runs, in the order of its jobs.
        table: summary.csv, one row per job (pandas).
        plot: its plots: ``sweep.plot.ranking()``, ``sweep.plot.metric("test.accuracy", by="init")``.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    @property
    def runs(self) -> RunList:
        """Return its runs."""
        sweep = manifest.read(self.directory)
        return RunList(Run(sweep.place(entry)) for entry in sweep.entries)

    @property
    def table(self) -> pd.DataFrame:
        """Return one row per job."""
        return read_table(self.directory / paths.SUMMARY_TABLE)

    def compare(
        self,
        metric: str | None = None,
        baseline: str | None = None,
        margin: float | None = None,
        factor: str | None = None,
        best_over: str | Sequence[str] = (),
        where: str | None = None,
    ) -> ComparisonView:
        """Return the means of its settings, and a verdict on every pair; see `mnistlab.compare`."""
        keys = (best_over,) if isinstance(best_over, str) else tuple(best_over)
        return ComparisonView(self._compared(metric, baseline, margin, factor=factor, best_over=keys, where=where))

    def resume(self, *values: str, quiet: bool = False) -> Sweep:
        """Run the jobs that are not completed; "seed=range(12)" or other values of a swept key add jobs."""
        runner.resume(self.directory.absolute(), added=values, quiet=quiet)
        return self

    @property
    def plot(self) -> SweepPlots:
        """Return its plots."""
        return SweepPlots(lambda metric: self._compared(metric))

    def _compared(
        self, metric: str | None = None, baseline: str | None = None, margin: float | None = None, **more: Any
    ) -> Comparison:
        design = manifest.read(self.directory).design
        return compare_records(records.of_sweep(self.directory), metric, baseline, margin, design, **more)

    def __repr__(self) -> str:
        states = [record.state.state for record in records.of_sweep(self.directory)]
        counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"<Sweep {files.shown(self.directory)}: {counted(len(states), 'job')}, {counts}>"

    def _repr_html_(self) -> str:
        return str(self.table.to_html(index=False))
