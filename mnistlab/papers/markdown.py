"""The page papers.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mnistlab.papers import extra_tables
from mnistlab.papers.claims import Finding
from mnistlab.papers.figures import Drawn
from mnistlab.papers.results import Result
from mnistlab.papers.spec import Figures, Paper
from mnistlab.papers.tables import rows_of
from mnistlab.reporting import tables

LEGEND = """\
Accuracies are in per cent. `ours` is the mean over the seeds with its 95 % interval; `a single run` the interval in
which 95 % of single runs are expected (of one run: Wilson's, which knows the images but not what another seed would
change), which is what a paper's figure, one run too, is held against. `as reported`: it lies in that interval, its
rounding allowed for; `too wide to tell`: it does, and the interval is wider than 10 points; `higher`, `lower`: ours
is, and it lies outside; `one run`: it lies outside, and one run has no spread. `reached`, `not reached`, `not
distinguishable`: the interval is above a figure that the paper says to exceed, below it, or holds it. `2 of 6` are
the runs there are of those there should be. A row that was cut short says so beside its number of runs; a claim
that rests on such rows is about what there is, not about the paper's, and is `not judged` where they were cut to
different lengths. `one seed`: single trained networks were compared on the same test images (McNemar's test), and
another seed may turn the verdict. A row with settings behind its name is a second try, chosen with the paper's
figure in view: there `as reported` says that the figure can be come by, not that the paper had these settings."""


def markdown(
    figures: Figures,
    found: Mapping[str, Result],
    near: Mapping[str, Result],
    claims: Sequence[Finding],
    drawn: Mapping[str, Sequence[Drawn]],
    folder: Path,
    command: str,
) -> str:
    """Return the page; links to pictures are relative to its folder."""
    parts = ["# The papers, and what our runs say of them", f"Made by `{command}`.", LEGEND, *_verdicts(claims)]
    for paper in figures.papers:
        parts += [f"## {safe(paper.title)}", safe(paper.about)]
        parts += [_table(rows_of(paper, found, near)), _why(paper, near)]
        of_paper = [finding for finding in claims if finding.claim.paper == paper.name]
        if of_paper:
            lines = [[f.claim.text, f"**{f.label}**", f.numbers] for f in of_paper]
            parts += ["### Claims", _table((["claim", "verdict", "numbers"], lines))]
        for title, text, table in extra_tables.of(paper, found):
            parts += [f"### {safe(title)}", text, _table(table) if table else ""]
        if pictures := drawn.get(paper.name):
            parts += ["### Figures", *(_picture(one, folder) for one in pictures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _verdicts(claims: Sequence[Finding]) -> list[str]:
    counts = {finding.label: 0 for finding in claims}
    for finding in claims:
        counts[finding.label] += 1
    said = ", ".join(f"{verdict} {count}" for verdict, count in counts.items())
    return [f"{len(claims)} claims: {said}."] if claims else []


def _why(paper: Paper, near: Mapping[str, Result]) -> str:
    """Return with which other settings rows come near the paper's figure, rows of the same in one line."""
    names: dict[tuple[str, str], list[str]] = {}
    for row in paper.rows:
        if row.near and row.id in near and near[row.id].completed:
            names.setdefault((" ".join(row.near.overrides), row.near.why), []).append(f"`{row.name}`")
    return "\n".join(f"- {', '.join(rows)} with `{set_to}`: {safe(why)}." for (set_to, why), rows in names.items())


def _picture(one: Drawn, folder: Path) -> str:
    link = one.path.relative_to(folder).as_posix()
    alt = safe(one.alt).replace("[", "(").replace("]", ")")
    return f"[{one.path.name}]({link}): {alt}" if one.path.suffix == ".pdf" else f"![{alt}]({link})"


def _table(table: tables.Table) -> str:
    header, lines = table
    return tables.markdown((header, [[safe(cell) for cell in line] for line in lines]))


def safe(text: str) -> str:
    """Return text that Markdown shows as it is: no tags, no line that ends a table."""
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
