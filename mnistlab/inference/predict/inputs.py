"""The pictures that `mnistlab predict` was given: files, and folders whose subfolders are the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mnistlab.data.image_formats import is_image, natural_order, suffixes_text
from mnistlab.inference.predict.image_io import STDIN
from mnistlab.system import arguments
from mnistlab.system.errors import RequestError

NOT_DATA = ("__MACOSX",)  # beside hidden folders


@dataclass(frozen=True)
class Input:
    """A file, and the name of the folder that may be its class; None for a file that was named itself."""

    file: str
    folder: str | None = None


def expand(names: Sequence[str]) -> list[Input]:
    """Return the files; a folder is replaced by its pictures and those of its subfolders, in natural order."""
    inputs: list[Input] = []
    for name in names:
        path = Path(name)
        if name != STDIN and arguments.is_directory(path):  # reading reports a name that is too long
            inside = [*_pictures(path, None)]
            if not inside:
                raise RequestError(f"{name}: this folder contains no pictures ({suffixes_text()})")
            inputs += inside
        else:
            inputs.append(Input(name))
    if [one.file for one in inputs].count(STDIN) > 1:
        raise RequestError("-: standard input is a single picture; name it once")
    return inputs


def truth(folder: str | None, class_names: Sequence[str]) -> str | None:
    """Return the answer that the name of a folder stands for: a class, or several of one letter each (``6666``).

    A space separates lines. None if it is neither. As in `class_mapping`, case, spaces and punctuation may differ.
    """
    if not folder or folder in class_names:
        return folder or None
    folded = [_folded(name) for name in class_names]
    if (same := _folded(folder)) and folded.count(same) == 1:
        return class_names[folded.index(same)]
    if len(folder) > 1 and all(letter in class_names for letter in folder.replace(" ", "")):
        return folder
    return None


def _folded(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _pictures(folder: Path, name: str | None) -> list[Input]:
    try:
        entries = sorted(folder.iterdir(), key=natural_order)
    except OSError as error:
        raise RequestError(f"{folder}: cannot be read ({error.strerror}); check file permissions") from None
    files = [Input(str(path), name) for path in entries if is_image(path) and not path.is_dir()]
    for path in entries:
        if path.is_dir() and not path.is_symlink() and path.name[0] != "." and path.name not in NOT_DATA:
            files += _pictures(path, path.name)
    return files
