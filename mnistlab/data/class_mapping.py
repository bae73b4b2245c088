"""Labels of one dataset in the classes of another: matched by the names of the classes, never by their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.data.dataset import Split
from mnistlab.system.errors import RequestError


def relabel(part: Split, names: Sequence[str], wanted: Sequence[str]) -> Split:
    """Return ``part``, whose labels count ``names``, with labels that count ``wanted``.

    Every class that has images must be among the wanted ones by name: exactly, or else apart from case, spaces and
    punctuation (a folder cannot be called ``T-shirt/top``). A class without images needs no counterpart, and a wanted
    class may stay without images. As many classes under other names are refused, not matched in order: that digit 3
    is compared with a dress is meaningless; where two orders do agree, the data can be given those names.
    """
    if tuple(names) == tuple(wanted):
        return part
    there = np.unique(part.labels)
    numbers = np.full(len(names), -1, np.int64)
    for c, number in zip(there, _matched([names[c] for c in there], wanted), strict=True):
        if number is None:
            raise RequestError(
                f"the class {names[c]!r} is not one of the model's ({_listed(wanted)}); classes are matched by name"
            )
        numbers[c] = number
    return Split(part.images, numbers[part.labels])


def _matched(names: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return the place of each name among the wanted ones, or None."""
    exact = {name: i for i, name in enumerate(wanted)}
    places = [exact.get(name) for name in names]
    folded = {_folded(name): i for i, name in enumerate(wanted)}
    mine = [_folded(name) for name in names]
    if None not in places or len(folded) != len(wanted) or len(set(mine)) != len(mine):
        return places  # names differ by case where both a and A are classes
    return [folded.get(name) if name else None for name in mine]


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
