"""Run the unfinished rows of papers, and write the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistlab.papers import external_rows, markdown, results, runner, spec, tables
from mnistlab.papers.claims import HOLDS, SINGLE, judge
from mnistlab.papers.figures import draw
from mnistlab.papers.own_runs import Asked, only_own
from mnistlab.papers.spec import Figures, Row
from mnistlab.runs import paths
from mnistlab.sweeps.grid import Plan
from mnistlab.system import files

PAPERS = (paths.PAPERS_PAGE, paths.PAPERS_TABLE, paths.PAPERS_LATEX)
CLAIMS = (paths.CLAIMS_PAGE, paths.CLAIMS_TABLE, paths.CLAIMS_LATEX)
PICTURES = Path("images/papers")  # in the folder of the page


@dataclass(frozen=True)
class Planned:
    """A row, or its near settings, that is to be run: with overrides and a sweep if it is trained."""

    row: Row
    place: Path
    label: str
    overrides: Sequence[str] = ()
    sweep: Plan | None = None


def planned(rows: Sequence[Row], folder: Path, budget: str, seeds: int | None, extra: Sequence[str]) -> list[Planned]:
    """Return what to run for these rows, the shortest first, also with near settings.

    All jobs are composed, so that a mistake in the last row is found before the first is trained.
    """
    ordered = sorted((row for row in rows if row.kind != "runs"), key=lambda row: row.minutes)
    both = budget == "full"  # near settings are not run with the budget quick
    wanted = [(row, near) for row in ordered for near in ((False, True) if both and row.near else (False,))]
    plans = []
    for row, near in wanted:
        if not (seeds or row.seeds[budget]):
            continue
        place = runner.directory(folder, row, near)
        label = f"{row.label}{', ' + ' '.join(row.near.overrides) if near and row.near else ''}"
        if row.kind == "train":
            overrides = runner.overrides(row, budget, seeds, near, extra)
            plans.append(Planned(row, place, label, overrides, runner.planned(place, overrides)))
        else:
            plans.append(Planned(row, place, label))
    return plans


def run(plans: Sequence[Planned], budget: str, seeds: int | None, extra: Sequence[str], quiet: bool) -> int:
    """Run what is unfinished of these rows; return the status."""
    status = 0
    for i, each in enumerate(plans, 1):
        if not quiet:
            print(f"\n[{i}/{len(plans)}] {each.label}", flush=True)  # noqa: T201
        if each.sweep:
            status = max(status, runner.run(each.place, each.overrides, each.sweep, quiet))
        else:
            status = max(status, external_rows.run(each.row, each.place, budget, seeds, extra, quiet))
    return status


def write(
    figures: Figures,
    asked: Asked,
    folder: Path,
    command: str,
    names: tuple[str, str, str] = PAPERS,
) -> tuple[dict[str, Any], str]:
    """Write papers.md, .csv, .tex and the pictures; return the rows asked for and the verdicts on their papers'
    claims as plain values, and the tables of these papers as text. ``names`` are other names of the three files.
    """

    def read(row: Row, near: bool = False) -> results.Result:
        return only_own(results.read(row, folder, near), folder, asked)

    results_by_row = {row.id: read(row) for row in figures.rows.values()}
    near = {row.id: read(row, near=True) for row in figures.rows.values() if row.near}
    both = results_by_row | {f"{name}{spec.NEAR}": result for name, result in near.items()}
    claims = [judge(claim, both) for claim in figures.claims]
    folder.mkdir(parents=True, exist_ok=True)
    files.write(folder / names[1], tables.csv(figures, results_by_row, near))
    files.write(folder / names[2], tables.latex(figures, results_by_row, near, claims))
    drawn = {paper.name: draw(paper, results_by_row, folder / PICTURES) for paper in figures.papers}
    page = markdown.markdown(figures, results_by_row, near, claims, drawn, folder, command)
    files.write(folder / names[0], page)
    of = _of(figures, asked.rows)
    rows = [dict(zip(tables.CSV, line, strict=True)) for line in tables.lines_of(asked.rows, results_by_row, near)]
    papers = {paper.name for paper in of.papers}
    judged = [
        {
            "paper": finding.claim.paper,
            "claim": finding.claim.text,
            "verdict": finding.verdict,
            "cut_short": finding.cut,
            "one_seed": finding.verdict == SINGLE,
            "numbers": finding.numbers,
        }
        for finding in claims
        if finding.claim.paper in papers
    ]
    return {"rows": rows, "claims": judged}, tables.as_text(of, results_by_row, near, claims)


def agreement(about: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether all figures agree and all claims hold, and a line that counts them."""
    verdicts = [row["verdict"] for row in about["rows"] if row["reported"]]
    agree = sum(verdict in (results.AS_REPORTED, results.REACHED) for verdict in verdicts)
    hold = sum(claim["verdict"] == HOLDS for claim in about["claims"])
    counts = [
        f"{n} of {len(of)} {what}"
        for n, of, what in ((agree, verdicts, "figures agree"), (hold, about["claims"], "claims hold"))
        if of
    ]
    return agree == len(verdicts) and hold == len(about["claims"]), ", ".join(counts) or "no figures and no claims"


def listing(figures: Figures) -> str:
    """Return the list of the papers and their rows as text."""
    lines = []
    for paper in figures.papers:
        lines += [f"{paper.name}: {paper.title}"]
        lines += [
            f"  {row.id:32} {row.minutes:5.0f} min  {row.seeds['full']} seed{'s' if row.seeds['full'] > 1 else ' '}"
            f"  {_figures(row)}".rstrip()
            for row in paper.rows
        ]
    return "\n".join(lines)


def row_listing(row: Row) -> dict[str, Any]:
    """Return a row of the list of papers as plain values."""
    return {
        "row": row.id,
        "kind": row.kind,
        "minutes": row.minutes,
        "seeds": row.seeds,
        "reported": row.reported,
        "command": row.command or None,
    }


def _figures(row: Row) -> str:
    reported = ", ".join(f"{metric} {figure}" for metric, figure in row.reported.items())
    return reported if row.kind == "train" else f"{reported}{'; ' if reported else ''}{row.command}"


def _of(figures: Figures, rows: Sequence[Row]) -> Figures:
    return Figures(
        tuple(paper for paper in figures.papers if any(row.paper == paper.name for row in rows)), figures.claims
    )
