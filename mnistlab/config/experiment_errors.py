"""Errors of an experiment's YAML, with the file and the line that they come from."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mnistlab.config.options import experiment_files, experiments
from mnistlab.system import files
from mnistlab.system.readers import UnreadableError, read_text

HEADER = "# @package _global_"


def located(message: str, overrides: Sequence[str], config_dir: str | None) -> str:
    """Return an error message with the line of the chosen experiment's file, if that is where the mistake is."""
    typed = {word.partition("=")[0].lstrip("+~") for word in overrides}
    key = message.partition(":")[0].partition("=")[0].lstrip("+")
    for path in [file for name in experiments(overrides) for file in experiment_files(name, config_dir)]:
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
