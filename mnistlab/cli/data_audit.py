"""``mnistlab data audit``: labels that are probably wrong, and images that occur twice."""

from __future__ import annotations

from collections.abc import Sequence
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


def audit_dataset(words: Sequence[str], to: str | None, folds: int | None, similarity: float | None) -> int:
    """Audit the data of a configuration by cross-validation, or those of a run by its own predictions."""
    from mnistlab.analysis.audit import audit, duplicates
    from mnistlab.runs import paths
    from mnistlab.system import console, directories

    threshold = duplicates.THRESHOLD if similarity is None else similarity
    if not 0.5 <= threshold <= 1:
        raise RequestError(f"--similarity {threshold:g}: must be a number from 0.5 to 1")
    is_run = bool(words) and "=" not in words[0]
    if is_run and folds is not None:
        raise RequestError(f"--folds {folds}: a run is audited by its own predictions; leave --folds out")
    if is_run and len(words) > 1:
        raise RequestError(f"data audit {' '.join(words)}: must be one run, or overrides as for `mnistlab train`")
    console.start("normal")
    pool, scored, probabilities, about = _of_run(words[0]) if is_run else _of_overrides(words, folds or FOLDS)
    found = audit.audited(pool, scored, probabilities, {**about, "similarity": threshold}, threshold)
    folder = Path(to) if to else Path("outputs", paths.AUDITS, f"{pool.name}_{str(about['sha256'] or 'data')[:8]}")
    directories.named(folder, f"--to {folder}", in_the_way=directories.IN_THE_WAY)
    audit.write(found, folder)
    output.show({"folder": folder, **found.about}, audit.text(found, folder))
    return 0


def _of_overrides(words: Sequence[str], folds: int) -> tuple[Pool, np.ndarray, np.ndarray, dict[str, Any]]:
    import numpy as np

    from mnistlab.analysis.audit import audit
    from mnistlab.config import compose, schema
    from mnistlab.sweeps.gridsearch import out_of_sample

    experiment = schema.experiment(compose.compose(list(words)))
    with schema.prefixed("data"):
        pool = experiment.data.read()
    rows = audit.rows_of(pool)
    probabilities = out_of_sample.probabilities(experiment, pool, rows.split, folds)
    about = _about(pool, experiment.data, experiment.seed)
    return pool, np.arange(len(rows.labels)), probabilities, {**about, "by": f"{folds} folds", "run": None}


def _of_run(word: str) -> tuple[Pool, np.ndarray, np.ndarray, dict[str, Any]]:
    """Return the data of a run, and its probabilities of the images that it was not trained on."""
    from mnistlab.analysis.audit import of_run
    from mnistlab.runs import selection

    found = of_run.read(selection.one(word))
    about = _about(found.pool, found.source, found.seed)
    return found.pool, found.scored, found.probabilities, {**about, "by": f"the run {word}", "run": found.run}


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
