"""Mapping of the labels of one dataset to the classes of another, by the names of the classes, never by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mnistlab.data.dataset import Split
from mnistlab.system.errors import RequestError


def relabel(part: Split, names: Sequence[str], wanted: Sequence[str]) -> Split:
    """Return ``part`` with its labels, which are indices of ``names``, changed to indices of ``wanted``.

    Every class that has images must have a wanted class of the same name, exactly or else except for case, spaces and
    punctuation (a folder cannot be called ``T-shirt/top``). A class without images needs no counterpart, and a wanted
    class may have no images. Classes with other names are refused, not matched in order, since comparing the digit 3
    with a dress is meaningless; if the orders do agree, the data can be given those class names.
    """
    if tuple(names) == tuple(wanted):
        return part
    present = np.unique(part.labels)
    numbers = np.full(len(names), -1, np.int64)
    for c, number in zip(present, _matched([names[c] for c in present], wanted), strict=True):
        if number is None:
            raise RequestError(
                f"the class {names[c]!r} is not one of the model's ({_list_text(wanted)}); classes are matched by name"
            )
        numbers[c] = number
    return Split(part.images, numbers[part.labels])


def _matched(names: Sequence[str], wanted: Sequence[str]) -> list[int | None]:
    """Return the index of each name among the wanted ones, or None."""
    exact = {name: i for i, name in enumerate(wanted)}
    places = [exact.get(name) for name in names]
    folded = {_folded(name): i for i, name in enumerate(wanted)}
    mine = [_folded(name) for name in names]
    if None not in places or len(folded) != len(wanted) or len(set(mine)) != len(mine):
        return places  # names may differ only in case, as with classes a and A
    return [folded.get(name) if name else None for name in mine]


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _list_text(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
