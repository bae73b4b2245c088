"""Durations and sizes as text."""

from __future__ import annotations

import pytest

from mnistlab.system.units import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (99.6, "2 min"),
        (5400, "90 min"),
        (6000, "1 h 40 min"),
        (7200, "2 h"),
        (7140 + 59.9, "2 h"),
        (172_799, "48 h"),
        (200_000, "2 d 8 h"),
        (86_400 * 1200, "1,200 d"),
    ],
)
def test_a_duration_has_the_precision_that_one_needs(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_960, "10 kB"),
        (1_340_000, "1.3 MB"),
        (2.5e9, "2.5 GB"),
        (3e12, "3.0 TB"),
    ],
)
def test_a_size_is_in_powers_of_a_thousand(count: float, text: str) -> None:
    assert size(count) == text
