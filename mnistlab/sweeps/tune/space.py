"""The search space: overrides such as ``optimizer.lr=log(1e-4,1)`` -> the values that Optuna may propose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from mnistlab.config.compose import with_paths_quoted
from mnistlab.system.errors import RequestError

if TYPE_CHECKING:
    from optuna.trial import Trial

FORMS = "log(a,b), interval(a,b), int(interval(a,b)), range(a,b), choice(a,b,...) or a,b,..."


@dataclass(frozen=True)
class Dimension:
    """One key with its values: a list of choices as text, or an interval of numbers."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    whole: bool = False

    def ends(self) -> list[str]:
        """Return every choice, or the two ends of the interval, as written in an override."""
        if self.choices:
            return list(self.choices)
        return [str(int(end)) if self.whole else f"{end:.6g}" for end in (self.low, self.high)]

    def propose(self, trial: Trial) -> str:
        """Return the value that Optuna proposes, as written in an override."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        if self.whole:
            step = int(self.step or 1)
            return str(
                trial.suggest_int(self.key, int(self.low), int(self.high), step=1 if self.log else step, log=self.log)
            )
        return f"{trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log):.6g}"


def parse(overrides: Sequence[str]) -> tuple[list[str], list[Dimension]]:
    """Return the overrides that are the same for every trial, and the search space of the others."""
    fixed, space = [], []
    parser = OverridesParser.create()
    for text in with_paths_quoted(overrides):
        try:
            override = parser.parse_override(_with_hydras_log(text))
        except HydraException:
            raise RequestError(f"{text}: must be key=value; a key to search takes {FORMS}") from None
        if override.is_sweep_override():
            space.append(_dimension(text, override))
        else:
            fixed.append(text)
    if not space:
        raise RequestError(f"no search space; set a key to {FORMS}, as in 'optimizer.lr=log(1e-4,1)'")
    keys = [dimension.key for dimension in space]
    for key in keys:
        if keys.count(key) > 1:
            raise RequestError(f"{key}: searched twice; list all its values in one override")
    return fixed, space


def _with_hydras_log(text: str) -> str:
    """Return the override with ``log(a,b)`` in Hydra's grammar, ``tag(log,interval(a,b))``."""
    return re.sub(
        r"=\s*(int\()?log\(([^()]*)\)(\))?\s*$", lambda m: f"=tag(log,{m[1] or ''}interval({m[2]}){m[3] or ''})", text
    )


def _dimension(text: str, override: Override) -> Dimension:
    key, value = override.get_key_element(), override.value()
    if isinstance(value, ChoiceSweep):
        return Dimension(key, tuple(dict.fromkeys(override.sweep_string_iterator())))
    if isinstance(value, RangeSweep):
        assert value.start is not None and value.stop is not None
        whole = isinstance(value.start, int) and isinstance(value.stop, int) and isinstance(value.step, int)
        if not value.step:
            raise RequestError(f"{text}: the step must not be zero")
        points = [float(point) for point in value.range()]
        if not points:
            raise RequestError(f"{text}: the range is empty")
        low = min(points)
        high = max(points) if whole else float(f"{low + abs(value.step) * (len(points) - 1):.12g}")
        return Dimension(key, (), low, high, abs(value.step), False, whole)
    if isinstance(value, IntervalSweep):
        return _interval(text, key, value)
    raise RequestError(f"{text}: must be {FORMS}")


def _interval(text: str, key: str, value: IntervalSweep) -> Dimension:
    low, high = value.start, value.end
    log = "log" in value.tags
    if not (isinstance(low, (int, float)) and isinstance(high, (int, float)) and low < high):
        raise RequestError(f"{text}: must be two numbers, the smaller one first")
    if log and low <= 0:
        raise RequestError(f"{text}: a logarithmic interval must begin above zero")
    whole = isinstance(low, int) and isinstance(high, int) and _is_whole(text)
    return Dimension(key, (), low, high, None, log, whole)


def _is_whole(text: str) -> bool:
    return "int(" in text.partition("=")[2]
