"""Papers, or reports of one's own: their rows with the reported figures, and their claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mnistlab.papers.metrics import exponent
from mnistlab.system.errors import RequestError, did_you_mean

BUDGETS = ("full", "quick")
FORMS = {  # of a claim, with the other keys that it must have, and those that it may have
    "beats": (("metric",), ("lower",)),
    "within": (("metric", "margin"), ()),
    "above": (("row", "metric"), ()),
    "below": (("row", "metric"), ()),
    "weakest": (("row",), ()),
    "mistaken": (("row",), ()),
    "falls": (("after",), ()),
}
KINDS = ("train", "runs", "explore", "grid")
NEAR = ".near"  # the suffix of a row's near settings: oxford/svm_rbf.near


@dataclass(frozen=True)
class Near:
    """Near settings: other settings of a row, with which our figure comes close to the paper's."""

    overrides: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Row:
    """One row of a paper. ``reported`` are its figures as printed, by metric.

    A row is a sweep with the overrides ``words``, or of a paper's experiment, or it consists of ``existing`` runs and
    sweeps, or it is run by ``command``. ``seeds`` and ``overrides`` have one entry per budget. A row of a single report
    is ``is_own``.
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
    words: tuple[str, ...] = ()
    existing: tuple[str, ...] = ()
    is_own: bool = False

    @property
    def id(self) -> str:
        """Return paper/name, which is also the name of a paper's experiment."""
        return f"{self.paper}/{self.name}"

    @property
    def train(self) -> tuple[str, ...]:
        """Return the overrides of its runs: its own, or the experiment of a paper's row."""
        return self.words or (f"experiment={self.id}",)

    @property
    def label(self) -> str:
        """Return the name by which the file calls the row."""
        return self.name if self.is_own else self.id

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics on the page."""
        return tuple(dict.fromkeys([*self.reported, *self.also])) or ("test.accuracy",)

    def rounding(self, metric: str) -> float:
        """Return how much a figure may differ from the measured value because of rounding."""
        return 0.05 if self.about else 0.5 * 10.0 ** exponent(self.reported[metric])


@dataclass(frozen=True)
class Claim:
    """A claim of a paper about its rows. ``settings`` are those of its form, as explained in conf/papers.yaml."""

    paper: str
    text: str
    form: str
    settings: Mapping[str, Any] = field(repr=False)

    @property
    def sides(self) -> tuple[str, ...]:
        """Return what the claim names: rows, or parts of swept rows with their settings."""
        if self.form in ("beats", "within"):
            return tuple(side for pair in self.settings[self.form] for side in pair)
        return (self.settings["falls" if self.form == "falls" else "row"],)

    @property
    def rows(self) -> tuple[str, ...]:
        """Return the rows whose runs decide the claim."""
        return tuple(dict.fromkeys(side.split()[0] for side in self.sides))  # with .near for a row's near settings


@dataclass(frozen=True)
class Paper:
    """A paper: its title, notes on its protocol, its rows, and its own pictures and tables."""

    name: str
    title: str
    about: str
    rows: tuple[Row, ...]
    pictures: tuple[Mapping[str, Any], ...] = ()
    exchanged: tuple[str, ...] = ()
    structures: tuple[str, ...] = ()
    bias: tuple[str, ...] = ()
    ranking: tuple[str, ...] = ()


@dataclass(frozen=True)
class Figures:
    """The content of a claims file."""

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
