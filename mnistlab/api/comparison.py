"""A comparison, for a notebook: its table and its verdicts."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from mnistlab.analysis import comparison_table
from mnistlab.analysis.compare import Comparison, effects
from mnistlab.analysis.verdicts import Verdict

if TYPE_CHECKING:
    import pandas as pd


class ComparisonView:
    """What `mnistlab.compare` returns.

    Attributes:
        verdicts: one for each pair of settings: ``outcome`` (better, equivalent, undecided), ``p``, ``text``, ...
        effects: where several settings vary, the comparison of the values of each over all the others.
        warnings: what to bear in mind.
    """

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdict on each pair."""
        return self.comparison.verdicts

    @property
    def effects(self) -> dict[str, ComparisonView]:
        """Return for every setting, where several vary, the comparison of its values over all the others."""
        return {str(one.question.factor): ComparisonView(one) for one in effects(self.comparison)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return the warnings, after notes on how the values came about."""
        return (*self.comparison.notes, *self.comparison.warnings)

    def frame(self) -> pd.DataFrame:
        """Return the settings, best first, with n, mean, sd and half-width of the interval of each metric."""
        import pandas as pd

        rows = [
            {
                **group.settings,
                **{
                    f"{name}.{key}": getattr(mean, key)
                    for name, mean in means.items()
                    for key in ("n", "mean", "sd", "half")
                },
            }
            for group, means in zip(self.comparison.groups, self.comparison.means, strict=True)
        ]
        return pd.DataFrame(rows)

    def latex(self, by: str | None = None) -> str:
        """Return the table in LaTeX, the best in bold; ``by`` makes a column for each value of a setting."""
        return comparison_table.latex(self.comparison, by)

    def __str__(self) -> str:
        return comparison_table.text(self.comparison)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        header, rows = comparison_table.table(self.comparison)
        lines = [f"<th>{escape(name)}</th>" for name in header]
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        verdicts = "".join(f"<li>{escape(verdict.text)}</li>" for verdict in self.verdicts)
        return f"<table><tr>{''.join(lines)}</tr>{body}</table><ul>{verdicts}</ul>"
