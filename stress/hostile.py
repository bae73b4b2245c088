"""Bad files and requests through the real command line: what each ends in, how long it takes and how much it eats.

Every case is one command in a process of its own, forked from one that has everything imported, in an empty folder
with the bad file in it. A case passes where the command ends within `SECONDS` of processor time (six times that on the
clock, since machines are shared) and `MEGABYTES`, with status 0 (the damage did no harm: a pixel has another value), 1
or 2, says one line where it is not 0, shows no traceback, and has written nothing outside the folders that it was
given.

Usage: python stress/hostile.py [--cases N] [--seed N] [--kind NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

from hostile_cases import Case, data, formats, predicted, requests, saved

SECONDS, MEGABYTES = 10, 1024
Rows = list[tuple[str, int]]


@dataclass(frozen=True)
class Ended:
    """How a case ended; ``fault`` says what is wrong with that, and is empty where nothing is."""

    case: Case
    status: int
    seconds: float
    megabytes: float
    said: str
    fault: str

    def __str__(self) -> str:
        case = self.case
        return f"{case.kind}: {case.what}: {self.fault}\n    {' '.join(case.arguments)[:300]}\n    {self.said[-400:]}"


KINDS = {
    "idx": data.idx_cases,
    "csv": data.csv_cases,
    "npz": data.npz_cases,
    "folder": data.folder_cases,
    "formats": formats.format_cases,
    "cache": data.cache_cases,
    "requests": requests.override_cases,
}
SAVED = {
    "model": lambda rng, run: saved.model_cases(rng, run["model.safetensors"]),
    "predicted": predicted.predicted_cases,
    "run": saved.run_cases,
    "sweep": saved.sweep_cases,
    "search": saved.search_cases,
    "grid": saved.grid_cases,
}
SHARES = {"run": 1.6, "search": 0.2, "grid": 0.5, "sweep": 0.5, "model": 1.5, "requests": 1.5}  # slow ones less
WITHIN = ("out", "run", "outputs", "cache", "sweep", "search", "grid")


def cases(count: int, seed: int, kinds: Sequence[str] = ()) -> list[Case]:
    """Return so many cases, of every kind those that are written down first, and the rest drawn."""
    chosen = [kind for kind in (*KINDS, *SAVED) if not kinds or kind in kinds]
    total = sum(SHARES.get(kind, 1) for kind in chosen)
    made: list[Case] = []
    for kind in chosen:
        rng = random.Random(f"{kind} {seed}")
        stream = (
            KINDS[kind](rng)
            if kind in KINDS
            else SAVED[kind](rng, sound("run" if kind in ("model", "predicted") else kind))
        )
        made += islice(stream, round(count * SHARES.get(kind, 1) / total))
    return made


@cache
def sound(kind: str) -> dict[str, bytes]:
    """Return the files of a run, a sweep or a search, from which damaged ones are made."""
    with tempfile.TemporaryDirectory() as place:
        ended = forked(Case("", "", saved.SOUND[kind], lambda folder: None), Path(place) / "a" / "b", 120)
        if ended.status:
            raise SystemExit(f"the sound {kind} failed: {ended.said}")
        root = Path(place) / "a" / "b" / kind
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def forked(case: Case, folder: Path, seconds: float = SECONDS) -> Ended:
    """Run one case in a process of its own, in this folder, which is two below one that is its own too."""
    top = folder.parent.parent
    folder.mkdir(parents=True)
    case.make(folder)
    before = {path: path.lstat().st_mtime_ns for path in top.rglob("*")}
    said = top / "said"
    started, inherited = time.monotonic(), _resident()
    child = os.fork()
    if not child:
        _as_child(case, folder, said)
    status, usage = _wait(child, started + 6 * seconds)
    took = usage.ru_utime + usage.ru_stime
    text = said.read_text(errors="replace")
    said.unlink()
    outside = [
        path
        for path in top.rglob("*")
        if not any(path.is_relative_to(folder / name) for name in WITHIN)
        and before.get(path) != path.lstat().st_mtime_ns
        and not (path.is_dir() and path in before)
    ]
    megabytes, most = max(0.0, usage.ru_maxrss / 1024 - inherited), 2 if "-m" in case.arguments else 1
    return Ended(case, status, took, megabytes, text.strip(), _fault(status, took, megabytes, text, outside, most))


def _resident() -> float:
    """Return the memory of this process in MB, which a child has from the start."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _wait(child: int, until: float) -> tuple[int, resource.struct_rusage]:
    while True:
        found, code, usage = os.wait4(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(code), usage
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.005)


def _as_child(case: Case, folder: Path, said: Path) -> None:
    status = 70
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**31, 2**31))
        os.chdir(folder)
        os.environ.update(case.environment)
        sink = os.open(os.devnull, os.O_RDWR)
        error = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 0)
        os.dup2(sink, 1)
        os.dup2(error, 2)
        sys.stdout, sys.stderr = (open(number, "w", errors="backslashreplace") for number in (1, 2))  # noqa: PTH123, SIM115
        from mnistlab import cli

        try:
            status = cli.dispatch(case.arguments)
        except SystemExit as stop:
            status = int(stop.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    os._exit(status)


def _fault(status: int, seconds: float, megabytes: float, said: str, outside: list[Path], most: int = 1) -> str:
    lines = [line for line in said.splitlines() if line and not line.startswith("warning: ")]
    if status == -signal.SIGKILL:
        return "did not end"
    if seconds > SECONDS:
        return f"took {seconds:.1f} s"
    if status not in (0, 1, 2):
        return f"ended with {status}"
    if "Traceback" in said:
        return "a traceback"
    if status and not 1 <= len(lines) <= most:  # a sweep says what is wrong with its job, and how to go on
        return f"{len(lines)} lines"
    if status and not all(": error: " in line for line in lines):
        return "no error line"
    if "shows the traceback" in said or "the traceback is in" in said:
        return "an error that was not foreseen"
    if megabytes > MEGABYTES:
        return f"{megabytes:.0f} MB"
    if outside:
        return f"wrote {outside[0]}"
    return ""


def warm() -> None:
    """Import what the commands need, so that every fork has it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import importlib

    for name in (
        "runs.lifecycle",
        "sweeps.runner",
        "cli.evaluate",
        "cli.compare",
        "cli.data",
        "cli.explore",
        "cli.predict",
        "cli.report",
    ):
        importlib.import_module(f"mnistlab.{name}")
    import pandas  # noqa: F401
    import sklearn.metrics  # noqa: F401
    from PIL import Image

    Image.init()


def run_all(chosen: Sequence[Case], say: Callable[[Ended], None] = lambda ended: None, at_once: int = 1) -> list[Ended]:
    """Run the cases, as many at a time as there are to be processes that fork them."""
    if at_once == 1:
        return list(_run_share(range(len(chosen)), chosen, say))
    with tempfile.TemporaryDirectory() as place:
        places, children = [Path(place, str(share)) for share in range(at_once)], []
        for share, path in enumerate(places):
            if not (child := os.fork()):
                with path.open("w") as file:
                    for one in _run_share(range(share, len(chosen), at_once), chosen, say):
                        file.write(json.dumps([one.status, one.seconds, one.megabytes, one.said, one.fault]) + "\n")
                os._exit(0)
            children.append(child)
        ends = [os.waitpid(child, 0)[1] for child in children]
        if any(ends):
            raise SystemExit("a process that runs cases failed")
        lines = [path.read_text().splitlines() for path in places]
    return [Ended(case, *json.loads(lines[i % at_once][i // at_once])) for i, case in enumerate(chosen)]


def _run_share(numbers: Iterable[int], chosen: Sequence[Case], say: Callable[[Ended], None]) -> Iterator[Ended]:
    with tempfile.TemporaryDirectory() as place:
        os.environ["MNISTLAB_CACHE"] = str(Path(place) / "cache")
        for number in numbers:
            ended = forked(chosen[number], Path(place) / str(number) / "a" / "b")
            shutil.rmtree(Path(place) / str(number), ignore_errors=True)
            say(ended)
            yield ended


def main(
    seed: int = 0,
    short: bool = False,
    count: int = 1400,
    kinds: Sequence[str] = (),
    say: Callable[[Ended], None] = lambda ended: None,
) -> tuple[Rows, list[str]]:
    """Return a row for each kind, and the faults."""
    warm()
    ended = run_all(cases(110 if short else count, seed, kinds), say, at_once=2)
    rows: Rows = []
    for kind in dict.fromkeys(one.case.kind for one in ended):
        mine = [one for one in ended if one.case.kind == kind]
        zero, one, two = (sum(one.status == status for one in mine) for status in (0, 1, 2))
        slowest, largest = max(one.seconds for one in mine), max(one.megabytes for one in mine)
        text = f"of {kind} ended: {zero} with status 0, {one} with 1, {two} with 2; the slowest after {slowest:.1f} s"
        rows.append((f"{text}, the largest with {largest:.0f} MB", len(mine)))
    faults = [str(one) for one in ended if one.fault]
    return [*rows, ("faults", len(faults))], faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="bad files and requests through the command line")
    parser.add_argument("--cases", type=int, default=1400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", action="append", default=[], choices=[*KINDS, *SAVED])
    asked = parser.parse_args()

    def tell(ended: Ended) -> None:
        if ended.fault:
            print(f"  FAULT {ended}", flush=True)

    counted, found = main(asked.seed, False, asked.cases, asked.kind, tell)
    for what, number in counted:
        print(f"  {number:>6}  {what}")
    sys.exit(1 if found else 0)
