"""A claims file, checked: conf/papers.yaml with several papers, or a file with one title, its rows and its claims."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnistlab.config import options, safe_yaml
from mnistlab.papers import runner
from mnistlab.papers.spec import FORMS, KINDS, NEAR, Claim, Figures, Near, Paper, Row
from mnistlab.system import files
from mnistlab.system.errors import RequestError, did_you_mean

OWN = ("title", "about", "rows", "seeds", "claims")  # keys of a file of one's own
EXTRA = ("exchanged", "pictures", "structures", "bias", "ranking")  # more tables and pictures of a paper
ROW = (
    *("kind", "train", "runs", "reported", "also", "about", "at_least", "minutes", "seeds", "quick", "near"),
    *("pictures", "command"),
)
Reading = Mapping[str, Any]


class _Problem(Exception):
    """Where a file is wrong, and why."""


def read(path: Path | None = None) -> Figures:
    """Return the content of a claims file, by default that of the five papers; any problem is a `RequestError`."""
    path = path or options.folder() / "papers.yaml"
    try:
        safe_yaml.read(path)  # says the line of an error
        return _figures(safe_yaml.load(path), path)
    except FileNotFoundError:
        raise RequestError(f"{files.shown(path)}: no such file; name a claims file") from None
    except _Problem as error:
        raise RequestError(f"{files.shown(path)}: {error}") from None


def _figures(content: Any, path: Path) -> Figures:
    content = _mapping(content, "the file", "with title, rows and claims")
    if "papers" in content:
        _known(content, ("papers", "claims"), "the file")
        papers = [
            _paper(str(name), _mapping(entry, f"papers.{name}"), f"papers.{name}.", path)
            for name, entry in _mapping(content["papers"], "papers").items()
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
                raise _Problem(
                    f"claims[{i}]: there is no row {said}; rows are {_list(known)}{did_you_mean(said, known)}"
                )
        for side in claim.sides:
            _complete(side, figures, f"claims[{i}]")
    return figures


def _complete(side: str, figures: Figures, where: str) -> None:
    """Refuse a part of a swept row that does not give every key that the row sweeps, or gives others."""
    name, *settings = side.split()
    row = figures.rows[name.removesuffix(NEAR)]
    for setting in settings:
        if "=" not in setting:
            said = side.partition("/")[2] if row.is_own else side
            raise _Problem(f"{where}: {said}: {setting} is no setting; must be key=value")
    keys, given = list(runner.grid(row)), [setting.partition("=")[0] for setting in settings]
    if row.kind == "train" and sorted(keys) != sorted(given):
        example = " ".join([row.label, *(f"{key}=..." for key in keys)])
        raise _Problem(
            f"{where}: {row.label} sweeps {', '.join(keys)}; name one of its settings: {example}"
            if keys
            else f"{where}: {row.label} sweeps nothing; leave out {' '.join(settings)}"
        )


def _paper(name: str, content: Reading, where: str, path: Path, alone: bool = False) -> Paper:
    _known(content, (*OWN, "papers") if alone else ("title", "about", "rows", *EXTRA), where)
    rows = _mapping(_required(content, "rows", where), f"{where}rows")
    seeds = _whole(content.get("seeds", 1), f"{where}seeds")
    all_rows = tuple(_row(name, str(row), of, f"{where}rows.{row}", seeds, path, alone) for row, of in rows.items())
    lists = {key: tuple(content.get(key, ())) for key in EXTRA}
    title, about = str(_required(content, "title", where)), str(content.get("about", "")).strip()
    return Paper(name, title, about, all_rows, **lists)


def _row(paper: str, name: str, content: Any, where: str, seeds: int, path: Path, alone: bool) -> Row:
    content = _mapping(content, where)
    _known(content, ROW, f"{where}.")
    if not re.fullmatch(r"[\w-]+", name):
        raise _Problem(f"{where}: the name of a row must consist of letters, digits, - and _")
    quick = _mapping(content.get("quick", {}), f"{where}.quick")
    near = _mapping(content["near"], f"{where}.near") if "near" in content else None
    kind = str(content.get("kind", "runs" if "runs" in content else "train"))
    if kind not in KINDS:
        raise _Problem(f"{where}.kind={kind}: must be one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}")
    if alone and ("train" in content) == ("runs" in content):
        raise _Problem(f"{where}: must have either train (the overrides of its runs) or runs (existing ones)")
    seeds = _whole(content.get("seeds", seeds), f"{where}.seeds")
    row = Row(
        paper,
        name,
        kind,
        _reported(content.get("reported", {}), f"{where}.reported"),
        tuple(map(str, content.get("also", ()))),
        bool(content.get("about", False)),
        bool(content.get("at_least", False)),
        _minutes(content.get("minutes", 0), f"{where}.minutes"),
        {"full": seeds, "quick": _whole(quick.get("seeds", seeds), f"{where}.quick.seeds", least=0)},
        {"full": (), "quick": tuple(quick.get("overrides", ()))},
        Near(tuple(near["overrides"]), near["why"]) if near else None,
        tuple(content.get("pictures", ())),
        content.get("command", "" if alone else f"mnistlab reproduce {paper}/{name}"),
        _overrides(content["train"], f"{where}.train") if "train" in content else (),
        tuple(_existing(each, f"{where}.runs", path) for each in _texts(content.get("runs", ()), f"{where}.runs")),
        alone,
    )
    if row.reported and runner.grid(row):
        raise _Problem(
            f"{where}.reported: the row sweeps {', '.join(runner.grid(row))} and has no single figure; make a row of "
            f"the setting that the figure is of"
        )
    return row


def _minutes(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise _Problem(f"{where}={value}: must be a number of 0 or more")
    return float(value)


def _reported(content: Any, where: str) -> dict[str, str]:
    reported = {str(metric): str(figure) for metric, figure in _mapping(content, where).items()}
    for metric, figure in reported.items():
        try:
            finite = math.isfinite(float(figure))
        except ValueError:
            finite = False
        if not finite:
            raise _Problem(f'{where}.{metric}={figure}: must be a number as printed, for example "0.98"')
    return reported


def _overrides(value: Any, where: str) -> tuple[str, ...]:
    try:
        words = shlex.split(value) if isinstance(value, str) else _texts(value, where)
    except ValueError as error:  # quotes
        raise _Problem(f"{where}: {value}: {str(error).lower()}; close the quotation") from None
    for word in words:
        key = word.partition("=")[0].lstrip("+")
        if "=" not in word:
            raise _Problem(f"{where}: {word} is no override; must be key=value")
        if key == "seed" or key.startswith("hydra"):
            cure = "give seeds: N instead" if key == "seed" else "leave it out"
            raise _Problem(f"{where}: {word} is set by mnistlab; {cure}")
    return tuple(words)


def _existing(text: str, where: str, path: Path) -> str:
    place = path.parent / text
    if not place.is_dir():
        raise _Problem(f"{where}={text}: no such directory; paths are relative to the claims file")
    return str(place)


def _claims(content: Reading, paper: str | None) -> list[Claim]:
    claims = content.get("claims", ())
    if not isinstance(claims, (list, tuple)):
        raise _Problem("claims: must be a list")
    return [_claim(_mapping(claim, f"claims[{i}]"), f"claims[{i}]", paper) for i, claim in enumerate(claims)]


def _claim(content: Reading, where: str, paper: str | None) -> Claim:
    forms = [form for form in FORMS if form in content]
    if len(forms) != 1:
        raise _Problem(f"{where}: must have exactly one of {', '.join(FORMS)}")
    (form,) = forms
    needed, more = FORMS[form]
    _known(content, (*(("paper",) if paper is None else ()), "text", form, *needed, *more), f"{where}.")
    for key in ("text", *(("paper",) if paper is None else ()), *needed):
        _required(content, key, f"{where}.")
    settings = dict(content)
    if form in ("beats", "within"):
        settings[form] = [
            [_row_name(side, paper) for side in pair] for pair in _pairs(content[form], f"{where}.{form}")
        ]
    elif form == "falls":
        settings[form] = _row_name(content[form], paper)
    else:
        settings["row"] = _row_name(content["row"], paper)
    if "after" in settings:
        _whole(settings["after"], f"{where}.after", least=10)
    for key in {"margin", *({form} & {"above", "below"})} & {*settings}:
        _number(settings[key], f"{where}.{key}", positive=key != form)
    if form in ("weakest", "mistaken"):
        names = _texts(content[form], f"{where}.{form}")
        if form == "mistaken" and len(names) != 2:
            raise _Problem(f"{where}.mistaken: must be two classes, the true one and the predicted one")
    return Claim(str(content.get("paper", paper)), str(content["text"]), form, settings)


def _row_name(value: Any, paper: str | None) -> str:
    return str(value) if paper is None else f"{paper}/{value}"


def _pairs(value: Any, where: str) -> Sequence[Sequence[str]]:
    is_list = isinstance(value, list) and bool(value)
    if is_list and all(isinstance(one, str) for one in value):
        value = [value]  # a single pair
    if not is_list or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise _Problem(f"{where}: must be a list of pairs of rows, for example [[wide, narrow]]")
    return value


def _number(value: Any, where: str, positive: bool) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or (positive and value <= 0):
        raise _Problem(f"{where}={value}: must be a number{' above 0' if positive else ''}")


def _whole(value: Any, where: str, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise _Problem(f"{where}={value}: must be a whole number of {least} or more")
    return value


def _texts(value: Any, where: str) -> list[str]:
    value = [value] if isinstance(value, (str, int)) else value
    if not isinstance(value, (list, tuple)) or any(isinstance(one, (list, dict)) for one in value):
        raise _Problem(f"{where}: must be a list of words")
    return [str(one) for one in value]


def _mapping(value: Any, where: str, what: str = "of keys and values") -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _Problem(f"{where}: must be a mapping {what}")
    return value


def _required(content: Reading, key: str, where: str) -> Any:
    if content.get(key) is None:
        raise _Problem(f"{where}{key}: is missing")
    return content[key]


def _known(content: Reading, keys: Collection[str], where: str) -> None:
    for key in content:
        if key not in keys:
            raise _Problem(f"{where if where.endswith('.') else ''}{key}: unknown key; keys are {_list(keys)}"
                           f"{did_you_mean(key, keys)}")  # fmt: skip


def _list(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:20])
