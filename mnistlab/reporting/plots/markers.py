"""Markers for points of many classes: a colour and a shape for each, or its name if that is one character."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnistlab.reporting.plots.style import COLOURS, FONT, INK, class_labels, width_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# ten distinct colours under simulated deuteranopia, protanopia and tritanopia (Machado et al. 2009): CIE76 13 or more
CLASS_COLOURS = (*COLOURS, "#999933", "#882255", "#332288", INK)
SHAPES = ("o", "s", "^", "v", "D", "P", "X", "<", ">", "p")
ROWS_OF_A_LEGEND = 24


def colour_of(c: int) -> str:
    """Return the colour of class c; there are ten colours, which more classes share."""
    return CLASS_COLOURS[c % len(CLASS_COLOURS)]


def markers(class_names: Sequence[str]) -> list[Any]:
    """Return a marker for each class: its name if all names are one character, otherwise a shape.

    Classes that share a colour have different shapes.
    """
    if are_characters(class_names):
        return [_glyph(text) for text in class_labels(class_names, 16)]
    return [SHAPES[(c + c // len(CLASS_COLOURS)) % len(SHAPES)] for c in range(len(class_names))]


def are_characters(class_names: Sequence[str]) -> bool:
    """Return whether every class name is a single character, which can be its marker."""
    return all(len(text.strip()) == 1 for text in class_labels(class_names, 16))


def _glyph(character: str) -> Any:
    """Return a character as a centred marker. It is drawn as a path, since a class may be called ``$``."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), character.strip(), size=1, prop=FontProperties(family=FONT))
    extent = path.get_extents()
    centre = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
    return Path(path.vertices - centre, path.codes)


def legend(
    figure: Figure, class_names: Sequence[str], shapes: Sequence[Any], at: tuple[float, float], more: Sequence[Any] = ()
) -> None:
    """Draw the legend of the classes with its upper left corner at this place in inches; ``more`` are further items."""
    from matplotlib.lines import Line2D

    width, height = figure.get_size_inches()
    classes = [
        Line2D([], [], ls="", marker=shape, color=colour_of(c), mew=0, ms=6.5, label=text)
        for c, (text, shape) in enumerate(zip(class_labels(class_names, 14), shapes, strict=True))
    ]
    figure.legend(
        handles=[*classes, *more],
        loc="upper left",
        bbox_to_anchor=(at[0] / width, at[1] / height),
        borderaxespad=0,
        ncols=_columns(len(class_names) + len(more)),
        handletextpad=0.3,
        columnspacing=0.8,
        title="class",
        alignment="left",
    )


def width_of_legend(class_names: Sequence[str], more: Sequence[str] = ()) -> float:
    """Return the width of `legend` in inches; ``more`` are the names of its further markers."""
    widest = width_of([*class_labels(class_names, 14), *more], 8.5)
    return _columns(len(class_names) + len(more)) * (widest + 0.4) + 0.1


def height_of_legend(entries: int) -> float:
    """Return the height of `legend` with so many entries in inches."""
    return 0.19 * (1 - -entries // _columns(entries)) + 0.05


def _columns(entries: int) -> int:
    return -(-entries // ROWS_OF_A_LEGEND)


def paths_of(shapes: Sequence[Any]) -> list[Any]:
    """Return markers as paths of the same size, for points of many classes in one collection."""
    from matplotlib.markers import MarkerStyle

    styles = [MarkerStyle(shape) for shape in shapes]
    return [style.get_path().transformed(style.get_transform()) for style in styles]
