"""Plots as matplotlib Figures, drawn from the saved numbers; no state of pyplot is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from mnistlab.config.report import Plots
from mnistlab.runs import figures
from mnistlab.system.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mnistlab.analysis.compare import Comparison


def shown(figure: Figure) -> Figure:
    """Return a figure; IPython is told how to show it, which otherwise only pyplot would do."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None:
        shell.display_formatter.formatters["image/png"].for_type(type(figure), _png)
    return figure


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


class _ByName:
    """Plots by name: each is a method without arguments that returns a Figure."""

    def _drawings(self) -> Iterator[figures.Drawing]:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Callable[[], Figure]:
        if name.startswith("_"):
            raise AttributeError(name)
        drawings = dict(self._drawings())
        if name not in drawings:
            near = did_you_mean(name, drawings)
            raise AttributeError(f"there is no plot {name}; there are {', '.join(drawings) or 'none'}{near}")
        return lambda: shown(drawings[name]().figure)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name, _ in self._drawings())]


class RunPlots(_ByName):
    """The plots of a run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _drawings(self) -> Iterator[figures.Drawing]:
        try:
            yield from figures.of_run(self._directory, Plots.all)
        except ValueError as error:
            raise RequestError(f"{self._directory}: there is nothing to draw ({error}); complete the run") from None

    def __repr__(self) -> str:
        return f"<plots: {', '.join(name for name, _ in self._drawings())}>"


class SweepPlots(_ByName):
    """The plots of a sweep, and `metric`, of any metric by any setting."""

    def __init__(self, compare: Callable[[str | None], Comparison]) -> None:
        self._compare = compare

    def _drawings(self) -> Iterator[figures.Drawing]:
        from mnistlab.sweeps.figures import choose

        yield from choose(self._compare(None))

    def metric(self, metric: str = "validation.accuracy", by: str | None = None) -> Figure:
        """Return a metric with its confidence intervals, one dot per run: by a setting, or by all that vary."""
        from mnistlab.sweeps.figures import by_setting

        return shown(by_setting(self._compare(metric), by).figure)
