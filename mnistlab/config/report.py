"""The group ``report``: the plots and the terminal output of a run. It does not affect any result."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from mnistlab.system.errors import RequestError, whole


class Plots(Enum):
    """Which plots a run draws."""

    all = "all"
    core = "core"
    none = "none"


class Console(Enum):
    """How much a run prints."""

    quiet = "quiet"
    normal = "normal"
    verbose = "verbose"


class Format(Enum):
    """In which format pictures are written beside the PNG."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


@dataclass
class Report:
    """What a run plots and prints. Nothing here changes the results.

    ``images`` are rows of the test set, counted from 0, whose feature maps are drawn, one plot per image; with
    ``plots=all`` and no rows given, the first image is used. A network without convolution or pooling has no feature
    maps.

    ``format`` is that of the pictures: ``svg`` or ``pdf`` is a vector file beside each PNG, which the pages show.

    With ``train_ranking``, metrics.json has ``roc_auc`` and ``average_precision`` of the training set too, for which
    all of its images are sorted once for each class. Those of the other sets are always there.
    """

    plots: Plots = Plots.core
    console: Console = Console.normal
    format: Format = Format.png
    images: list[int] = field(default_factory=list)
    train_ranking: bool = False

    def __post_init__(self) -> None:
        for row in self.images:
            whole("images", row, 0, "a row of the test set")

    def check(self, test_size: int) -> None:
        """Refuse images that the test set does not have."""
        for row in self.images:
            if row >= test_size:
                raise RequestError(
                    f"the test set has {test_size:,} images, numbered 0 to {test_size - 1:,}", key="images", value=row
                )
