"""Tests on a real Slurm and a real Ray run only where they are asked for: `make test-slurm`, `make test-ray`."""

from __future__ import annotations

import pytest

MARKS = ("slurm", "ray")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked, unless -m names its mark, so that "not slow" does not include it."""
    asked = config.getoption("markexpr")
    left_out = [item for item in items if any(item.get_closest_marker(mark) and mark not in asked for mark in MARKS)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
