"""Lists of options: ``augment=[affine,erasing]`` is short for ``augment=combined augment.parts=[affine,erasing]``.

Hydra merges the options of a list into one mapping, which suits groups with a single schema, such as regularization.
Augmentations have a schema each, and their order matters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LIST = re.compile(r"(\+*)augment=(\[.*\])")


def expanded(overrides: Sequence[str]) -> list[str]:
    """Return the overrides with every list of augmentations written out."""
    return [word for override in overrides for word in _words(override)]


def _words(override: str) -> Iterator[str]:
    match = LIST.fullmatch(override)
    if match is None:
        yield override
    else:
        yield f"{match[1]}augment=combined"
        yield f"augment.parts={match[2]}"
