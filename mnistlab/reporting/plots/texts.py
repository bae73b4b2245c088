"""Many texts as one object of a figure. Only imported where it is used, since it needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.text import Text

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase


class Texts(Text):
    """Texts of one style, each with its place, content and colour: (x, y, text, colour).

    Creating a text, with its clip path and transforms, takes longer than drawing it.
    """

    def __init__(self, each: Sequence[tuple[float, float, str, str]], **style: Any) -> None:
        super().__init__(**style)
        self.each = each

    def draw(self, renderer: RendererBase) -> None:
        """Draw all texts."""
        for x, y, text, colour in self.each:
            self.set_position((x, y))
            self.set_text(text)
            self.set_color(colour)
            super().draw(renderer)
