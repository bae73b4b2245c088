"""One evaluation: predict -> average -> metrics -> corrupted images -> pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mnistlab.analysis import evaluation_artifacts
from mnistlab.analysis.evaluation_data import Scored
from mnistlab.config import compose
from mnistlab.data.corruptions import noisy, rotated
from mnistlab.metrics.classification import accuracy, brief
from mnistlab.models.ensemble import disagreement, mean_disagreement, mean_over_shifts, mean_probabilities
from mnistlab.runs import paths
from mnistlab.runs.environment import environment
from mnistlab.runs.saved_run import SavedRun, display_names
from mnistlab.runs.status import Status
from mnistlab.system import console, directories, files, output
from mnistlab.system.console import LOG, RESULT
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.random import stream
from mnistlab.system.readers import read_json

HEADINGS = {
    "test": "test accuracy",
    "validation": "validation accuracy",
    "train": "training accuracy",
    "all": "accuracy",
}

LONGEST_NAME = 40  # of a run, on the terminal

Row = dict[str, Any]


def refuse_place(to: str | None, runs: Sequence[SavedRun]) -> None:
    """Refuse a directory that contains a run or an evaluation, or is inside one of these runs."""
    if to is None:
        return
    place = Path(to)
    if (place / paths.STATUS).exists() or (place / paths.MODEL).exists():
        raise RequestError(f"--to {to}: already contains a run or an evaluation; choose another directory")
    for run in runs:
        if place.resolve().is_relative_to(run.directory.resolve()):
            raise RequestError(
                f"--to {to}: this is inside {run.given}, and run directories are never changed; choose another"
            )


def claim(to: str | None, runs: Sequence[SavedRun]) -> Path:
    """Create the directory of the evaluation, ``to`` or one named after time and run, for this process alone."""
    if to is not None:
        return directories.named(Path(to), f"--to {to}", marker=paths.STATUS)
    names = display_names(runs)
    more = f"_and_{len(names) - 1}_more" if len(names) > 1 else ""
    return directories.by_time("outputs/evaluate", f"{compose.slug(names[0], 60)}{more}")


def evaluate(
    runs: Sequence[SavedRun], scored: Scored, levels: Mapping[str, Sequence[float]], folder: Path, command: list[str]
) -> None:
    """Score the runs, as an ensemble if there are several, and write all results to ``folder``.

    ``levels`` are the levels of noise and rotation at which the images are also scored. Predictions are averaged over
    the shifts that ``scored`` asks for.
    """
    names, part = display_names(runs), scored.part
    summary = _summary(runs, names, scored)
    identity = hashlib.sha256(json.dumps([summary, levels]).encode()).hexdigest()[:16]
    status = Status(folder / paths.STATUS, identity)
    tables: dict[str, list[Row]] = {}
    with _recorded(status, folder):
        status.write("running")
        threads = max(run.threads for run in runs)
        kernels = max(run.compute.kernels for run in runs)
        data = {"name": scored.dataset.name, **scored.dataset.provenance}
        about = environment(scored.seed, threads, kernels, data, command, identity)
        files.write_json(folder / paths.ENVIRONMENT, about | {"runs": [str(run.directory.absolute()) for run in runs]})
        _announce(runs, scored, threads)
        with status.timed("evaluate"):
            members = _predict(runs, part.images, scored.shifts)
            mean = mean_probabilities(members)
            scores = evaluation_artifacts.write_results(folder, scored.split, part, mean, runs[0].class_names, summary)
        if len(runs) > 1:
            rows = _member_rows(runs, names, part.labels, members, mean)
            evaluation_artifacts.write_rows(folder / paths.MEMBERS, rows)
            _say_members(rows)
            tables["members"] = rows
        for corruption in levels:
            with status.timed(corruption):
                rows, examples = _sweep(corruption, levels[corruption], runs, names, scored)
                evaluation_artifacts.write_sweep(folder, corruption, rows, examples)
            tables[corruption] = rows
        with status.timed("plots"):
            drawn = evaluation_artifacts.draw(folder, scored.plots)
        for path in drawn:
            LOG.debug("wrote %s", path)
        status.write("completed")
    metrics = read_json(folder / paths.METRICS)
    output.give({"directory": files.shown(folder), "metrics": metrics, **tables})
    lines = *console.score_lines(HEADINGS[scored.split], scores), f"evaluation directory {files.shown(folder)}"
    LOG.log(RESULT, "%s", "\n".join(lines))


@contextmanager
def _recorded(status: Status, folder: Path) -> Iterator[None]:
    """Record the final status of the evaluation."""
    try:
        yield
    except KeyboardInterrupt:
        status.write_quietly("interrupted")
        raise
    except (RunError, OSError, MemoryError) as error:
        message = str(error)
        if isinstance(error, OSError):
            place = files.shown(Path(error.filename)) if error.filename else "a file"
            message = f"{place}: {error.strerror or error}; free some space, or choose another directory with --to DIR"
        elif isinstance(error, MemoryError):
            message = f"out of memory ({error}); use less data, for example with data.test_limit"
        status.write_quietly("failed", message)
        raise RunError(f"{message} (the files written so far are in {files.shown(folder)})") from None
    except Exception as error:
        status.write_quietly("failed", f"{type(error).__name__}: {error}")
        raise


def _summary(runs: Sequence[SavedRun], names: Sequence[str], scored: Scored) -> dict[str, Any]:
    return {
        "runs": [
            {
                "run": name,
                "config_hash": run.config_hash,
                "seed": run.seed,
                "parameters": int(run.network.theta.size),
                "model_sha256": run.model_sha256,
            }
            for run, name in zip(runs, names, strict=True)
        ],
        "data": scored.dataset.name,
        "data_sha256": scored.dataset.provenance.get("sha256"),
        "seed": scored.seed,
        "split": scored.split,
        **({"shifts": scored.shifts} if scored.shifts else {}),
    }


def _announce(runs: Sequence[SavedRun], scored: Scored, threads: int) -> None:
    height, width = scored.part.images.shape[1:]
    part = evaluation_artifacts.TITLES[scored.split]
    LOG.info("data    %s, %d x %d pixels: %s, %s", scored.dataset.name, height, width, part, f"{len(scored.part):,}")
    sizes = sorted({run.network.theta.size for run in runs})
    parameters = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    count = "" if len(runs) == 1 else f"{len(runs)} in an ensemble, "
    LOG.info("model   %s%s parameters, %d BLAS threads", count, parameters, threads)
    if scored.shifts:
        LOG.info("shifts  predictions are averaged over %d shifts of the images", (2 * scored.shifts + 1) ** 2)
    LOG.debug("data from %s", scored.dataset.provenance)


def _predict(runs: Sequence[SavedRun], images: np.ndarray, shifts: int) -> list[np.ndarray]:
    """Return the probabilities of each run, averaged over shifts, predicted with its own threads and kernels."""
    members = []
    for run in runs:
        run.compute.use_if_possible(run.network, run.given)
        with run.compute.limits():
            members.append(mean_over_shifts(run.network.predict, images, shifts))
        if not np.isfinite(members[-1]).all():
            layer = run.network.first_not_finite(images, None) or "its output"
            raise RunError(f"{run.given}: {layer} overflows on these images; the model cannot be used, train it again")
    return members


def _member_rows(
    runs: Sequence[SavedRun], names: Sequence[str], labels: np.ndarray, members: Sequence[np.ndarray], mean: np.ndarray
) -> list[Row]:
    """Return one row per member and one for the ensemble, with the disagreement with the others, or over all pairs."""
    per_member, overall = mean_disagreement(disagreement(members))
    rows = [
        {"run": name, "seed": run.seed, **brief(labels, probabilities), "disagreement": share}
        for name, run, probabilities, share in zip(names, runs, members, per_member, strict=True)
    ]
    return [*rows, {"run": "ensemble", "seed": None, **brief(labels, mean), "disagreement": overall}]


def _sweep(
    corruption: str, levels: Sequence[float], runs: Sequence[SavedRun], names: Sequence[str], scored: Scored
) -> tuple[list[Row], list[np.ndarray]]:
    """Return one row per level, and the first image at each level."""
    labels, rows, examples = scored.part.labels, [], []
    for level in levels:
        images = scored.part.images
        images = (
            rotated(images, level) if corruption == "rotation" else noisy(images, level, stream(scored.seed, "noise"))
        )
        members = _predict(runs, images, scored.shifts)
        row = {"level": level, **brief(labels, mean_probabilities(members))}
        if len(runs) > 1:
            row |= {f"accuracy_{name}": accuracy(labels, p) for name, p in zip(names, members, strict=True)}
        rows.append(row)
        examples.append(images[0])
        LOG.info("%s", _line(f"{corruption} {level:g}".ljust(20), row))
    return rows, examples


def _say_members(rows: Sequence[Row]) -> None:
    names = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in (r["run"] for r in rows)]
    width = max(20, *map(len, names))
    for name, row in zip(names, rows, strict=True):
        LOG.info("%s  disagreement %.2f %%", _line(name.ljust(width), row), 100 * row["disagreement"])


def _line(name: str, row: Row) -> str:
    interval = f"95 % confidence interval {100 * row['low']:.2f} to {100 * row['high']:.2f}"
    return f"{name} {100 * row['accuracy']:.2f} %  ({interval})  loss {row['loss']:.4f}"
