"""A claims file, checked: conf/papers.yaml with several papers, or a file with one title, its rows and its claims."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from mnistlab.config import options, safe_yaml
from mnistlab.papers import checks, runner
from mnistlab.papers.checks import Problem, Reading
from mnistlab.papers.spec import FORMS, KINDS, NEAR, Claim, Figures, Near, Paper, Row
from mnistlab.system import files
from mnistlab.system.errors import RequestError, did_you_mean

OWN = ("title", "about", "rows", "seeds", "claims")  # keys of a file of one's own
EXTRA = ("exchanged", "structures", "bias", "ranking")  # more tables of a paper
ROW = (
    *("kind", "train", "runs", "reported", "also", "about", "at_least", "minutes", "seeds", "quick", "near"),
    *("pictures", "command"),
)
NUMBERS = {"margin", "above", "below"}  # of a claim, in the unit of its metric
OF_RUNS = ("train", "runs")  # kinds of rows that consist of runs, whose metrics have known names


def read(path: Path | None = None) -> Figures:
    """Return the content of a claims file, by default that of the five papers; any problem is a `RequestError`."""
    path = path or options.folder() / "papers.yaml"
    try:
        safe_yaml.read(path)  # says the line of an error
        return _figures(safe_yaml.load(path), path)
    except FileNotFoundError:
        raise RequestError(f"{files.shown(path)}: no such file; name a claims file") from None
    except Problem as error:
        raise RequestError(f"{files.shown(path)}: {error}") from None


def _figures(content: Any, path: Path) -> Figures:
    content = checks.mapping(content, "the file", "with title, rows and claims")
    if "papers" in content:
        checks.known(content, ("papers", "claims"), "the file")
        papers = [
            _paper(str(name), checks.mapping(entry, f"papers.{name}"), f"papers.{name}.", path)
            for name, entry in checks.mapping(content["papers"], "papers").items()
        ]
        figures = Figures(tuple(papers), tuple(_claims(content, None)))
    else:
        name = re.sub(r"[^\w-]+", "_", path.stem)
        figures = Figures((_paper(name, content, "", path, alone=True),), tuple(_claims(content, name)))
    for i, claim in enumerate(figures.claims):
        for row in claim.rows:
            if row.removesuffix(NEAR) not in figures.rows:
                known = [each.id if "papers" in content else each.name for each in figures.rows.values()]
                said = row if "papers" in content else row.partition("/")[2]
                raise Problem(
                    f"claims[{i}]: there is no row {said}; rows are {checks.listed(known)}{did_you_mean(said, known)}"
                )
        for side in claim.sides:
            _complete(side, figures, f"claims[{i}]")
        _measured(claim, figures, f"claims[{i}].")
    return figures


def _complete(side: str, figures: Figures, where: str) -> None:
    """Refuse a part of a swept row that does not give every key that the row sweeps, or gives others."""
    name, *settings = side.split()
    row = figures.rows[name.removesuffix(NEAR)]
    for setting in settings:
        if "=" not in setting:
            said = side.partition("/")[2] if row.is_own else side
            raise Problem(f"{where}: {said}: {setting} is no setting; must be key=value")
    keys, given = list(runner.grid(row)), [setting.partition("=")[0] for setting in settings]
    if row.kind == "train" and sorted(keys) != sorted(given):
        example = " ".join([row.label, *(f"{key}=..." for key in keys)])
        raise Problem(
            f"{where}: {row.label} sweeps {', '.join(keys)}; name one of its settings: {example}"
            if keys
            else f"{where}: {row.label} sweeps nothing; leave out {' '.join(settings)}"
        )


def _measured(claim: Claim, figures: Figures, where: str) -> None:
    """Refuse a metric that the rows cannot have, and a margin or limit that is not in its unit."""
    if claim.paper not in {paper.name for paper in figures.papers}:
        known = [paper.name for paper in figures.papers]
        raise Problem(
            f"{where}paper={claim.paper}: must be one of {', '.join(known)}{did_you_mean(claim.paper, known)}"
        )
    if "metric" not in claim.settings:
        return
    metric = claim.settings["metric"]
    if any(figures.rows[row.removesuffix(NEAR)].kind in OF_RUNS for row in claim.rows):
        checks.metric(metric, f"{where}metric")
    for key in NUMBERS & {*claim.settings}:
        checks.proportion(metric, claim.settings[key], f"{where}{key}")


def _paper(name: str, content: Reading, where: str, path: Path, alone: bool = False) -> Paper:
    checks.known(content, (*OWN, "papers") if alone else ("title", "about", "rows", "pictures", *EXTRA), where)
    rows = checks.mapping(checks.required(content, "rows", where), f"{where}rows")
    seeds = checks.whole(content.get("seeds", 1), f"{where}seeds")
    all_rows = tuple(_row(name, str(row), of, f"{where}rows.{row}", seeds, path, alone) for row, of in rows.items())
    lists = {key: checks.words(content.get(key, ()), f"{where}{key}") for key in EXTRA}
    title = checks.text(checks.required(content, "title", where), f"{where}title")
    about = checks.text(content.get("about", " "), f"{where}about").strip()
    return Paper(name, title, about, all_rows, _pictures(content.get("pictures", ()), f"{where}pictures"), **lists)


def _pictures(content: Any, where: str) -> tuple[Reading, ...]:
    if not isinstance(content, (list, tuple)):
        raise Problem(f"{where}: must be a list of pictures")
    return tuple(checks.mapping(picture, where) for picture in content)


def _row(paper: str, name: str, content: Any, where: str, seeds: int, path: Path, alone: bool) -> Row:
    content = checks.mapping(content, where)
    checks.known(content, ROW, f"{where}.")
    if not re.fullmatch(r"[\w-]+", name):
        raise Problem(f"{where}: the name of a row must consist of letters, digits, - and _")
    kind = str(content.get("kind", "runs" if "runs" in content else "train"))
    if kind not in KINDS:
        raise Problem(f"{where}.kind={kind}: must be one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    if alone and ("train" in content) == ("runs" in content):
        raise Problem(f"{where}: must have either train (the overrides of its runs) or runs (existing ones)")
    if alone and kind not in OF_RUNS:
        raise Problem(f"{where}.kind={kind}: is that of a paper's row; leave it out")
    seeds = checks.whole(content.get("seeds", seeds), f"{where}.seeds")
    quick_seeds, quick_overrides = _quick(content.get("quick", {}), f"{where}.quick", seeds)
    row = Row(
        paper,
        name,
        kind,
        _reported(content.get("reported", {}), f"{where}.reported"),
        checks.words(content.get("also", ()), f"{where}.also"),
        checks.flag(content.get("about", False), f"{where}.about"),
        checks.flag(content.get("at_least", False), f"{where}.at_least"),
        checks.minutes(content.get("minutes", 0), f"{where}.minutes"),
        {"full": seeds, "quick": quick_seeds},
        {"full": (), "quick": quick_overrides},
        _near(content["near"], f"{where}.near") if "near" in content else None,
        checks.words(content.get("pictures", ()), f"{where}.pictures"),
        checks.word(content.get("command", "" if alone else f"mnistlab reproduce {paper}/{name}"), f"{where}.command"),
        _overrides(content["train"], f"{where}.train") if "train" in content else (),
        tuple(
            _existing(each, f"{where}.runs", path) for each in checks.words(content.get("runs", ()), f"{where}.runs")
        ),
        alone,
    )
    for metric in (*row.reported, *row.also) if kind in OF_RUNS else ():
        checks.metric(metric, f"{where}.{'reported' if metric in row.reported else 'also'}")
    if row.reported and runner.grid(row):
        raise Problem(
            f"{where}.reported: the row sweeps {', '.join(runner.grid(row))} and has no single figure; make a row of "
            f"the setting that the figure is of"
        )
    return row


def _quick(content: Any, where: str, seeds: int) -> tuple[int, tuple[str, ...]]:
    """Return the seeds and overrides of the budget quick."""
    content = checks.mapping(content, where)
    checks.known(content, ("seeds", "overrides"), f"{where}.")
    overrides = checks.words(content.get("overrides", ()), f"{where}.overrides")
    return checks.whole(content.get("seeds", seeds), f"{where}.seeds", least=0), overrides


def _near(content: Any, where: str) -> Near:
    content = checks.mapping(content, where)
    checks.known(content, ("overrides", "why"), f"{where}.")
    overrides = checks.words(checks.required(content, "overrides", f"{where}."), f"{where}.overrides")
    return Near(overrides, checks.text(checks.required(content, "why", f"{where}."), f"{where}.why"))


def _reported(content: Any, where: str) -> dict[str, str]:
    figures = checks.mapping(content, where)
    return {str(metric): checks.figure(str(metric), value, f"{where}.{metric}") for metric, value in figures.items()}


def _overrides(value: Any, where: str) -> tuple[str, ...]:
    try:
        words = shlex.split(value) if isinstance(value, str) else [*checks.words(value, where)]
    except ValueError as error:  # quotes
        raise Problem(f"{where}: {value}: {str(error).lower()}; close the quotation") from None
    for word in words:
        key = word.partition("=")[0].lstrip("+")
        if "=" not in word:
            raise Problem(f"{where}: {word} is no override; must be key=value")
        if key == "seed" or key.startswith("hydra"):
            cure = "give seeds: N instead" if key == "seed" else "leave it out"
            raise Problem(f"{where}: {word} is set by mnistlab; {cure}")
    return tuple(words)


def _existing(text: str, where: str, path: Path) -> str:
    place = path.parent / text
    if not place.is_dir():
        raise Problem(f"{where}={text}: no such directory; paths are relative to the claims file")
    return str(place)


def _claims(content: Reading, paper: str | None) -> list[Claim]:
    claims = content.get("claims", ())
    if not isinstance(claims, (list, tuple)):
        raise Problem("claims: must be a list")
    return [_claim(checks.mapping(claim, f"claims[{i}]"), f"claims[{i}]", paper) for i, claim in enumerate(claims)]


def _claim(content: Reading, where: str, paper: str | None) -> Claim:
    forms = [form for form in FORMS if form in content]
    if len(forms) != 1:
        raise Problem(f"{where}: must have exactly one of {', '.join(FORMS)}")
    (form,) = forms
    needed, more = FORMS[form]
    checks.known(content, (*(("paper",) if paper is None else ()), "text", form, *needed, *more), f"{where}.")
    for key in ("text", *(("paper",) if paper is None else ()), *needed):
        checks.required(content, key, f"{where}.")
    settings = dict(content)
    if form in ("beats", "within"):
        settings[form] = [
            [_row_name(side, paper) for side in pair] for pair in checks.pairs(content[form], f"{where}.{form}")
        ]
    elif form == "falls":
        settings[form] = _row_name(content[form], paper)
    else:
        settings["row"] = _row_name(content["row"], paper)
    if "after" in settings:
        checks.whole(settings["after"], f"{where}.after", least=10)
    if "metric" in settings:
        checks.word(settings["metric"], f"{where}.metric")
    if "lower" in settings:
        checks.flag(settings["lower"], f"{where}.lower")
    for key in NUMBERS & {*settings}:
        settings[key] = checks.number(settings[key], f"{where}.{key}", positive=key == "margin")
    if form in ("weakest", "mistaken"):
        settings[form] = checks.classes(content[form], f"{where}.{form}")
        if form == "mistaken" and len(settings[form]) != 2:
            raise Problem(f"{where}.mistaken: must be two classes, the true one and the predicted one")
    text = checks.text(content["text"], f"{where}.text")
    return Claim(str(content.get("paper", paper)), text, form, settings)


def _row_name(value: Any, paper: str | None) -> str:
    return str(value) if paper is None else f"{paper}/{value}"
