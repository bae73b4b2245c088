"""``mnistlab reproduce``: run the rows of the papers as far as they are not done, and write what came out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnistlab.cli import arguments as arguments_of
from mnistlab.papers import claims as verdicts
from mnistlab.papers import external_rows, markdown, results, runner, spec, tables
from mnistlab.papers import figures as drawings
from mnistlab.papers.spec import BUDGETS, Figures, Row
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError, did_you_mean

USAGE = """\
Usage: mnistlab reproduce PAPER | PAPER/ROW ... [options] [key=value ...]
       mnistlab reproduce --all [options]
       mnistlab reproduce --list

  Runs the rows of the papers, each a sweep over seeds of conf/experiment/PAPER/ROW.yaml, and says of every figure
  whether ours agrees with it, and of every claim whether it holds. What is done already is not run again, so that the
  same command goes on where it was stopped. The page, papers.md, shows all rows, those without a run as such.

  --all              every row of every paper, the short ones first
  --list             the papers and rows, with the minutes that a full run takes on one core
  --budget NAME      full (the default; all rows take about 11 hours of one core), or quick: fewer seeds, epochs or
                     images where a row is long, as the page says; all rows take 15 minutes on two cores
  --seeds N          so many seeds for every row
  --to DIR           where to write, outputs/papers/full or outputs/papers/quick if not given
  --page             run nothing; write the page from the runs that are there
  --json             one JSON object instead: the rows with our figures, and the claims with their verdicts
  -q, --quiet        print the result only

  key=value ...      of every run: trainer.epochs=5, and when that is done trainer.epochs=10, which trains it on
"""
VALUED, FLAGS = ("--budget", "--seeds", "--to"), ("--all", "--list", "--page", "--quiet", "-q")
PICTURES = Path("images/papers")  # in the folder of the page


def main(arguments: Sequence[str], source: Path | None = None) -> int:
    """Reproduce as the arguments say; return the exit status. ``source`` is another file of the papers' figures."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, given, flags = arguments_of.split("reproduce", arguments, VALUED, FLAGS)
    known = spec.read(source)
    if "--list" in flags:
        papers = [
            {"name": one.name, "title": one.title, "rows": [_listed(row) for row in one.rows]} for one in known.papers
        ]
        output.show({"papers": papers}, listed(known))
        return 0
    budget = given.get("--budget", BUDGETS[0])
    if budget not in BUDGETS:
        raise RequestError(f"--budget {budget}: choose one of {', '.join(BUDGETS)}{did_you_mean(budget, BUDGETS)}")
    extra = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    if ("--all" in flags) == bool(names):
        raise RequestError("name papers or rows, or give --all; `mnistlab reproduce --list` shows them")
    chosen = list(known.rows.values()) if "--all" in flags else known.choose(names)
    folder = Path(given.get("--to", f"outputs/papers/{budget}"))
    quiet = "--quiet" in flags or "-q" in flags
    command = shlex.join(["mnistlab", "reproduce", *arguments])
    status = 0
    try:
        if "--page" not in flags:
            with output.part_of_more():
                status = run(chosen, folder, budget, _seeds(given.get("--seeds")), extra, quiet)
    finally:  # also after Ctrl-C: the page of what is there
        about, told = write(known, chosen, folder, command)
    place = files.shown(folder / "papers.md")
    output.show({"page": place, **about}, f"{told}\n\npage  {place}")
    return status


def run(rows: Sequence[Row], folder: Path, budget: str, seeds: int | None, extra: Sequence[str], quiet: bool) -> int:
    """Run what is not done of these rows, the shortest first, each also as it comes near; return the status."""
    ordered = sorted(rows, key=lambda row: row.minutes)
    both = budget == "full"  # a quick run explains no figure
    plans = [(row, near) for row in ordered for near in ((False, True) if both and row.near else (False,))]
    plans = [(row, near) for row, near in plans if seeds or row.seeds[budget]]
    status = 0
    for i, (row, near) in enumerate(plans, 1):
        place = runner.directory(folder, row, near)
        what = f"{row.id}{', ' + ' '.join(row.near.overrides) if near and row.near else ''}"
        if not quiet:
            print(f"\n[{i}/{len(plans)}] {what}", flush=True)  # noqa: T201
        if row.kind == "train":
            asked = runner.overrides(row, budget, seeds, near, extra)
            status = max(status, runner.run(row, place, asked, quiet))
        else:
            status = max(status, external_rows.run(row, place, budget, seeds, extra, quiet))
    return status


def write(known: Figures, chosen: Sequence[Row], folder: Path, command: str) -> tuple[dict[str, Any], str]:
    """Write papers.md, papers.csv and the pictures; return the rows that were chosen and what was found of their
    papers' claims, as plain values, and the tables of these papers.
    """
    found = {row.id: results.read(row, folder) for row in known.rows.values()}
    near = {row.id: results.read(row, folder, near=True) for row in known.rows.values() if row.near}
    both = found | {f"{name}{spec.NEAR}": result for name, result in near.items()}
    claims = [verdicts.judge(claim, both) for claim in known.claims]
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder / "papers.csv", tables.csv(known, found, near))
    drawn = {paper.name: drawings.draw(paper, found, folder / PICTURES) for paper in known.papers}
    files.write(folder / "papers.md", markdown.markdown(known, found, near, claims, drawn, folder, command))
    of = _of(known, chosen)
    rows = [dict(zip(tables.CSV, line, strict=True)) for line in tables.lines_of(chosen, found, near)]
    papers = {paper.name for paper in of.papers}
    judged = [
        {
            "paper": one.claim.paper,
            "claim": one.claim.text,
            "verdict": one.verdict,
            "cut_short": one.cut,
            "one_seed": one.single,
            "numbers": one.numbers,
        }
        for one in claims
        if one.claim.paper in papers
    ]
    return {"rows": rows, "claims": judged}, tables.told(of, found, near, claims)


def listed(known: Figures) -> str:
    """Return the papers and their rows."""
    lines = []
    for paper in known.papers:
        lines += [f"{paper.name}: {paper.title}"]
        lines += [
            f"  {row.id:32} {row.minutes:5.0f} min  {row.seeds['full']} seed{'s' if row.seeds['full'] > 1 else ' '}"
            f"  {_figures(row)}".rstrip()
            for row in paper.rows
        ]
    return "\n".join(lines)


def _listed(row: Row) -> dict[str, Any]:
    return {
        "row": row.id,
        "kind": row.kind,
        "minutes": row.minutes,
        "seeds": row.seeds,
        "reported": row.reported,
        "command": row.command or None,
    }


def _figures(row: Row) -> str:
    said = ", ".join(f"{metric} {figure}" for metric, figure in row.reported.items())
    return said if row.kind == "train" else f"{said}{'; ' if said else ''}{row.command}"


def _of(known: Figures, rows: Sequence[Row]) -> Figures:
    return Figures(tuple(paper for paper in known.papers if any(row.paper == paper.name for row in rows)), known.claims)


def _seeds(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise RequestError(f"--seeds {text}: a whole number of 1 or more was expected")
    return int(text)
