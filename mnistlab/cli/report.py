"""``mnistlab report``: the pictures and the page of runs and sweeps again, from the numbers that they saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import yaml

from mnistlab.cli import arguments as arguments_of
from mnistlab.config.report import Plots
from mnistlab.reporting import html
from mnistlab.runs import figures, html_report, status
from mnistlab.sweeps import manifest, records
from mnistlab.system import console, files, output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab report DIR [DIR ...] [report.plots=all|core|none] [--quiet]

  Draws the pictures of runs and sweeps, and writes their report.html, again: from the saved numbers, nothing is
  computed anew. DIR is the directory of a run or of a sweep; it may have been moved or copied.

  report.plots=...   the pictures of a run: all, core, or none (only the page, with the pictures that are there).
                     Without it those that the run asked for. What only `all` saves, occlusion and feature maps, is
                     drawn where the run has saved it
  --json             one JSON object: the pages
  -q, --quiet        say nothing
"""

SAVED_IN = {  # the file that a picture is drawn from; the others are from metrics.json
    "curves": "history.csv",
    "roc": "roc.csv",
    "precision_recall": "precision_recall.csv",
    "worst_mistakes": "mistakes.npz",
    "occlusion": "occlusion.npz",
    "feature_maps": "feature_maps.npz",
    "weights": "model.safetensors",
    "filters": "model.safetensors",
    "class_distribution": "class_distribution.csv",
    "samples": "samples.npz",
    "augmented": "augmented.npz",
    "norms": "norms.csv",
}
DAMAGE = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, BadZipFile, MemoryError)


def main(arguments: Sequence[str]) -> int:
    """Draw again what is asked for; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, _, flags = arguments_of.split("report", arguments, (), ("-q", "--quiet"))
    places, which = _asked(words)
    kinds = [_kind(text) for text in places]  # all are looked at before anything is written
    console.start("quiet" if flags else "normal")
    try:
        for text, kind in zip(places, kinds, strict=True):
            _sweep(Path(text)) if kind == "sweep" else _run(Path(text), which)
            console.LOG.info("%s", Path(text) / html.NAME)
    finally:
        console.stop()
    pages = [Path(text) / html.NAME for text in places]
    output.give({"reports": [{"kind": kind, "page": one} for kind, one in zip(kinds, pages, strict=True)]})
    return 0


def _asked(words: Sequence[str]) -> tuple[list[str], Plots | None]:
    places, which = [], None
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or Path(word).exists():
            places.append(word)
        elif key != "report.plots":
            near = did_you_mean(key, ["report.plots"])
            raise RequestError(f"{word}: only report.plots=all, core or none can be set{near}")
        elif value not in Plots.__members__:
            raise RequestError(
                f"{word}: choose one of {', '.join(Plots.__members__)}{did_you_mean(value, Plots.__members__)}"
            )
        else:
            which = Plots[value]
    if not places:
        raise RequestError("a run or a sweep was expected; see `mnistlab report --help`")
    return places, which


def _kind(text: str) -> str:
    path = Path(text)
    if not path.is_dir():
        others = path.parent.iterdir() if path.parent.is_dir() and not path.exists() else ()
        near = did_you_mean(path.name, [other.name for other in others])
        raise RequestError(f"{text}: there is no such directory; name a run or a sweep{near}")
    if (path / manifest.NAME).exists():
        return "sweep"
    if not (path / "status.json").exists() or not (path / ".hydra").is_dir():
        raise RequestError(f"{text}: neither a run (status.json, .hydra) nor a sweep ({manifest.NAME}) lies here")
    if status.read(path).state == "running":
        raise RequestError(f"{text}: this run is not over; it writes its report itself")
    return "run"


def _run(run: Path, which: Plots | None) -> None:
    """Draw the pictures of a run that has metrics, then its page; of a failed run only the page."""
    from mnistlab.sweeps.html_report import standing_of

    if (run / "metrics.json").exists():
        name = ""
        try:
            for name, drawing in figures.of_run(run, which or _saved_choice(run)):
                figures.save_pictures(run, [(name, drawing)])
        except RequestError:
            raise
        except DAMAGE as error:
            source = next((file for start, file in SAVED_IN.items() if name.startswith(start)), "metrics.json")
            why = f"{type(error).__name__}: {error}"
            raise RequestError(
                f"{run / source}: the picture {name or 'of the run'} cannot be drawn from it ({why}); copy it again, "
                "or train the run again"
            ) from None
    html_report.write(run, standing=standing_of(run))


def _sweep(directory: Path) -> None:
    """Write table, pictures and page of a sweep, and the pages of its completed jobs."""
    from mnistlab.sweeps import html_report as sweep_page
    from mnistlab.sweeps import summary

    known, found = manifest.read(directory), records.of_sweep(directory)
    sweep_page.write_all(known, found, summary.write(known, found))


def _saved_choice(run: Path) -> Plots:
    """Return the pictures that the run asked for; what its configuration does not say is the default."""
    try:
        content = yaml.safe_load(files.read_text(run / ".hydra" / "config.yaml"))
        return Plots[content["report"]["plots"]]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, RecursionError):
        return Plots.core
