"""Pages: self-contained HTML files with embedded pictures, no scripts and no external resources."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from mnistlab.system import files
from mnistlab.system.readers import UnreadableError, read_bytes, read_text

if TYPE_CHECKING:
    from jinja2 import Environment

MOST = 1_900_000  # bytes of a page's pictures; its text needs far less than the rest of two million
LETTER, GAP = 8.0, 15.0  # pixels: of a letter in a table, and between columns
PHONE, DESKTOP = 355, 1160  # pixels inside the margins of a window
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Figure:
    """A picture of a page; ``data`` is None if it would make the page too large and is linked instead."""

    name: str
    title: str
    alt: str
    width: int
    height: int
    link: str
    data: str | None
    vector: str | None = None  # the address of its vector file, if there is one


@dataclass(frozen=True)
class Section:
    """A section of a page: its anchor, its heading and its pictures."""

    anchor: str
    heading: str
    figures: tuple[Figure, ...] = ()


def write(path: Path, template: str, **content: Any) -> None:
    """Write a page from its template and content; all text is escaped."""
    page = _environment().get_template(template).render(content)
    files.write(path, page.encode("utf-8", errors="replace"))


def figures(pictures: Path, names: Sequence[str], titles: dict[str, str], most: int = MOST) -> dict[str, Figure]:
    """Return the pictures of these names, with their text equivalents, in a folder beside the page.

    The largest are linked instead of embedded until the others need at most ``most`` bytes. A picture that is missing
    or not a PNG is skipped.
    """
    read = {name: content for name in names if (content := _png(pictures / f"{name}.png"))}
    sizes = {name: 4 * -(-len(content) // 3) for name, content in read.items()}
    left_out: set[str] = set()
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if sum(sizes[other] for other in sizes if other not in left_out) > most:
            left_out.add(name)
    figures_by_name = {}
    for name, content in read.items():
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
        data = None if name in left_out else b64encode(content).decode("ascii")
        title = titles.get(name) or name.replace("_", " ").capitalize()
        alt = _alt(pictures / f"{name}.txt") or title
        place = f"{pictures.name}/{name}"
        vector = next((end for end in ("svg", "pdf") if (pictures / f"{name}.{end}").is_file()), None)
        figures_by_name[name] = Figure(
            name, title, alt, width, height, href(f"{place}.png"), data, vector and href(f"{place}.{vector}")
        )
    return figures_by_name


def href(path: str | PurePosixPath) -> str:
    """Return a path relative to the page as an address; a colon in it cannot be mistaken for a scheme."""
    return "./" + quote(str(path), safe="/", errors="surrogateescape")


def readable(text: str) -> str:
    """Return a text without unprintable characters, such as control characters and those that reverse the direction."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return a table for the templates; columns that contain only numbers are right-aligned."""
    listed = [list(row) for row in rows]
    numeric = [bool(listed) and all(_is_figure(row[i]) for row in listed) for i in range(len(header))]
    return {"header": list(header), "rows": listed, "numeric": numeric}


def width_class(
    header: Sequence[Any], rows: Iterable[Sequence[Any]], numeric: Sequence[bool] = (), wrapped: int = 0
) -> str:
    """Return where a table must be scrolled sideways: in ``any`` window, on a ``phone``, or nowhere (empty).

    It is estimated from the longest words of each column, which do not break, and from the longest cells of ``numeric``
    columns; columns after the first with text that does break have ``wrapped`` characters.
    """
    whole = [*numeric, *(False for _ in header[len(numeric) :])]
    lines = [header, *rows]
    if wrapped:
        lines = [[line[0], *("x" * wrapped for _ in line[1:])] for line in lines]
    longest = [
        max(
            (len(part) for cell in column for part in ([str(cell)] if is_whole else str(cell or "").split())), default=0
        )
        for is_whole, column in zip(whole, zip(*lines, strict=True), strict=True)
    ]
    width = sum(LETTER * count + GAP for count in longest)
    return "any" if width > DESKTOP else "phone" if width > PHONE else ""


def _is_figure(cell: Any) -> bool:
    text = str(cell).replace(",", "").replace("%", "").replace("+/-", " ").split()
    return bool(text) and all(_is_number(part) or part == "-" for part in text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _png(path: Path) -> bytes:
    try:
        content = read_bytes(path)
    except UnreadableError:
        return b""
    return content if content.startswith(PNG) and len(content) > 24 else b""


def _alt(path: Path) -> str:
    try:
        return " ".join(read_text(path).split())
    except UnreadableError:
        return ""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
        auto_reload=False,
    )
    environment.filters["percent"] = lambda value: f"{100 * value:.2f} %"
    environment.globals["width_class"] = width_class
    environment.filters["thousands"] = lambda value: f"{value:,}"
    return environment


def _finalize(value: Any) -> Any:
    """Return the output of a template expression: markup unchanged, everything else as readable text."""
    return value if hasattr(value, "__html__") else readable(str(value))
