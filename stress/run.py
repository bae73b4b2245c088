"""``make stress``: every part of this folder, one after the other; each counts what it tried and names every fault.

A part is a file here with ``main(seed, short) -> (rows of (what, count), faults)``.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the parts that are named, or all; return 1 if there was a fault."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem != "run")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(names)}; all if none is named")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn at random")
    parser.add_argument("--short", action="store_true", help="few of each, in seconds")
    given = parser.parse_args()
    if unknown := [name for name in given.parts if name not in names]:
        parser.error(f"{unknown[0]}: no such part; choose of {', '.join(names)}")
    sys.path.insert(0, str(HERE))
    bad = 0
    for name in given.parts or names:
        started = time.monotonic()
        rows, faults = import_module(name).main(given.seed, given.short)
        print(f"{name}  (seed {given.seed}, {time.monotonic() - started:.0f} s)")
        for what, count in rows:
            print(f"  {count!s:>10}  {what}")
        for fault in faults:
            print(f"  FAULT {fault}")
        sys.stdout.flush()
        bad += len(faults)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
