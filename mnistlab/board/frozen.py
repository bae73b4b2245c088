"""The page with its runs in one file that needs no server and no network.

The modules of the page become one script: each is a function that returns what it exports. The data stand in a block
that is no script, and a policy in the file allows nothing but that script and style, so that no name of a run can do
anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from mnistlab.board import one_run, requests
from mnistlab.board.board import Board
from mnistlab.board.table import Entry, as_json
from mnistlab.reporting.html import readable
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError

MOST_RUNS = 1000
MOST_BYTES = 1_700_000  # of the data, which with the script makes a file below two million
POINTS = (200, 100, 50, 20)  # of a curve: fewer if the file would be too large
METRICS = ("validation.accuracy", "test.accuracy", "validation.loss", "test.loss")
IMPORT = re.compile(r"^import (?:(\w+)|\* as (\w+)|\{ ([^}]*) \}) from \"\./([\w./]+)\";\n", re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
DEFAULT = re.compile(r"^export \{ (\w+) as default \};\n", re.MULTILINE)


def write(root: Path, filters: Sequence[str], path: Path) -> tuple[Path, int, int]:
    """Write the runs below a folder that match the filters; return the path, the number of runs, and the bytes."""
    if not path.absolute().parent.is_dir():
        raise RequestError(f"--freeze {path}: there is no folder {path.parent}; name a file in one that exists")
    with closing(Board(root)) as board:
        numbers = board.table.matching(list(filters))
        if not numbers:
            matching = f" match {' '.join(filters)}" if filters else ""
            raise RequestError(f"--freeze {path}: no runs in {root}{matching}; `mnistlab runs` lists them")
        if len(numbers) > MOST_RUNS:
            raise RequestError(
                f"--freeze {path}: {len(numbers):,} runs are more than the {MOST_RUNS:,} of one file; add filters"
            )
        entries = [board.entry(number) for number in sorted(numbers)]
        page = _page(_data(board, entries))
    files.write(path, page)
    return path, len(entries), len(page.encode())


def _data(board: Board, entries: Sequence[Entry]) -> str:
    """Return the data as JSON, with thinner curves and without the confusion matrices if it would be too large."""
    columns = board.table.columns()
    numbers = [entry.number for entry in entries]
    content: dict[str, Any] = {
        "when": datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        "runs": {
            "session": "frozen",
            "version": 1,
            "folder": readable(board.root.name),  # not its path: the file is handed on
            "columns": columns,
            "common": _common(entries, columns),
            "keys": columns,
            "varying": list(board.table.keys.varying),
            "runs": [as_json(entry, columns) for entry in entries],
            "gone": [],
        },
        "comparisons": _comparisons(board, numbers),
        "run": {number: _about(board, number) for number in numbers},
    }
    for points in POINTS:
        content["curves"] = board.curves.of(entries, points)
        text = _json(content)
        if len(text) <= MOST_BYTES:
            return text
    content["run"] = {}
    return _json(content)


def _common(entries: Sequence[Entry], columns: Sequence[str]) -> dict[str, Any]:
    """Return the settings and metrics besides the columns that all runs share, by which a filter may ask."""
    first, *rest = (entry.row.values for entry in entries)
    return {
        key: readable(value) if isinstance(value, str) else value
        for key, value in first.items()
        if key not in columns and all(key in other and other[key] == value for other in rest)
    }


def _comparisons(board: Board, numbers: Sequence[int]) -> dict[str, Any]:
    """Return the comparison of all runs by each of the usual metrics that they have."""
    found = {}
    for metric in METRICS:
        with suppress(RequestError):
            found[metric] = requests.compare(board, {"runs": list(numbers), "metric": metric})
    return found


def _about(board: Board, number: int) -> dict[str, Any]:
    try:
        about = one_run.overview(board, {"run": number})
    except (RequestError, ValueError, OSError) as error:
        about = {"run": [], "settings": {}, "test": None, "problem": str(error), "has_report": False}
    about["settings"] = {key: text for key, text in about["settings"].items() if key.count(".") < 3}
    return {key: value for key, value in about.items() if key not in ("roc", "run", "columns")}


def _json(content: Mapping[str, Any]) -> str:
    """Return JSON in which nothing can end the block that it stands in."""
    text = json.dumps(output.plain(content), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _page(data: str) -> str:
    folder = Path(str(resources("mnistlab.board") / "static"))
    style = "".join((folder / name).read_text(encoding="utf-8") for name in ("uplot/uPlot.min.css", "board.css"))
    script = bundle(folder, "main.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (folder / "index.html").read_text(encoding="utf-8")
    head, _, rest = page.partition('<meta name="token"')
    _, _, body = rest.partition("</head>")
    return (
        f'{head}<meta http-equiv="Content-Security-Policy" content="{policy}">\n<title>Board - mnistlab</title>\n'
        f'<link rel="icon" href="data:,">\n<style>{style}</style>\n</head>'
        + body.replace("</body>", "").replace("</html>", "").rstrip()
        + f'\n<script type="application/json" id="frozen">{data}</script>\n'
        + f"<script>{script}</script>\n</body>\n</html>\n"
    )


def bundle(folder: Path, first: str) -> str:
    """Return a module and all that it imports as one script; imports and exports must stand at the start of lines."""
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...] = ()) -> None:
        """Append a module to the order, after what it imports."""
        if name in above:
            raise ValueError(f"{name} imports itself by way of {', '.join(above)}")
        if name in order:
            return
        for *_, other in IMPORT.findall((folder / name).read_text(encoding="utf-8")):
            visit(other, (*above, name))
        order.append(name)

    visit(first)
    modules = [_module((folder / name).read_text(encoding="utf-8"), name) for name in order]
    script = '"use strict";\n(() => {\n' + "".join(modules) + "})();\n"
    return script.replace("</", "<\\/") if "</" in script else script


def _module(source: str, name: str) -> str:
    def imported(match: re.Match[str]) -> str:
        """Return the import as a constant that names the other module's exports."""
        default, everything, names, other = match.groups()
        if everything:
            return f"const {everything} = {_variable(other)};\n"
        wanted = f"default: {default}" if default else names.replace(" as ", ": ")
        return f"const {{ {wanted} }} = {_variable(other)};\n"

    defaults = [f"default: {each}" for each in DEFAULT.findall(source)]
    exported = [] if defaults else EXPORT.findall(source)
    body = IMPORT.sub(imported, source)
    body = DEFAULT.sub("", body)
    body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
    return f"const {_variable(name)} = (() => {{\n{body}\nreturn {{ {', '.join([*exported, *defaults])} }};\n}})();\n"


def _variable(name: str) -> str:
    return "module_" + re.sub(r"\W", "_", name)


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
