"""conf/papers.yaml: the rows of the papers with the reported figures, and their claims."""

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
NEAR = ".near"  # the suffix of a row's near settings: oxford/svm_rbf.near


@dataclass(frozen=True)
class Near:
    """Near settings: other settings of a row, with which our figure comes close to the paper's."""

    overrides: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Row:
    """One row of a paper. ``reported`` are its figures as printed, by metric.

    A row of another kind than train is run by ``command`` instead of a sweep of its experiment. ``seeds`` and
    ``overrides`` have one entry per budget.
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
        """Return paper/name, which is also the name of the experiment."""
        return f"{self.paper}/{self.name}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics on the page."""
        return tuple(dict.fromkeys([*self.reported, *self.also])) or ("test.accuracy",)

    def rounding(self, metric: str) -> float:
        """Return how much a figure may differ from the measured value because of rounding."""
        digits = len(self.reported[metric].partition(".")[2])
        return 0.05 if self.about else 0.5 * 10.0**-digits


@dataclass(frozen=True)
class Claim:
    """A claim of a paper about its rows. ``settings`` are those of its form, as explained in conf/papers.yaml."""

    paper: str
    text: str
    form: str
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the rows whose runs decide the claim."""
        settings = self.settings
        named = (
            [row for pair in settings.get(self.form, ()) for row in pair] if self.form in ("beats", "within") else []
        )
        if self.form not in ("beats", "within"):
            named = [settings["falls"] if self.form == "falls" else settings["row"]]
        return tuple(dict.fromkeys(row.split()[0] for row in named))  # with .near for a row's near settings


@dataclass(frozen=True)
class Paper:
    """A paper: its title, notes on its protocol, its rows, and its own pictures and tables."""

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
    """The content of conf/papers.yaml."""

    papers: tuple[Paper, ...]
    claims: tuple[Claim, ...]

    @property
    def rows(self) -> dict[str, Row]:
        """Return every row by its id."""
        return {row.id: row for paper in self.papers for row in paper.rows}

    def choose(self, words: Sequence[str]) -> list[Row]:
        """Return the rows with these names, or of papers with these names, each once, in the order of the file."""
        rows = self.rows
        names = [*(paper.name for paper in self.papers), *rows]
        for word in words:
            if word not in names:
                raise RequestError(
                    f"{word}: neither a paper ({', '.join(paper.name for paper in self.papers)}) nor a row of one; "
                    f"`mnistlab reproduce --list` lists them{did_you_mean(word, names)}"
                )
        return [row for row in rows.values() if row.paper in words or row.id in words]


def read(path: Path | None = None) -> Figures:
    """Return the content of conf/papers.yaml, or of another such file; any problem is a `RequestError`."""
    path = path or options.folder() / "papers.yaml"
    try:
        content = safe_yaml.load(path)
        papers = tuple(_paper(name, entry) for name, entry in content["papers"].items())
        figures = Figures(papers, tuple(_claim(entry) for entry in content["claims"]))
    except UnreadableError as error:
        why = getattr(error.cause, "strerror", None) or f"not a list of papers ({error.reason})"
        raise RequestError(f"{path}: {why}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestError(f"{path}: not a list of papers ({type(error).__name__}: {error})") from None
    for claim in figures.claims:
        for row in claim.rows:
            if row.removesuffix(NEAR) not in figures.rows:
                raise RequestError(
                    f"{path}: {claim.text!r} names the unknown row {row}{did_you_mean(row, figures.rows)}"
                )
    return figures


def _paper(name: str, content: Mapping[str, Any]) -> Paper:
    rows = tuple(_row(name, row, settings) for row, settings in content["rows"].items())
    tables = {key: tuple(content.get(key, ())) for key in ("pictures", "structures", "bias", "ranking")}
    return Paper(name, content["title"], content["about"].strip(), rows, exchanged=content.get("exchanged"), **tables)


def _row(paper: str, name: str, content: Mapping[str, Any]) -> Row:
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
    if unknown := set(content) - allowed:
        raise ValueError(f"{paper}/{name} has unknown keys: {', '.join(sorted(unknown))}")
    kind, quick, near = content.get("kind", "train"), content.get("quick", {}), content.get("near")
    if kind not in KINDS:
        raise ValueError(f"{paper}/{name} has the unknown kind {kind}")
    seeds = int(content.get("seeds", 1))
    reported = {str(metric): str(figure) for metric, figure in content["reported"].items()}
    for figure in reported.values():
        float(figure)
    return Row(
        paper,
        name,
        kind,
        reported,
        tuple(content.get("also", ())),
        bool(content.get("about", False)),
        bool(content.get("at_least", False)),
        float(content["minutes"]),
        {"full": seeds, "quick": int(quick.get("seeds", seeds))},
        {"full": (), "quick": tuple(quick.get("overrides", ()))},
        Near(tuple(near["overrides"]), near["why"]) if near else None,
        tuple(content.get("pictures", ())),
        content.get("command", f"mnistlab reproduce {paper}/{name}"),
    )


def _claim(content: Mapping[str, Any]) -> Claim:
    (form,) = [form for form in FORMS if form in content]
    return Claim(content["paper"], content["text"], form, content)
