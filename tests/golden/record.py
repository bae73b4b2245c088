"""Run the golden scenarios and record the hashes of what they leave, or compare with what was recorded.

    python -m tests.golden.record --to before.json       record (each scenario twice; what differs does not repeat)
    python -m tests.golden.record --against before.json  run again and name every file that is not as it was

Hashes hold for one machine, one BLAS and one set of versions: compare only what was recorded on the same.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.golden.hashes import hashes
from tests.golden.inputs import write_inputs
from tests.golden.scenarios import SCENARIOS, commands

LONGEST = 300.0  # seconds for one command, on a busy machine

Recorded = dict[str, dict[str, str]]


def run(name: str, folder: Path) -> dict[str, str]:
    """Run the commands of a scenario in an empty folder and return the hashes of its files and of its output."""
    folder.mkdir(parents=True)
    write_inputs(folder)
    inputs = set(hashes(folder))
    for arguments in commands(name):
        words = [sys.executable, "-m", "mnistlab", *arguments]
        result = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST)
        if result.returncode:
            raise SystemExit(
                f"{name}: mnistlab {' '.join(arguments)}: exit status {result.returncode}\n{result.stderr}"
            )
    return {path: digest for path, digest in hashes(folder).items() if path not in inputs}


def record(names: Sequence[str]) -> Recorded:
    """Return the files of each scenario that repeat; what the second time left otherwise is named and left out."""
    recorded: Recorded = {}
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            first, second = (run(name, Path(place) / turn / name) for turn in ("first", "second"))
        other = sorted(path for path in {*first, *second} if first.get(path) != second.get(path))
        recorded[name] = {path: digest for path, digest in first.items() if path not in other}
        print(f"{name}: {len(recorded[name])} files repeat; not {', '.join(other) or 'one does not'}", flush=True)
    return recorded


def differences(recorded: Recorded, names: Sequence[str]) -> list[str]:
    """Return a line for each recorded file that is now another, or is missing."""
    lines = []
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            now = run(name, Path(place) / name)
        odd = [path for path, digest in recorded[name].items() if now.get(path) != digest]
        lines += [f"{name}/{path}: {'differs' if path in now else 'is missing'}" for path in odd]
        print(f"{name}: {len(recorded[name]) - len(odd)} of {len(recorded[name])} are the same", flush=True)
        for line in lines[len(lines) - len(odd) :]:
            print(f"    {line}", flush=True)
    return lines


def main() -> int:
    """Record or compare; the exit status is 1 if a file is not as it was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("names", nargs="*", default=list(SCENARIOS))
    options = parser.parse_args()
    os.environ.setdefault("MNISTLAB_CACHE", tempfile.mkdtemp())
    if options.to:
        options.to.write_text(json.dumps(record(options.names), indent=1) + "\n")
        return 0
    recorded = json.loads(options.against.read_text())
    return 1 if differences(recorded, [name for name in options.names if name in recorded]) else 0


if __name__ == "__main__":
    sys.exit(main())
