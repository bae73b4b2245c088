"""The interface of trackers, and the facts of a run that they log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Facts:
    """What is known of a run before it trains. ``settings`` are its hyper-parameters, the seed among them."""

    directory: Path
    started_in: Path  # from where relative paths count
    settings: Mapping[str, Any]
    sweep: str | None = None  # the name of the sweep that the run is a job of
    resumes: bool = False

    @property
    def name(self) -> str:
        """Return the name of the run, that of a job with its sweep before it."""
        return "/".join(filter(None, (self.sweep, self.directory.name)))


class Tracker(Protocol):
    """The interface of a tracker. After a call that raised, no further call is made."""

    def epoch(self, number: int, scalars: Mapping[str, float]) -> None:
        """Hear the scalars of an epoch that has ended."""

    def finish(self, scalars: Mapping[str, float], files: Sequence[Path]) -> None:
        """Hear the final metrics, and take the files of the run, which lie in its directory."""

    def close(self, state: str) -> None:
        """Hear how it ended, in the words of status.json, and let go of everything."""
