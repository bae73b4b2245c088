"""Shared by all pictures: the style, axes placed in inches, text that always renders, and saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from mnistlab.system import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font

# Okabe & Ito 2008: distinguishable with all kinds of colour vision; the yellow is too pale for lines on white
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY, PALE = "#222222", "#6E6E6E", "#E4E4E4"
COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
DASHES = ("-", "--", ":")

FONT = "DejaVu Sans"  # shipped with matplotlib, so that pictures are the same on every machine
DPI = 110
STYLE: Any = {  # Any: the keys in matplotlib's stubs differ between its versions
    "font.family": [FONT],
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called $x$
    "text.usetex": False,
    "text.hinting": "none",  # hinting takes a third of the time of a text, and letters keep their distances without
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "axes.facecolor": "white",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.titley": 1.0,  # where it would be anyway; otherwise the whole axis is measured to find that out
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.linewidth": 0.8,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.0,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "image.interpolation": "nearest",
}

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True)
class Picture:
    """A figure and its text equivalent, one short paragraph with the numbers."""

    figure: Figure
    alt: str


def save(picture: Picture, path_png: Path | str) -> None:
    """Write the PNG, and the text equivalent as ``<name>.txt`` in the same folder, each atomically.

    The same picture always gives the same bytes. Raises `OSError`.
    """
    from matplotlib import rc_context

    path = Path(path_png)
    buffer = BytesIO()
    with rc_context(STYLE):
        picture.figure.savefig(
            buffer, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"compress_level": 3}
        )
    files.write(path, buffer.getvalue())
    # a class named after a folder may contain bytes that are not text
    files.write(path.with_suffix(".txt"), (picture.alt + "\n").encode("utf-8", errors="replace"))


def save_vector(picture: Picture, path: Path) -> None:
    """Write a picture as SVG or PDF, by the ending of its name; the same picture always gives the same bytes."""
    from matplotlib import rc_context

    buffer, form = BytesIO(), path.suffix.removeprefix(".")
    unknown = {"CreationDate": None, "Producer": None, "Creator": None} if form == "pdf" else {"Date": None}
    with rc_context({**STYLE, "pdf.fonttype": 42, "svg.hashsalt": "mnistlab"}):
        picture.figure.savefig(buffer, format=form, metadata=unknown)
    files.write(path, buffer.getvalue())


def styled(plot: Callable[Arguments, Picture]) -> Callable[Arguments, Picture]:
    """Draw with `STYLE`, without changing matplotlib's global settings."""

    @wraps(plot)
    def inside(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Picture:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return plot(*args, **kwargs)

    return inside


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Return an empty figure of this size in inches, with its title at the upper left."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    if title:
        figure.text(0.15 / width, 1 - 0.12 / height, title, size=11, weight="bold", va="top")
    return figure


def place(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    """Return axes at this place in inches, which needs no measuring at every draw, unlike automatic layouts."""
    across, up = figure.get_size_inches()
    return figure.add_axes((left / across, bottom / up, width / across, height / up))


def write(axes: Axes, texts: Sequence[tuple[float, float, str, str]], **style: Any) -> None:
    """Write many texts of one style into axes, each given as (x, y, text, colour)."""
    from mnistlab.reporting.plots.texts import Texts

    axes.add_artist(Texts(texts, **style))


def empty(message: str) -> Picture:
    """Return a placeholder with a message."""
    figure = new_figure(4, 1)
    figure.text(0.5, 0.5, message, ha="center", va="center", color=GREY)
    return Picture(figure, message)


def whole_numbers(axis: Axis) -> None:
    """Put ticks at whole numbers only: there is no epoch 2.5."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


def log_axis(axes: Axes) -> None:
    """Make the y axis logarithmic with plain labels (0.001, 1e-05): matplotlib's are math text, which is disabled."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    axes.autoscale_view(scalex=False)
    low, high = axes.get_ylim()
    if high < 2 * low:  # room for two ticks at least
        axes.set_ylim(low / 1.5, high * 1.5)
    tens = np.log10(high / low)
    subs = (1.0,) if tens > 2 else (1.0, 2.0, 5.0) if tens > 1 else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@cache
def _font() -> FT2Font:
    from matplotlib.font_manager import findfont, get_font

    return get_font(findfont(FONT))


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(_font().get_charmap())


def label(name: object, most: int = 16) -> str:
    """Return a name as one line of at most ``most`` characters; those missing in the font become a box."""
    text = plain(name, most)
    drawable = "".join(c if ord(c) in _glyphs() else "□" for c in text)
    return f" {drawable}" if drawable.startswith("_") else drawable  # a legend omits labels that start with _


def class_label(class_names: Sequence[str], c: int, most: int) -> str:
    """Return the name of class c as `label` does, or its number if the font lacks a character of the name."""
    name = str(class_names[c])
    return label(name, most) if all(ord(x) in _glyphs() for x in name if x.isprintable()) else str(c)


def class_labels(class_names: Sequence[str], most: int) -> list[str]:
    """Return the names of all classes as `class_label` does."""
    return [class_label(class_names, c, most) for c in range(len(class_names))]


def plain(name: object, most: int = 60) -> str:
    """Return a name as one line of at most ``most`` characters, for the text equivalent."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split()) or "(no name)"
    tail = (most - 1) // 3  # names often differ at the end, as in class 12 and class 13
    return text if len(text) <= most else text[: most - 1 - tail].rstrip() + "…" + text[-tail:].lstrip()


def width_of(labels: list[str], size: float) -> float:
    """Return the width of the widest label in inches, in the font at this size in points."""
    font, widest = _font(), 0
    font.set_size(size, 72)
    for text in labels:
        font.set_text(text)
        widest = max(widest, font.get_width_height()[0])  # in 1/64 of a point
    return widest / 64 / 72
