"""Tables of text: columns that line up, Markdown and LaTeX that stay whole whatever a cell holds."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mnistlab.reporting import tables

SIMPLE = (["setting", "runs"], [["0.10", "6"], ["1e-3", "12"], ["True", ""]])
CELLS = st.text(st.sampled_from("ab 01.|\\é日-"), max_size=8) | st.sampled_from(["True", "None", "1e5", "0.10", "-"])
TABLES = st.integers(1, 4).flatmap(
    lambda n: st.tuples(
        st.lists(CELLS, min_size=n, max_size=n), st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=5)
    )
)


def test_columns_begin_at_the_same_place_and_lines_have_no_spaces_at_their_end():
    assert tables.text(SIMPLE) == "setting  runs\n0.10     6\n1e-3     12\nTrue"


def test_columns_of_numbers_end_at_the_same_place():
    assert tables.text(SIMPLE, right=[1]) == "setting  runs\n0.10        6\n1e-3       12\nTrue"


def test_a_table_without_rows_is_its_header():
    assert tables.text((["setting", "runs"], [])) == "setting  runs"
    assert tables.markdown((["setting", "runs"], [])) == "| setting | runs |\n| --- | --- |"


@given(TABLES)
def test_every_cell_is_shown_as_it_is_in_a_column_as_wide_as_its_widest_cell(table):
    header, rows = table
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    assert tables.text(table) == "\n".join(line.rstrip() for line in lines)


@given(TABLES)
def test_cells_of_markdown_are_not_padded(table):
    header, rows = table
    lines = [" | ".join(cell.replace("|", "\\|") for cell in row) for row in (header, ["---"] * len(header), *rows)]
    assert tables.markdown(table) == "\n".join(f"| {line} |" for line in lines)


def test_a_bar_in_a_cell_does_not_end_it_in_markdown():
    assert tables.markdown((["a|b"], [["c|d"]])) == "| a\\|b |\n| --- |\n| c\\|d |"


def test_latex_has_the_rules_of_booktabs_a_line_a_row_and_a_letter_a_column():
    lines = tables.latex(SIMPLE, right=[1]).splitlines()
    assert lines[0] == r"\begin{tabular}{lr}"
    assert [lines.index(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 3, 7]
    assert lines[-1] == r"\end{tabular}"
    cells = [[cell.strip() for cell in line.removesuffix(r"\\").split("&")] for line in (lines[2], *lines[4:7])]
    assert cells == [SIMPLE[0], *SIMPLE[1]]


def test_latex_escapes_what_it_would_read_as_a_command():
    line = tables.latex((["a_b"], [[r"50 % & $x^2$ #1 {y} ~ \init"]])).splitlines()[4]
    escaped = r"50 \% \& \$x\^{}2\$ \#1 \{y\} \textasciitilde{} \textbackslash{}init"
    assert re.sub(r"\s+", " ", line).strip() == escaped + r" \\"
