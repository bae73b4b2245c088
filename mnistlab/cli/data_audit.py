"""``mnistlab data audit``: labels that are probably wrong, and images that occur twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistlab.system import output
from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    import numpy as np

    from mnistlab.data.dataset import Pool, Source

FOLDS = 5
Scored = Callable[[], tuple["np.ndarray", "np.ndarray"]]  # computes the rows that are scored, and their probabilities


def audit_dataset(words: Sequence[str], to: str | None, folds: int | None, similarity: float | None) -> int:
    """Audit the data of a configuration by cross-validation, or those of a run by its own predictions."""
    from mnistlab.analysis.audit import audit, duplicates
    from mnistlab.system import arguments, console, directories

    threshold = duplicates.THRESHOLD if similarity is None else similarity
    if not 0.5 <= threshold <= 1:
        raise RequestError(f"--similarity {threshold:g}: must be a number from 0.5 to 1")
    is_run = bool(words) and ("=" not in words[0] or arguments.is_directory(words[0]))
    if is_run and folds is not None:
        raise RequestError(f"--folds {folds}: a run is audited by its own predictions; leave --folds out")
    if is_run and len(words) > 1:
        raise RequestError(f"data audit {' '.join(words)}: must be one run, or overrides as for `mnistlab train`")
    console.start("normal")
    pool, about, score = _of_run(words[0]) if is_run else _of_overrides(words, folds or FOLDS)
    folder = directories.named(Path(to), f"--to {to}", in_the_way=directories.IN_THE_WAY) if to else _new(about)
    try:
        result = audit.audited(pool, *score(), {**about, "similarity": threshold}, threshold)
        audit.write(result, folder)
    except BaseException:
        directories.forget_empty(folder.absolute())
        raise
    output.show({"folder": folder, **result.about}, audit.text(result, folder))
    return 0


def _new(about: dict[str, Any]) -> Path:
    """Create a folder named after the data; other audits of them keep theirs."""
    from mnistlab.runs import paths
    from mnistlab.system import directories

    path = f"outputs/{paths.AUDITS}/{about['name']}_{str(about['sha256'] or 'data')[:8]}"
    try:
        return Path(directories.claim(path))
    except OSError as error:
        raise RequestError(f"{path}: {error.strerror}; {directories.ELSEWHERE}") from None


def _of_overrides(words: Sequence[str], folds: int) -> tuple[Pool, dict[str, Any], Scored]:
    import numpy as np

    from mnistlab.analysis.audit import audit
    from mnistlab.config import compose, schema
    from mnistlab.sweeps.gridsearch import out_of_sample

    experiment = schema.experiment(compose.compose(list(words)))
    with schema.prefixed("data"):
        pool = experiment.data.read()
    rows = audit.rows_of(pool)
    about = {**_about(pool, experiment.data, experiment.seed), "by": f"{folds} folds", "run": None}
    return (
        pool,
        about,
        lambda: (
            np.arange(len(rows.labels)),
            out_of_sample.probabilities(experiment, pool, rows.split, folds),
        ),
    )


def _of_run(word: str) -> tuple[Pool, dict[str, Any], Scored]:
    """Return the data of a run, and its probabilities of the images that it was not trained on."""
    from mnistlab.analysis.audit import of_run
    from mnistlab.runs import selection

    predictions = of_run.read(selection.one(word))
    about = {
        **_about(predictions.pool, predictions.source, predictions.seed),
        "by": f"the run {word}",
        "run": predictions.run,
    }
    return predictions.pool, about, lambda: (predictions.scored, predictions.probabilities)


def _about(pool: Pool, source: Source, seed: int) -> dict[str, Any]:
    """Return what is needed to read the data again."""
    from mnistlab.data.sources.registry import SOURCES

    settings = {key: value.name if isinstance(value, Enum) else value for key, value in asdict(source).items()}
    return {
        "name": pool.name,
        "sha256": pool.provenance.get("sha256"),
        "source": next(name for name, kind in SOURCES.items() if kind is type(source)),
        "settings": settings,
        "seed": seed,
        "started_in": str(Path.cwd()),
    }
