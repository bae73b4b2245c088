"""What a sweep is asked for, beside its overrides. Nothing heavy is imported, since every `mnistlab train` reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnistlab.sweeps import rungs
from mnistlab.sweeps.shape import Shape

if TYPE_CHECKING:
    from mnistlab.sweeps import until_decided


@dataclass(frozen=True)
class Request:
    """The options of the command line: of the grid, of seeds that are added until decided, and of halving."""

    shape: Shape = field(default_factory=Shape)
    until_decided: until_decided.Request | None = None
    halving: rungs.Request | None = None
