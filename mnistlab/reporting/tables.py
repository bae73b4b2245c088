"""Text tables: aligned for a terminal, in Markdown and in LaTeX."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import tabulate as library
from tabulate import DataRow, TableFormat, tabulate

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # header, rows

library.WIDE_CHARS_MODE = False  # the same tables everywhere, whether or not wcwidth happens to be installed
ALIGNED = TableFormat(None, None, None, None, DataRow("", "  ", ""), DataRow("", "  ", ""), 0, None)
MARKDOWN = TableFormat(
    lineabove=None,
    linebelowheader=lambda widths, _: "| " + " | ".join(["---"] * len(widths)) + " |",
    linebetweenrows=None,
    linebelow=None,
    headerrow=DataRow("| ", " | ", " |"),
    datarow=DataRow("| ", " | ", " |"),
    padding=0,
    with_header_hide=None,
)


def text(table: Table, right: Collection[int] = ()) -> str:
    """Return a table with aligned columns: those with indices in ``right`` to the right, the others to the left."""
    header, rows = table
    # The header is passed as a row: as a header, it would widen its column
    return tabulate(
        [header, *rows],
        tablefmt=ALIGNED,
        disable_numparse=True,
        preserve_whitespace=True,
        colalign=_alignment(header, right),
    )


def markdown(table: Table) -> str:
    """Return a table in Markdown, with vertical lines in cells escaped."""
    header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in (table[0], *table[1]))
    return tabulate(rows, header, tablefmt=MARKDOWN, disable_numparse=True, preserve_whitespace=True, stralign=None)


def latex(table: Table, right: Collection[int] = (), columns: str = "") -> str:
    """Return a table in LaTeX with the rules of the package booktabs; special characters are escaped.

    As in Markdown, ``**text**`` is bold. ``columns`` is another specification of the columns, for example with widths.
    """
    header, rows = table
    text = tabulate(rows, header, tablefmt="latex_booktabs", disable_numparse=True, colalign=_alignment(header, right))
    text = text.replace("+/-", r"$\pm$").replace("\u2020", r"$^{\dagger}$")
    text = re.sub(r"\*\*(.+?)\*\*", r"\\textbf{\1}", text)
    return re.sub(r"(?<=\\begin\{tabular\}\{)[lr]+(?=\})", lambda found: columns or found[0], text, count=1)


def _alignment(header: Sequence[str], right: Collection[int]) -> list[str]:
    return ["right" if i in right else "left" for i in range(len(header))]
