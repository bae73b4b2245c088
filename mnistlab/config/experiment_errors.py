"""Errors of an experiment's YAML, with the file and the line that they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mnistlab.config.options import folder
from mnistlab.system import files
from mnistlab.system.readers import UnreadableError, read_text

HEADER = "# @package _global_"


def located(message: str, overrides: Sequence[str], config_dir: str | None) -> str:
    """Return an error message with the line of the chosen experiment's file, if that is where the mistake is."""
    typed = {word.partition("=")[0].lstrip("+~") for word in overrides}
    key = message.partition(":")[0].partition("=")[0].lstrip("+")
    for path in _files(overrides, config_dir):
        try:
            lines = read_text(path).splitlines()
        except UnreadableError:
            continue
        place = files.shown(path)
        if "@experiment" in key and not any(line.replace(" ", "") == HEADER.replace(" ", "") for line in lines):
            return f"{place}, line 1: its first line must be {HEADER}, so that its keys are not inside `experiment`"
        if "chosen twice" in message:
            for number, line in enumerate(lines, 1):
                if re.match(rf"\s*-\s*/?{re.escape(key)}:", line):
                    return f"{place}, line {number}: {key} has a default; write - override /{key}: OPTION"
        if key in typed or "." not in key:
            continue
        for number, line in enumerate(lines, 1):
            if re.match(rf"\s*{re.escape(key.rpartition('.')[2])}\s*:", line):
                return f"{place}, line {number}: {message}"
    return message


def _files(overrides: Sequence[str], config_dir: str | None) -> list[Path]:
    """Return the files of the chosen experiments."""
    names = [value for key, _, value in (word.partition("=") for word in overrides) if key.lstrip("+") == "experiment"]
    folders = [*([Path(config_dir)] if config_dir else []), folder()]
    candidates = [root / "experiment" / f"{name}.yaml" for name in names for root in folders]
    return [path for path in candidates if path.is_file()]
