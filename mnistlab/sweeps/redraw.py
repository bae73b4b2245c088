"""Redrawing the pictures and pages of runs and sweeps from their saved numbers."""

from __future__ import annotations

from pathlib import Path

from mnistlab.config import plugins, safe_yaml
from mnistlab.config.report import Format, Plots
from mnistlab.runs import figures, html_report, paths, status
from mnistlab.sweeps import html_report as sweep_page
from mnistlab.sweeps import manifest, records, summary
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.readers import UnreadableError, read_json_or_empty

SAVED_IN = {  # the file from which a picture is drawn; the others are drawn from metrics.json
    "curves": paths.HISTORY,
    "roc": paths.ROC,
    "precision_recall": paths.PRECISION_RECALL,
    "worst_mistakes": paths.MISTAKES,
    "occlusion": paths.OCCLUSION,
    "feature_maps": paths.FEATURE_MAPS,
    "weights": paths.MODEL,
    "filters": paths.MODEL,
    "class_distribution": paths.CLASS_DISTRIBUTION,
    "samples": paths.SAMPLES,
    "augmented": paths.AUGMENTED,
    "norms": paths.NORMS,
}

DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, MemoryError)


def kind_of(text: str) -> str:
    """Return whether a directory is a "run" or a "sweep", or raise `RequestError` if it cannot be redrawn."""
    path = Path(text)
    if not path.is_dir():
        others = path.parent.iterdir() if path.parent.is_dir() and not path.exists() else ()
        near = did_you_mean(path.name, [other.name for other in others])
        raise RequestError(f"{text}: no such directory; name a run or a sweep{near}")
    if (path / paths.SWEEP).exists():
        return "sweep"
    if not (path / paths.STATUS).exists() or not (path / paths.HYDRA).is_dir():
        raise RequestError(
            f"{text}: neither a run directory ({paths.STATUS}, {paths.HYDRA}) nor a sweep directory ({paths.SWEEP})"
        )
    if status.read(path).state == "running":
        raise RequestError(f"{text}: this run is still running and writes its report when it ends")
    return "run"


def redraw_run(run: Path, level: Plots | None, form: Format | None = None) -> None:
    """Redraw the pictures of a run, if it has metrics, and its page; by default with its own settings."""
    if needed := plugins.missing(read_json_or_empty(run / paths.ENVIRONMENT), run / paths.IMPORTS):
        raise RequestError(f"{run}: {needed}")
    if (run / paths.METRICS).exists():
        name = ""
        try:
            for name, drawing in figures.of_run(run, level or _saved_choice(run)):
                figures.save_pictures(run, [(name, drawing)], form or _saved_format(run))
        except RequestError:
            raise
        except DAMAGE as error:
            source = next((file for start, file in SAVED_IN.items() if name.startswith(start)), paths.METRICS)
            why = error.reason if isinstance(error, UnreadableError) else f"{type(error).__name__}: {error}"
            raise RequestError(
                f"{run / source}: the picture {name or 'of the run'} cannot be drawn from this file ({why}); copy it "
                "again, or train the run again"
            ) from None
    html_report.write(run, standing=sweep_page.standing_of(run))


def redraw_sweep(directory: Path, form: Format | None = None, all_settings: bool = False) -> None:
    """Write the table, pictures and page of a sweep, and the pages of its completed jobs."""
    sweep, records_of_jobs = manifest.read(directory), records.of_sweep(directory)
    comparison = summary.write(sweep, records_of_jobs, form=form, all_settings=all_settings)
    sweep_page.write_all(sweep, records_of_jobs, comparison)


def _saved_choice(run: Path) -> Plots:
    """Return the run's own setting of report.plots, or the default."""
    try:
        return Plots[safe_yaml.load(run / paths.CONFIG)["report"]["plots"]]
    except (ValueError, KeyError, TypeError):
        return Plots.core


def _saved_format(run: Path) -> Format:
    """Return the run's own setting of report.format, or the default."""
    try:
        return Format[safe_yaml.load(run / paths.CONFIG)["report"]["format"]]
    except (ValueError, KeyError, TypeError):
        return Format.png
