"""`train`, `sweep`, `runs`, `load_run` and `compare`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from hydra import version
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import run_job
from hydra.types import HydraContext, RunMode

from mnistlab.api.comparison import ComparisonView
from mnistlab.api.run import Run
from mnistlab.api.run_list import RunList
from mnistlab.api.sweep import Sweep
from mnistlab.config import compose, errors, overrides_file, plugins
from mnistlab.config.hydra_guard import Callbacks
from mnistlab.runs import index, lifecycle, query, selection
from mnistlab.runs.index import Index
from mnistlab.runs.record import Record
from mnistlab.runs.resume import conclude
from mnistlab.statistics.sequential import Design
from mnistlab.sweeps import grid, records, runner
from mnistlab.sweeps.request import Request as SweepRequest
from mnistlab.sweeps.rungs import Request as Halving
from mnistlab.sweeps.shape import Shape
from mnistlab.sweeps.until_decided import Request
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text


def train(*overrides: str, quiet: bool = False, **settings: Any) -> Run:
    """Train one model, as `mnistlab train` does, and return its run.

    Args:
        overrides: as on the command line: "data=mnist", "model.units=32", or a file of settings, "anna.yaml".
        quiet: print the result only.
        settings: keys without a dot: ``seed=3``, ``model="lenet5"``, ``tags=["week3"]``, ``note="first try"``.

    Returns:
        The run, whose directory is that of the command: `Run.metrics`, `Run.history`, `Run.plot`, ...

    Raises:
        RequestError: something is wrong with the request; the message names the key and the cure.
        RunError: the training failed, for example because the loss is no longer finite.
        KeyboardInterrupt: interrupted; `Run.resume` of ``mnistlab.load_run("last")`` continues.

    Example:
        >>> run = mnistlab.train("experiment=smoke", seed=3, quiet=True)  # doctest: +ELLIPSIS
        test accuracy ...
        ...
        run directory ...outputs...
        >>> run.metrics["test"]["n"]
        300
    """
    words = [*_words(overrides, settings), *(["report.console=quiet"] if quiet else [])]
    version.setbase("1.3")
    compose.register()
    loader = grid.loader(None)
    try:
        config = loader.load_configuration("config", compose.with_paths_quoted(words), RunMode.RUN)
    except Exception as error:
        raise RequestError(errors.one_line(error, words)) from None
    finally:
        GlobalHydra.instance().clear()
    if config.hydra.mode == RunMode.MULTIRUN or config.hydra.sweeper.get("params"):
        raise RequestError(f"{' '.join(words)}: this is a sweep; use mnistlab.sweep(...)")
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    done = run_job(lifecycle.task, config, "hydra.run.dir", None, context, configure_logging=False)
    conclude(done.return_value)
    return Run(done.return_value.directory)


def sweep(
    *overrides: str,
    until_decided: bool = False,
    margin: float | None = None,
    looks: Sequence[int] | None = None,
    zip: Sequence[Sequence[str]] = (),  # noqa: A002  # the name of the option
    sets: Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    sample: int | None = None,
    halving: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Sweep:
    """Train one model for each combination of values, as `mnistlab train -m` does, and return the sweep.

    Args:
        overrides: as on the command line, with lists: "init=random,kaiming", "seed=range(6)".
        until_decided: add seeds until every pair of settings is decided, with ``margin`` (in points) and ``looks``.
        zip: groups of keys that vary together, ``[["optimizer.lr", "trainer.batch_size"]]``.
        sets: sets of options that belong together, ``["optimizer=sgd optimizer.lr=0.5", "optimizer=adam"]``.
        exclude: conditions on points to leave out, ``"optimizer=adam and optimizer.lr>0.01"``.
        sample: the number of settings to draw at random.
        halving: train only the best settings, by validation accuracy, to the end.
        quiet: print the result only.
        settings: keys without a dot; a list is swept: ``seed=[0, 1, 2]``, ``model=["softmax", "lenet5"]``.

    Returns:
        The sweep, also if some of its jobs failed: `Sweep.runs`, `Sweep.table`, `Sweep.compare`, `Sweep.plot`.

    Raises:
        RequestError: something is wrong with the request.
    """
    words = [*_words(overrides, settings, swept=True), *(["report.console=quiet"] if quiet else [])]
    decided = Request(margin, tuple(looks) if looks else None) if until_decided else None
    if decided is None and (margin is not None or looks is not None):
        raise RequestError(
            "margin and looks: they are for until_decided=True; compare(..., margin=...) tests existing runs"
        )
    started: list[Path] = []
    shape = Shape(
        tuple(map(tuple, zip)),
        tuple(sets),
        (exclude,) if isinstance(exclude, str) else tuple(exclude),
        sample,
    )
    request = SweepRequest(shape, decided, Halving() if halving else None)
    runner.train(words, None, fail_fast=False, request=request, started=started.append)
    return Sweep(started[0])


def import_plugin(file: str | Path) -> list[str]:
    """Import a Python file that defines layers, optimizers, ... as `--import` does; return what it adds.

    Raises:
        RequestError: the file cannot be imported, or defines nothing that mnistlab knows.
    """
    plugins.import_file(Path(file))
    return [f"{plugin.kind}: {plugin.name}" for plugin in plugins.loaded() if plugin.package == Path(file).name]


def load_run(where: str | Path = "last") -> Run:
    """Return a run: a directory, ``last``, ``best:METRIC``, or filters that match one run.

    Raises:
        RequestError: there is no such run, or more than one.
    """
    place = Path(selection.one(str(where)))
    if not index.is_run(place):
        raise RequestError(f"{where}: not a run directory; name a run, last, best:METRIC or a filter")
    return Run(place)


def runs(folder: str | Path = "outputs", *filters: str) -> RunList:
    """Return the runs in a folder, newest first, or those that match all filters, as `mnistlab runs` lists them.

    Example:
        >>> mnistlab.runs("outputs", "state=completed", "test.accuracy>0.5").frame().columns[:3].tolist()
        ['directory', 'state', 'started']
    """
    root = Path(folder)
    if not root.is_dir():
        raise RequestError(f"{folder}: no such directory")
    with closing(Index(root)) as of_root:
        condition = query.condition(filters, of_root)
        return RunList(Run(row.directory) for row in of_root.rows(condition.sql, condition.parameters))


def compare(
    *what: Sweep | Run | RunList | str | Path,
    metric: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    factor: str | None = None,
    best_over: str | Sequence[str] = (),
    where: str | None = None,
) -> ComparisonView:
    """Compare runs and sweeps, as `mnistlab compare` does: means with intervals, and a verdict on every pair.

    Args:
        what: sweeps, runs, lists of runs, or the words of the command: directories and filters.
        metric: validation.accuracy by default.
        baseline: compare every setting only with this one.
        margin: the largest difference that does not matter, in points.
        factor: compare the values of this setting, each averaged over the others within each seed.
        best_over: compare every other setting with its own best value of these, chosen by validation in each seed.
        where: compare only the runs with these settings, as in "init=kaiming,random optimizer.lr<=0.1".

    Raises:
        RequestError: there is nothing to compare, or what is asked for does not exist.
    """
    from mnistlab.analysis.compare import compare as compare_records

    runs_of_all, design = _records(what)
    keys = (best_over,) if isinstance(best_over, str) else tuple(best_over)
    comparison = compare_records(
        runs_of_all, metric, baseline, margin, design, factor=factor, best_over=keys, where=where
    )
    return ComparisonView(records.cautioned(comparison, design))


def _records(what: Iterable[Any]) -> tuple[list[Record], Design | None]:
    words: list[str] = []
    for each in what:
        if isinstance(each, RunList):
            words += [str(run.directory) for run in each]
        else:
            words.append(str(each.directory if isinstance(each, (Sweep, Run)) else each))
    words = selection.several(words)
    return records.of_paths(words), records.design_of(words)


def _words(overrides: Sequence[str], settings: dict[str, Any], swept: bool = False) -> list[str]:
    """Return overrides, and those of keyword arguments; a list is swept, except that of tags."""
    file, typed = overrides_file.split([str(word) for word in overrides])
    for word in typed:
        if "=" not in word and not word.startswith("~"):
            raise RequestError(f"{word}: must be an override, for example 'model.units=32'; use keywords for seed=3")
    words = [*(file.words if file else ()), *typed]
    for key, value in settings.items():
        if swept and isinstance(value, (list, tuple, range)) and key != "tags":
            words.append(f"{key}={','.join(as_text(each) for each in value)}")
        elif isinstance(value, str):
            words.append(f"{key}={compose.quoted(value) if key == 'note' else value}")
        else:
            words.append(f"{key}={as_text(list(value) if isinstance(value, tuple) else value)}")
    return words
