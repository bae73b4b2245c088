"""The shape of a grid: keys that vary together, whole option sets, points left out, and a random subset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shape:
    """What turns the lists of a command line into the points of a sweep, beside their product.

    ``zips`` are groups of keys that vary together, the first values of all, then the second, and so on. ``sets`` are
    words such as ``optimizer=sgd optimizer.lr=0.5``, each of which is one value of a common axis. Points that fulfil
    a condition of ``exclude`` are left out. ``sample`` is the number of settings that are drawn at random, from the
    stream ``sample`` of the seed ``sample_seed``; each has all seeds of the sweep.
    """

    zips: tuple[tuple[str, ...], ...] = ()
    sets: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sample: int | None = None
    sample_seed: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether the points are the product of the lists."""
        return self == Shape()

    def options(self) -> list[str]:
        """Return the options of the command line."""
        words = [word for keys in self.zips for word in ("--zip", ",".join(keys))]
        words += [word for text in self.sets for word in ("--set", text)]
        words += [word for text in self.exclude for word in ("--exclude", text)]
        words += ["--sample", str(self.sample)] if self.sample is not None else []
        return words + (["--sample-seed", str(self.sample_seed)] if self.sample_seed else [])

    def as_json(self) -> dict[str, Any]:
        """Return the content for sweep.json."""
        return {
            "zip": [list(keys) for keys in self.zips],
            "sets": list(self.sets),
            "exclude": list(self.exclude),
            "sample": self.sample,
            "sample_seed": self.sample_seed,
        }


def of_json(content: Mapping[str, Any]) -> Shape:
    """Return the shape in sweep.json; raises `ValueError` or `KeyError` if it is damaged."""
    texts = [content["sets"], content["exclude"], *content["zip"]]
    numbers = [content["sample_seed"], *([] if content["sample"] is None else [content["sample"]])]
    if not all(isinstance(text, str) for each in texts for text in each):
        raise ValueError("the grid has a value that is not text")
    if not all(isinstance(number, int) and number >= 0 for number in numbers):
        raise ValueError("the grid has a sample or sample_seed that is not a whole number")
    zips = tuple(tuple(keys) for keys in content["zip"])
    sets, exclude = tuple(content["sets"]), tuple(content["exclude"])
    return Shape(zips, sets, exclude, content["sample"], content["sample_seed"])
