"""CSV text: quoted where it has to be, floats exact, and read back as it was."""

import csv
import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistlab.system import files

TEXT = st.text(st.sampled_from('ab ,"\n\r;\x0b\u2028') | st.characters(codec="utf-8"), max_size=6)
CELLS = TEXT | st.floats() | st.integers() | st.none() | st.booleans()
TABLES = st.integers(2, 4).flatmap(
    lambda n: st.tuples(
        st.lists(TEXT, min_size=n, max_size=n), st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=4)
    )
)


def plain(cell):
    """Return a cell as text before any quoting: the rule that every CSV file of a run follows."""
    if isinstance(cell, float):
        return "" if math.isnan(cell) else repr(cell)
    return str(cell)


def quoted(text):
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\n\r') else text


@given(TABLES)
def test_a_cell_is_quoted_only_where_it_holds_a_comma_a_quote_or_the_end_of_a_line(table):
    columns, rows = table
    lines = [",".join(quoted(plain(cell)) for cell in row) for row in (columns, *rows)]
    assert files.csv(columns, rows) == "\n".join(lines) + "\n"


@given(TABLES)
def test_the_standard_library_reads_it_back(table):
    columns, rows = table
    text = files.csv(columns, rows)
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        [plain(cell) for cell in row] for row in (columns, *rows)
    ]


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ((0.1, 1e-300, math.inf), "0.1,1e-300,inf\n"),
        ((math.nan, -0.0, 3), ",-0.0,3\n"),
        (("a\rb", "a\r\n", 'say "x"'), '"a\rb","a\r\n","say ""x"""\n'),
        ((None, True, ""), "None,True,\n"),
    ],
)
def test_cells(row, line):
    assert files.csv(("a", "b", "c"), [row]) == "a,b,c\n" + line


def test_an_only_cell_that_is_empty_is_quoted_for_a_blank_line_is_no_row():
    assert files.csv(("a",), [[""], [math.nan]]) == 'a\n""\n""\n'
