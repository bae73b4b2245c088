"""What the names of files and arrays say: x_train, train-images, val_labels, testY."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PART = {
    "train": "train training trn tr tra",
    "validation": "validation valid val dev",
    "test": "test testing tst te tes t10k eval evaluation",
}
ROLE = {
    "images": "images image imgs img x xs data features feature inputs fea pixels pictures",
    "labels": "labels label lbl y ys target targets gnd class classes labs",
}
PARTS = {word: part for part, words in PART.items() for word in words.split()}
ROLES = {word: role for role, words in ROLE.items() for word in words.split()}
_PART, _ROLE = "|".join(sorted(PARTS, key=len, reverse=True)), "|".join(sorted(ROLES, key=len, reverse=True))
TOGETHER = re.compile(rf"(?:(?P<role>{_ROLE})(?P<part>{_PART})|(?P<part2>{_PART})(?P<role2>{_ROLE}))$")
CLASS_NAMES = ("class_names", "label_names", "classnames", "target_names", "categories", "classes_names")
UPRIGHT = "upright"  # an array that only says that images are not transposed, whatever the name of the file says


class Name(NamedTuple):
    """The set that a name says, and whether it is of images or labels; None where it says neither."""

    part: str | None
    role: str | None


def read(name: str) -> Name:
    """Return what a name says, the last word of each kind that stands in it."""
    part = role = None
    for word in re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z]|[A-Z]$)", "_", name).lower()):
        if word in PARTS:
            part = PARTS[word]
        elif word in ROLES:
            role = role if role == "labels" and word in ("data", "class", "classes") else ROLES[word]
        elif match := TOGETHER.match(word):
            part = PARTS[match["part"] or match["part2"]]
            role = ROLES[match["role"] or match["role2"]]
    return Name(part, role)


def part_of_folder(name: str) -> str | None:
    """Return the set that a folder's name says: train, Training, val, testing, mnist_train."""
    found = read(name)
    return found.part if found.role in (None, "images") else None


def is_transposed(path: Path) -> bool:
    """Return whether a file's name says that rows and columns are exchanged, as in all files of EMNIST."""
    return "emnist" in path.name.lower()
