"""``mnistlab runs``: list, filter, tag, delete and restore runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from mnistlab.cli.parameters import DIRECTORY, Whole, argument, command, json_option, option
from mnistlab.system import arguments, output
from mnistlab.system.errors import RequestError, did_you_mean

COLUMNS = ("when", "run", "what", "state", "test.accuracy", "seconds", "tags")
ALWAYS = {"when", "run", "what", "state", "seconds", "seed", "tags", "note", "error", "path"}
USUAL = 30  # rows of a list on the terminal


@command(
    "runs",
    context_settings={"ignore_unknown_options": True},
    examples=(
        "mnistlab runs",
        "mnistlab runs state=failed 'started>2d'",
        "mnistlab runs 'optimizer.lr<0.01' model=lenet* --sort -test.accuracy --columns model,test.accuracy",
        "mnistlab runs show last",
        "mnistlab runs tag last:3 +week3 -draft",
        "mnistlab runs note best:validation.accuracy 'to be repeated with six seeds'",
        "mnistlab runs rm state=failed",
        "mnistlab runs restore",
    ),
)
@argument(
    "words",
    metavar="[FILTER ...] | ACTION RUN ...",
    nargs=-1,
    help="FILTER: a setting, metric or fact with = != < > <= >= or ~ (contains), and * as a wildcard. ACTION: show, "
    "tag, note, rm, restore, du or prune. RUN: a path, last, last:3, best:METRIC, or a filter.",
)
@option(
    "--sort", metavar="KEY", help="Sort by this setting or metric; -KEY: the largest first.", show_default="-started"
)
@option("--columns", metavar="KEY,KEY", help=f"The columns: settings, metrics, or {', '.join(sorted(ALWAYS))}.")
@option("--limit", metavar="N", type=Whole(0), help="Number of rows; 0: all.", show_default=str(USUAL))
@option("--csv", "as_csv", is_flag=True, help="Print all rows as CSV.")
@option("--in", "root", metavar="DIR", type=DIRECTORY, default="outputs", help="Where the runs are.")
@option(
    "--purge", is_flag=True, help="rm: delete for good instead of moving to the trash; without RUN, empty the trash."
)
@option("--checkpoints", is_flag=True, help="prune: delete the checkpoints of completed runs.")
@option("--yes", is_flag=True, help="Do not ask before deleting for good.")
@json_option
def main(
    words: tuple[str, ...],
    sort: str | None,
    columns: str | None,
    limit: int | None,
    as_csv: bool,
    root: str,
    **flags: bool,
) -> int:
    """List the runs in outputs/, newest first, or those that match all filters.

    Filters compare any setting (model, optimizer.lr), metric (test.accuracy) or fact: state, started (2026-11-21, or an
    age such as 2h, 3d, 1w), seconds, seed, tag, note, error, path. Other commands take the same words for a run:
    `mnistlab compare tag=week3`, `mnistlab report last`, `mnistlab predict best:validation.accuracy digit.png`.

    show prints one run; tag adds (+) and removes (-) tags; note sets a note; rm moves runs or sweeps to a trash, from
    which restore brings them back; du shows what takes space; prune --checkpoints frees it.
    """
    folder = Path(root)
    action = words[0] if words and words[0] in ACTIONS else None
    for word in words:
        if word.startswith("--") or (word.startswith("-") and action != "tag"):
            raise click.NoSuchOption(word.partition("=")[0], ctx=click.get_current_context())
    for name, is_set in flags.items():
        if is_set and action not in FLAGS[name]:
            raise RequestError(f"--{name}: this option is for {' and '.join(FLAGS[name])}")
    if action and (sort or columns or as_csv or limit is not None):
        raise RequestError(f"{action}: --sort, --columns, --limit and --csv are for the list")
    if not folder.is_dir() and (action or folder != Path("outputs")):
        raise RequestError(f"--in {root}: no such directory")
    if action is None:
        return list_runs(words, folder, sort, columns, limit, as_csv)
    return ACTIONS[action](words[1:], folder, flags)


def list_runs(
    words: Sequence[str], root: Path, sort: str | None, columns: str | None, limit: int | None, as_csv: bool
) -> int:
    """Print the runs that match the filters."""
    from mnistlab.runs import query, runs_table
    from mnistlab.runs.index import Index

    if not root.is_dir():
        output.show({"runs": [], "matching": 0}, "there are no runs in outputs/ yet; `mnistlab train` makes the first")
        return 0
    with closing(Index(root)) as index:
        names = [name.strip() for name in columns.split(",")] if columns else list(COLUMNS)
        if columns:
            runs_table.check_columns(names, ALWAYS, index)
        condition = query.condition(words, index)
        order = query.order(sort, index, f"--sort {sort}") if sort else ""
        most = limit if limit is not None else (0 if as_csv or output.is_json() else USUAL)
        rows, matching = index.rows_and_count(condition.sql, condition.parameters, order, most or -1)
    text = runs_table.csv(rows, names, root) if as_csv else runs_table.text(rows, names, root, matching)
    output.show({"runs": [runs_table.as_json(row) for row in rows], "matching": matching}, text.rstrip("\n"))
    return 0


def show(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Print what is known of one run."""
    from mnistlab.runs import index, runs_table

    run, *others = _chosen("show", words, root)
    if others:
        count = 1 + len(others)
        raise RequestError(f"show {' '.join(words)}: {count} runs match, and one is needed; add filters")
    row = index.read(run)
    output.show(runs_table.as_json(row), runs_table.about(row))
    return 0


def tag(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Add and remove tags."""
    from mnistlab.config.labels import checked_tag
    from mnistlab.runs import labels

    changes = [word for word in words if word.startswith(("+", "-")) and not arguments.exists(word)]
    runs = _chosen("tag", [word for word in words if word not in changes], root)
    add, remove = ([word[1:] for word in changes if word[0] == sign] for sign in "+-")
    if not changes:
        raise RequestError("tag: no tags; add with +week3, remove with -draft")
    for name in (*add, *remove):
        checked_tag(name)
    for run in runs:
        labels.write(run, labels.tagged(labels.read(run), add, remove))
    return _done(runs, [" ".join(labels.read(run).tags) or "no tags" for run in runs])


def note(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Set the note of a run."""
    from mnistlab.config.labels import checked_note
    from mnistlab.runs import labels

    if len(words) != 2:
        raise RequestError("note: must be a run and a text in quotes; an empty text removes the note")
    runs = _chosen("note", words[:1], root)
    for run in runs:
        labels.write(run, labels.Labels(labels.read(run).tags, checked_note(words[1])))
    return _done(runs, [words[1] or "no note" for _ in runs])


def rm(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Move runs to the trash, or delete them for good."""
    from mnistlab.runs import index, trash

    if flags["purge"] and not words:
        removed = trash.content(root)
        _ask(f"delete {len(removed)} of the trash for good", flags)
        for each in removed:
            trash.purge(each)
        return _done([root / each.origin for each in removed], ["deleted"] * len(removed))
    chosen = _chosen("rm", words, root, sweeps=True)
    places = list(dict.fromkeys(root / trash.origin(place, root) for place in chosen))
    places = [place for place in places if not {*place.parents} & {*places}]  # a job of a sweep that goes as a whole
    for place in places:
        for run in index.find(place):
            trash.refuse_running(run)
    if flags["purge"]:
        _ask(f"delete {', '.join(map(str, places[:3]))}{' ...' if len(places) > 3 else ''} for good", flags)
    for place in places:
        removed_one = trash.remove(place, root)
        if flags["purge"]:
            trash.purge(removed_one)
    said = "deleted" if flags["purge"] else "in the trash; `mnistlab runs restore` brings it back"
    return _done(places, [said] * len(places))


def restore(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Bring deleted runs back; without an argument, list the trash."""
    from mnistlab.runs import trash

    removed = trash.content(root)
    if not words:
        text = "\n".join(str(root / each.origin) for each in removed)
        hint = "\n\n`mnistlab runs restore RUN` brings one back; `mnistlab runs rm --purge` empties the trash"
        output.show(
            {"trash": [root / each.origin for each in removed]}, text + hint if removed else "the trash is empty"
        )
        return 0
    chosen = []
    for word in words:
        of = [each for each in removed if Path(word) in (root / each.origin, each.origin) or word in ("last", "all")]
        if not of:
            names = [str(root / each.origin) for each in removed]
            raise RequestError(f"restore {word}: not in the trash{did_you_mean(word, names)}")
        chosen += of if word == "all" else of[:1]
    places = [trash.restore(each, root) for each in dict.fromkeys(chosen)]
    return _done(places, ["restored"] * len(places))


def du(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Print the disk usage by kind of file, and the largest runs."""
    from mnistlab.runs import disk_usage

    usage = disk_usage.of(_chosen("du", words, root) if words else [root])
    output.show(usage.as_json(), usage.text())
    return 0


def prune(words: Sequence[str], root: Path, flags: Mapping[str, bool]) -> int:
    """Delete the checkpoints of completed runs."""
    from mnistlab.runs import disk_usage, index

    if not flags["checkpoints"]:
        raise RequestError("prune: say what to delete: --checkpoints")
    runs = _chosen("prune", words, root) if words else list(index.find(root))
    freed, pruned = disk_usage.prune_checkpoints(runs)
    text = f"{disk_usage.megabytes(freed)} freed: the checkpoints of {len(pruned)} completed runs"
    output.show({"runs": pruned, "bytes": freed}, f"{text}; they can no longer be trained for longer")
    return 0


ACTIONS: dict[str, Callable[[Sequence[str], Path, Mapping[str, bool]], int]] = {
    "show": show, "tag": tag, "note": note, "rm": rm, "restore": restore, "du": du, "prune": prune,
}  # fmt: skip
FLAGS = {"purge": ("rm",), "yes": ("rm",), "checkpoints": ("prune",)}


def _chosen(action: str, words: Sequence[str], root: Path, sweeps: bool = False) -> list[Path]:
    """Return the run directories that words mean; with ``sweeps`` a sweep stands for itself, not for its runs."""
    from mnistlab.runs import index, paths, selection

    if not words:
        raise RequestError(f"{action}: name a run: a path, last, best:METRIC or a filter")
    runs: list[Path] = []
    for place in map(Path, selection.several(words, root=root)):
        if not arguments.is_directory(place):
            raise RequestError(f"{place}: no such directory; must be a run: a path, last, best:METRIC or a filter")
        inside = [place] if sweeps and (place / paths.SWEEP).exists() else list(index.find(place))
        if not inside:
            raise RequestError(f"{place}: there are no runs in this directory")
        runs += inside
    return list(dict.fromkeys(runs))


def _ask(what: str, flags: Mapping[str, bool]) -> None:
    if not flags["yes"] and not click.confirm(f"{what}?", err=True):
        raise RequestError("nothing was deleted")


def _done(places: Sequence[Path], texts: Sequence[str]) -> int:
    from mnistlab.system import files

    shown = [files.shown(place.absolute()) for place in places]
    content: dict[str, Any] = {"runs": [{"directory": p, "now": t} for p, t in zip(shown, texts, strict=True)]}
    output.show(content, "\n".join(f"{p}  {t}" for p, t in zip(shown, texts, strict=True)) or "nothing to do")
    return 0
