"""``mnistlab rerun``: repeats a run from what it saved, and says whether the same came out, and if not, why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mnistlab.cli import arguments as arguments_of
from mnistlab.cli.resume import conclude, started_in, threads_of
from mnistlab.config import compose
from mnistlab.config.tracking import NoTracking
from mnistlab.runs import environment, pipeline, saved_config, status
from mnistlab.runs.pipeline import RunContext
from mnistlab.system import files, output
from mnistlab.system.errors import RequestError
from mnistlab.system.flatten import as_text, flat

USAGE = """\
Usage: mnistlab rerun RUN [--to DIR] [--quiet]

  Repeats a completed run in a new directory: with its saved configuration and seed, on as many BLAS threads. Says
  whether metrics.json came out the same, byte for byte (exit status 0), or which metrics differ, and in what the
  environment does (exit status 1). Nothing is written into RUN.

  --to DIR         the new directory, if not outputs/<date>/<time>_rerun
  --json           one JSON object instead: identical or not, and what differs
  -q, --quiet      print the verdict only
"""
SHOWN = 10  # metrics that differ
HYDRA = ("hydra.yaml", "overrides.yaml")


def main(arguments: Sequence[str]) -> int:
    """Repeat a run; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, given, flags = arguments_of.split("rerun", arguments, ["--to"], ["-q", "--quiet"])
    if len(words) != 1:
        raise RequestError(f"{' '.join(words) or 'rerun'}: the directory of one run was expected")
    directory, place = Path(words[0]).absolute(), words[0]
    if not (directory / "status.json").is_file():
        raise RequestError(f"{place}: no run lies here (there is no status.json)")
    state = status.read(directory)
    if state.state != "completed":
        raise RequestError(f"{place}: this run is {state.state}, and only a completed one can be compared with")
    cfg, was = saved_config.read(directory), _json(directory / "metrics.json", place)
    about = environment.read(directory / "environment.json")
    described = {name: _text(directory / ".hydra" / name) for name in HYDRA}
    cfg.tracking = OmegaConf.structured(NoTracking)  # a repetition is a check of the run, not another result
    if flags:
        cfg.report.console = "quiet"
    to = _claim(given.get("--to"))
    shown = files.shown(to)
    setting = RunContext(to, ("mnistlab", "rerun", *arguments), described, started_in(about), threads=threads_of(about))
    conclude(pipeline.carry_out(cfg, setting))
    same = files.read_bytes(to / "metrics.json") == files.read_bytes(directory / "metrics.json")
    now, here = _json(to / "metrics.json", str(shown)), environment.read(to / "environment.json")
    document = {
        "run": place,
        "directory": shown,
        "identical": same,
        "metrics": _changed(was, now),
        "environment": environment.differences(about, here),
    }
    output.show(document, "\n".join(verdict(place, shown, same, was, now, about, here)))
    return 0 if same else 1


def _changed(was: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the metrics that differ, by dotted key: what they were and what they are."""
    before, after = dict(flat(was)), dict(flat(now))
    keys = {**before, **after}
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}


def verdict(
    place: str,
    shown: Path,
    same: bool,
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    there: Mapping[str, Any],
    here: Mapping[str, Any],
) -> list[str]:
    """Return what is to be said of a run and its repetition: their metrics and their environments."""
    differing = [
        f"  {key}: {as_text(one)} -> {as_text(other)}"
        for key, (one, other) in environment.differences(there, here).items()
    ]
    if same:
        lines = [f"identical: metrics.json of {shown} has the same bytes as that of {place}"]
        return [*lines, "although the environment differs:", *differing] if differing else lines
    changed, number = _changed(was, now), len({**dict(flat(was)), **dict(flat(now))})
    lines = [f"different: {len(changed)} of {number} metrics are not those of {place}"]
    lines += [_change(key, *both) for key, both in list(changed.items())[:SHOWN]]
    lines += [f"  and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
    if not changed:
        lines.append("  the values are the same, the bytes are not: the file was written otherwise")
    if not differing:
        return [*lines, "the environment is the same in all that environment.json knows"]
    return [*lines, "the environment differs:", *differing]


def _change(key: str, before: Any, after: Any) -> str:
    by = ""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (before, after)):
        by = f" (by {after - before:+.3g})"
    return f"  {key}: {_short(before)} -> {_short(after)}{by}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _claim(to: str | None) -> Path:
    if to is None:
        return Path(compose.claim(f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}_rerun")).absolute()
    path = Path(to).absolute()
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise RequestError(f"--to {to}: it is there already; name a new directory") from None
    compose.CLAIMED.add(path)
    return path


def _json(path: Path, place: str) -> dict[str, Any]:
    try:
        content = json.loads(files.read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"{place}: metrics.json is not readable ({error})") from None
    if not isinstance(content, dict):
        raise RequestError(f"{place}: metrics.json holds no metrics")
    return content


def _text(path: Path) -> str:
    try:
        return files.read_text(path)
    except (OSError, ValueError):
        return ""
