"""``mnistlab train -m`` and ``mnistlab resume``: launch the unfinished jobs, log their progress, write the summary."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, as_json
from mnistlab.runs import paths
from mnistlab.runs.record import Record, read
from mnistlab.runs.record import as_json as record_as_json
from mnistlab.sweeps import changed, forecast, halving, html_report, manifest, records, summary, until_decided
from mnistlab.sweeps.design import check_launcher, designed
from mnistlab.sweeps.eta import Eta
from mnistlab.sweeps.grid import Plan, plan, write_multirun
from mnistlab.sweeps.growth import added_points
from mnistlab.sweeps.job import Job, settle, status_bytes
from mnistlab.sweeps.launchers.joblib import shares
from mnistlab.sweeps.launchers.registry import LAUNCHERS, QUEUED, SUBMIT
from mnistlab.sweeps.manifest import Manifest
from mnistlab.sweeps.rehearse import parallelism
from mnistlab.sweeps.request import Request
from mnistlab.system import console, directories, files, output
from mnistlab.system.console import HINT, RESULT
from mnistlab.system.errors import RequestError
from mnistlab.system.locks import held

LOG = logging.getLogger("mnistlab")
TABLE_EVERY = 2.0  # minimum seconds between two versions of summary.csv while jobs run
WAITS_FOR = 5.0  # seconds for the jobs of a killed sweep to end

MOST_ROWS = 20  # rows on the terminal; all are in summary.md
ELSEWHERE = "in another process"


def train(
    overrides: Sequence[str],
    config_dir: str | None,
    fail_fast: bool,
    request: Request | None = None,
    started: Callable[[Path], None] | None = None,
    detach: bool = False,
) -> int:
    """Run a new sweep; return the exit status. ``started`` is called with its directory before the first job.

    With ``detach`` the jobs are only submitted.
    """
    planned, sweep = designed(overrides, config_dir, request or Request(), detach)
    directory, place = planned.directory, files.shown(planned.directory)
    label, cure = f"hydra.sweep.dir={place}", "choose another directory with hydra.sweep.dir=DIR"
    directories.named(directory, label, in_the_way=directories.IN_THE_WAY, otherwise=cure)
    with held(directory):
        sweep.write()
        write_multirun(planned)
        if started is not None:
            started(directory)
        return Sweep(sweep, planned, "train", _is_quiet(overrides), place).run(planned.jobs, fail_fast, detach)


def resume(
    directory: Path,
    overrides: Sequence[str] = (),
    *,
    added: Sequence[str] = (),
    sets: Sequence[str] = (),
    failed_only: bool = False,
    fail_fast: bool = False,
    quiet: bool = False,
    detach: bool = False,
) -> int:
    """Run the jobs that a sweep has not completed; return the exit status. ``overrides`` are those of its launcher.

    ``added`` are other values of the keys that it sweeps, or of the seed, which add jobs, and ``sets`` option sets.
    """
    saved, place = manifest.read(directory), files.shown(directory)  # relative to the current directory
    words = [*added, *(f"--set {text}" for text in sets)]
    if words and saved.design:
        raise RequestError(f"{words[0]}: {place} adds its seeds itself, by its plan in {paths.SWEEP}; leave this out")
    if detach and (saved.design or saved.halving):
        name = until_decided.NAME if saved.design else halving.NAME
        raise RequestError(f"--detach: {place} is a sweep with {name}, which waits for results; leave this out")
    if Path(saved.started_in).is_dir():
        os.chdir(saved.started_in)
    with held(directory) as ours:
        if not ours:
            raise RequestError(f"{place}: this sweep is already running; `mnistlab compare` shows its progress")
        points = added_points(saved, added, sets) if words else []
        planned = plan([*saved.overrides, *overrides], saved.config_dir, saved, points)
        check_launcher(planned, detach)
        again = (*added, *(word for text in sets for word in ("--set", text)))
        saved = changed.accepted(saved, planned.jobs, again, place)
        sweep = Sweep(saved, planned, "resume", quiet, place)
        return sweep.run(sweep.left(planned.jobs, failed_only), fail_fast, detach)


class Sweep:
    """The jobs of a running sweep: their records, log lines and tables."""

    def __init__(self, sweep_manifest: Manifest, planned: Plan, command: str, quiet: bool, place: Path) -> None:
        self.manifest, self.planned = sweep_manifest, planned
        self.command, self.quiet = command, quiet
        self.verbosity = "quiet" if quiet else "normal"
        self.records = (
            records.of_sweep(sweep_manifest.directory) if (sweep_manifest.directory / paths.SWEEP).exists() else []
        )
        self.place = place
        self.table_at = 0.0
        self.bar: Any = None
        self.race = halving.Race(sweep_manifest) if sweep_manifest.halving else None
        self.eta = Eta({}, 1)

    def left(self, jobs: Sequence[Job], failed_only: bool) -> list[Job]:
        """Return the jobs to run: those not completed, or completed with another configuration.

        `resume` refuses the latter before; of a row of `reproduce` they are trained again, or on.
        """
        queue = QUEUED.get(self.planned.launcher)
        queued = queue(jobs, self.planned.launcher_settings) if queue else frozenset()
        if not queue:
            self._wait_for_orphans()
        chosen = []
        for job, record in zip(jobs, self.records, strict=True):
            state = record.state
            if job.entry.number in queued:  # the launcher waits for it
                chosen.append(job)
            elif state.state == "running" and queue is None:
                LOG.warning(
                    "job %d is still running on %s (process %s) and is skipped", job.entry.number, state.host, state.pid
                )
            elif failed_only:
                if state.state in ("failed", "interrupted", "killed", "running", "pruned"):  # it may go on in a race
                    chosen.append(job)
            elif state.state != "completed" or state.config_hash != job.entry.config_hash:
                chosen.append(job)
        return chosen

    def _wait_for_orphans(self) -> None:
        """Wait for jobs whose sweep was killed a moment ago, which end as soon as they notice it."""
        until = time.monotonic() + WAITS_FOR
        while any(record.state.state == "running" for record in self.records) and time.monotonic() < until:
            time.sleep(0.2)
            self.records = records.of_sweep(self.manifest.directory)

    def run(self, jobs: Sequence[Job], fail_fast: bool, detach: bool = False) -> int:
        """Launch the jobs, watch them and end with the table; return the exit status."""
        console.start(self.verbosity)
        try:
            self._announce(jobs)
            if detach and jobs:
                return self._submit(jobs)
            try:
                for batch in self._batches(jobs):
                    self._watch(batch, fail_fast)
                    if fail_fast and any(summary.went_wrong(self.records[job.entry.number]) for job in batch):
                        if self.race:
                            self.race.tried.clear()  # the jobs that were not started have not failed
                        break
            finally:
                self._close_bar()
                summary.write_table(self.manifest, self.records)  # first, so that it exists in any case
            return self._conclude()
        except KeyboardInterrupt:
            console.start(self.verbosity)
            done = sum(record.state.state == "completed" for record in self.records)
            comparison = summary.write(self.manifest, self.records, with_pictures=False)
            html_report.write(self.manifest, self.records, comparison, with_pictures=False)
            LOG.log(
                HINT,
                "%d of %d jobs are completed; `mnistlab resume %s` continues the sweep",
                done,
                len(self.records),
                self.place,
            )
            raise KeyboardInterrupt from None
        finally:
            console.stop()

    def _batches(self, jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
        """Yield jobs to run: all at once, or what the results so far require."""
        if self.race:
            yield from self.race.batches(jobs)
            return
        yield jobs
        while self.manifest.design and (jobs := self._more()):
            yield jobs

    def _announce(self, jobs: Sequence[Job]) -> None:
        of = "" if len(jobs) == len(self.records) else f" of {len(self.records)}"
        grid = " x ".join(dict.fromkeys(key for job in self.planned.jobs for key in job.entry.settings)) or "one point"
        LOG.info("sweep   %d jobs%s: %s", len(jobs), of, grid)
        name = self.planned.launcher
        if name == "joblib" and jobs:
            at_once, cores = shares(self.planned.launcher_settings, len(self.planned.jobs))
            other = "; hydra/launcher=basic runs one at a time" if at_once > 1 else ""
            threads = f"{cores} BLAS thread{'s' if cores > 1 else ''} each"
            LOG.info("launch  joblib, %d at a time, at most %s%s", min(at_once, len(jobs)), threads, other)
        else:
            LOG.info("launch  %s", name)
        LOG.info("output  %s", self.place)
        for note in self.planned.notes:
            LOG.info("grid    %s", note)
        self.eta = Eta({}, parallelism(self.planned).at_once)
        if self.verbosity == "normal" and (expected := forecast.before(self.planned, jobs, self.manifest)):
            for line in expected.lines:
                LOG.info("%s", line)
            if not self.race:
                self.eta.expected = {job.entry.number: job.seconds for job in expected.jobs}
        if console.is_screen(sys.stderr) and not self.quiet:
            self.bar = console.progress_bar(total=len(jobs), unit="job")

    def _submit(self, jobs: Sequence[Job]) -> int:
        """Submit the jobs and leave them to the scheduler."""
        self._close_bar()
        numbers = SUBMIT[self.planned.launcher](jobs, self.planned.launcher_settings)
        arrays = ",".join(dict.fromkeys(number.partition("_")[0] for number in numbers))
        LOG.log(RESULT, "submitted            %d jobs: squeue --jobs=%s", len(numbers), arrays)
        LOG.log(RESULT, "sweep directory      %s", self.place)
        LOG.log(RESULT, "to collect them      mnistlab resume %s", self.place)
        output.give(self._document(None))
        return 0

    def _more(self) -> list[Job]:
        """Add the jobs of the next look of a sweep that adds seeds until its verdicts are decided, and return them."""
        assert self.manifest.design is not None
        if any(record.state.state not in ("completed", "failed") for record in self.records):
            return []
        look = until_decided.next_look(self.manifest.design, self.records, self.manifest.entries)
        self._print(look.line)
        if not look.points:
            return []
        saved = self.manifest
        planned = plan(saved.overrides, saved.config_dir, saved, look.points, only_added=True)
        self.manifest = replace(saved, entries=(*saved.entries, *(job.entry for job in planned.jobs)))
        self.manifest.write()
        self.records += [read(job.directory, job.entry.settings) for job in planned.jobs]
        if self.bar is not None:
            self.bar.total += len(planned.jobs)
        return list(planned.jobs)

    def _watch(self, jobs: Sequence[Job], fail_fast: bool) -> None:
        if not jobs:
            return
        ready = Thread(target=_import_what_the_end_needs)  # this process is idle while others work
        ready.start()
        before = {job.entry.number: status_bytes(job) for job in jobs}
        launcher = LAUNCHERS[self.planned.launcher](jobs, self.planned.launcher_settings, len(self.planned.jobs))
        finished = 0
        self.eta.begin([job.entry.number for job in jobs])
        try:
            with closing(launcher):
                for job, lost in launcher:
                    finished += 1
                    console.start(self.verbosity)  # a job in this process has replaced the log handlers
                    record = self._take(job, lost, before[job.entry.number])
                    self._say(job, record, finished, len(jobs))
                    if time.monotonic() - self.table_at > TABLE_EVERY:
                        summary.write_table(self.manifest, self.records)
                        self.table_at = time.monotonic()
                    if fail_fast and summary.went_wrong(record):
                        LOG.warning("--fail-fast: job %d did not complete; stopping the others", job.entry.number)
                        break
        finally:
            ready.join()
            self.records = [
                record if record.state.is_over else read(self.manifest.place(entry), entry.settings)
                for entry, record in zip(self.manifest.entries, self.records, strict=True)
            ]

    def _take(self, job: Job, lost: str | None, before: bytes | None) -> Record:
        """Return the record of a job that has ended. ``before`` is its status.json from before this attempt."""
        ours = settle(job, lost, before)
        record = read(job.directory, job.entry.settings)
        if not ours:
            record = replace(record, state=replace(record.state, error=lost or ELSEWHERE))
        self.records[job.entry.number] = record
        return record

    def _say(self, job: Job, record: Record, finished: int, of: int) -> None:
        best = self._best()
        if self.bar is not None:
            self.bar.set_postfix_str(best, refresh=False)
            self.bar.update()
        state = record.state
        width = len(str(of))
        seconds = sum(state.seconds.values())
        self.eta.ended(job.entry.number, seconds)
        line = f"job {finished:{width}}/{of}  {state.state:9}  {seconds:6.1f} s  {job.entry.title}"
        left = f"; {text}" if self.bar is None and (text := self.eta.text()) else ""
        if state.state != "completed":
            self._print(f"{line}: {state.error}{left}")
        elif self.bar is None:
            value = record.value("validation.accuracy")
            accuracy = "" if math.isnan(value) else f"  validation accuracy {100 * value:.2f} %"
            self._print(line + accuracy + (f"  ({best})" if best else "") + left)

    def _print(self, line: str) -> None:
        if self.bar is not None:
            self.bar.clear()
        LOG.info("%s", line)

    def _best(self) -> str:
        """Return the best result so far, by validation accuracy: the test set is not used for selection."""
        values = [(record.value("validation.accuracy"), i) for i, record in enumerate(self.records)]
        finite = [(value, i) for value, i in values if not math.isnan(value)]
        if not finite:
            return ""
        value, i = max(finite)
        return f"best {100 * value:.2f} %: {self.manifest.entries[i].title}"

    def _close_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _conclude(self) -> int:
        if self.race:
            self.race.write()
            self.records = records.of_sweep(self.manifest.directory)
        comparison = summary.write(self.manifest, self.records)
        html_report.write_all(self.manifest, self.records, comparison)
        if comparison:
            LOG.log(RESULT, "\n%s\n", comparison_table.text(replace(comparison, left_out=()), MOST_ROWS))
        if self.race:
            LOG.log(RESULT, "%s\nchosen               %s", self.race.summary(), self.race.chosen())
        LOG.log(RESULT, "%s", f"{len(self.records)} jobs: {summary.counts(self.records)}")
        LOG.log(RESULT, "%s", f"sweep directory      {self.place}")
        output.give(self._document(comparison))
        over = ("completed", "pruned") if self.race else ("completed",)
        left = self.race.left() if self.race else []
        pairs = zip(self.manifest.entries, self.records, strict=True)
        bad = [(entry, record) for entry, record in pairs if record.state.state not in over or entry in left]
        for entry, record in bad:
            if record.state.state not in ("pending", *over):
                reason = record.state.error or ELSEWHERE  # of a job that is running
                self._error(f"job {entry.number}, {entry.title}: {record.state.state}: {reason}")
        if bad:
            only = "" if left or any(record.state.state == "pending" for _, record in bad) else " --failed-only"
            self._error(
                f"{len(bad)} of {len(self.records)} jobs are not completed; "
                f"`mnistlab resume {self.place}{only}` runs them again"
            )
        return 1 if bad else 0

    def _document(self, comparison: Comparison | None) -> dict[str, Any]:
        jobs = [
            {
                "job": entry.number,
                "overrides": entry.overrides,
                "settings": entry.settings,
                **record_as_json(record, self.place / entry.directory),
            }
            for entry, record in zip(self.manifest.entries, self.records, strict=True)
        ]
        return {"directory": self.place, "jobs": jobs, "comparison": comparison and as_json(comparison)}

    def _error(self, text: str) -> None:
        LOG.error("mnistlab %s: error: %s", self.command, " ".join(text.split()))


def _import_what_the_end_needs() -> None:
    for name in (
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "scipy.special",
        "mnistlab.runs.figures",
        "jinja2",
    ):
        import_module(name)


def _is_quiet(overrides: Sequence[str]) -> bool:
    return "report.console=quiet" in overrides
