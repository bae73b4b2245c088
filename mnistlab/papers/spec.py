"""conf/papers.yaml: the rows of the papers with the figures they report, and their claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnistlab.config import options, safe_yaml
from mnistlab.system.errors import RequestError, did_you_mean
from mnistlab.system.readers import UnreadableError

BUDGETS = ("full", "quick")
FORMS = ("beats", "within", "above", "weakest", "mistaken", "falls")
KINDS = ("train", "explore", "grid")
NEAR = ".near"  # what a row's other settings are called: oxford/svm_rbf.near


@dataclass(frozen=True)
class Near:
    """Other settings of a row, with which our figure comes to the paper's."""

    overrides: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Row:
    """One row of a paper. ``reported`` are its figures as printed, by metric.

    A row of another kind than train is made by ``command``, and not by a sweep of its experiment. ``seeds`` and
    ``overrides`` have one entry a budget.
    """

    paper: str
    name: str
    kind: str
    reported: Mapping[str, str]
    also: tuple[str, ...]
    about: bool
    at_least: bool
    minutes: float
    seeds: Mapping[str, int]
    overrides: Mapping[str, tuple[str, ...]]
    near: Near | None
    pictures: tuple[str, ...]
    command: str

    @property
    def id(self) -> str:
        """Return paper/name, which is the experiment too."""
        return f"{self.paper}/{self.name}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that the page shows."""
        return tuple(dict.fromkeys([*self.reported, *self.also])) or ("test.accuracy",)

    def rounding(self, metric: str) -> float:
        """Return by how much a figure may differ from what was measured, because it was rounded."""
        digits = len(self.reported[metric].partition(".")[2])
        return 0.05 if self.about else 0.5 * 10.0**-digits


@dataclass(frozen=True)
class Claim:
    """A claim of a paper about its rows. ``settings`` are those of its form, as conf/papers.yaml explains them."""

    paper: str
    text: str
    form: str
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the rows whose runs decide it."""
        given = self.settings
        named = [one for pair in given.get(self.form, ()) for one in pair] if self.form in ("beats", "within") else []
        if self.form not in ("beats", "within"):
            named = [given["falls"] if self.form == "falls" else given["row"]]
        return tuple(dict.fromkeys(one.split()[0] for one in named))  # with .near: a row's other settings


@dataclass(frozen=True)
class Paper:
    """A paper: its title, what is to be known of its protocol, its rows, and the pictures and tables of its own."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    pictures: tuple[Mapping[str, Any], ...] = ()
    exchanged: str | None = None
    structures: tuple[str, ...] = ()
    bias: tuple[str, ...] = ()
    ranking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The whole file."""

    papers: tuple[Paper, ...]
    claims: tuple[Claim, ...]

    @property
    def rows(self) -> dict[str, Row]:
        """Return every row by its id."""
        return {row.id: row for paper in self.papers for row in paper.rows}

    def choose(self, words: Sequence[str]) -> list[Row]:
        """Return the rows that papers and rows name, each once, in the order of the file."""
        known = self.rows
        names = [*(paper.name for paper in self.papers), *known]
        for word in words:
            if word not in names:
                raise RequestError(
                    f"{word}: neither a paper ({', '.join(paper.name for paper in self.papers)}) nor a row of one; "
                    f"`mnistlab reproduce --list` shows them{did_you_mean(word, names)}"
                )
        return [row for row in known.values() if row.paper in words or row.id in words]


def read(path: Path | None = None) -> Figures:
    """Return conf/papers.yaml, or another file of its form; what is wrong in it is a `RequestError`."""
    path = path or options.folder() / "papers.yaml"
    try:
        content = safe_yaml.load(path)
        papers = tuple(_paper(name, given) for name, given in content["papers"].items())
        found = Figures(papers, tuple(_claim(given) for given in content["claims"]))
    except UnreadableError as error:
        why = getattr(error.cause, "strerror", None) or f"not the figures of papers ({error.reason})"
        raise RequestError(f"{path}: {why}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(f"{path}: not the figures of papers ({type(error).__name__}: {error})") from None
    for claim in found.claims:
        for row in claim.rows:
            if row.removesuffix(NEAR) not in found.rows:
                raise RequestError(f"{path}: {claim.text!r} names the row {row}{did_you_mean(row, found.rows)}")
    return found


def _paper(name: str, given: Mapping[str, Any]) -> Paper:
    rows = tuple(_row(name, row, settings) for row, settings in given["rows"].items())
    tables = {key: tuple(given.get(key, ())) for key in ("pictures", "structures", "bias", "ranking")}
    return Paper(name, given["title"], given["about"].strip(), rows, exchanged=given.get("exchanged"), **tables)


def _row(paper: str, name: str, given: Mapping[str, Any]) -> Row:
    allowed = {
        "kind",
        "reported",
        "also",
        "about",
        "at_least",
        "minutes",
        "seeds",
        "quick",
        "near",
        "pictures",
        "command",
    }
    if unknown := set(given) - allowed:
        raise ValueError(f"{paper}/{name} has {', '.join(sorted(unknown))}")
    kind, quick, near = given.get("kind", "train"), given.get("quick", {}), given.get("near")
    if kind not in KINDS:
        raise ValueError(f"{paper}/{name} is of the kind {kind}")
    seeds = int(given.get("seeds", 1))
    reported = {str(metric): str(figure) for metric, figure in given["reported"].items()}
    for figure in reported.values():
        float(figure)
    return Row(
        paper,
        name,
        kind,
        reported,
        tuple(given.get("also", ())),
        bool(given.get("about", False)),
        bool(given.get("at_least", False)),
        float(given["minutes"]),
        {"full": seeds, "quick": int(quick.get("seeds", seeds))},
        {"full": (), "quick": tuple(quick.get("overrides", ()))},
        Near(tuple(near["overrides"]), near["why"]) if near else None,
        tuple(given.get("pictures", ())),
        given.get("command", f"mnistlab reproduce {paper}/{name}"),
    )


def _claim(given: Mapping[str, Any]) -> Claim:
    (form,) = [form for form in FORMS if form in given]
    return Claim(given["paper"], given["text"], form, given)
