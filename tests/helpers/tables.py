"""Tables of many cases, of which a few are enough for `make test`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def thinned(cases: Iterable[Any], every: int) -> list[Any]:
    """Return all cases for `pytest.mark.parametrize`, the slow mark on all but the first of each ``every``."""
    marks = [pytest.mark.slow]
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks if i % every else [])
        for i, case in enumerate(cases)
    ]
