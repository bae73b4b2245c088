"""The interface of trackers, and the facts about a run that they log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Facts:
    """Facts about a run before it trains. ``settings`` are its hyperparameters, including the seed."""

    directory: Path
    started_in: Path  # the base of relative paths
    settings: Mapping[str, Any]
    sweep: str | None = None  # the name of the sweep that the run is a job of
    resumes: bool = False

    @property
    def name(self) -> str:
        """Return the name of the run; the name of a job includes its sweep."""
        return "/".join(filter(None, (self.sweep, self.directory.name)))


class Tracker(Protocol):
    """The interface of a tracker. After an exception, it is not called again."""

    def epoch(self, number: int, scalars: Mapping[str, float]) -> None:
        """Log the scalars of an epoch that has ended."""

    def finish(self, scalars: Mapping[str, float], files: Sequence[Path]) -> None:
        """Log the final metrics, and store the files of the run, which are in its directory."""

    def close(self, state: str) -> None:
        """Log the final state, as in status.json, and release all resources."""
