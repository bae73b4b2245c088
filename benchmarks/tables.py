"""From measurements to the tables: medians, spreads, ratios; CSV and Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workloads import EVERY

Measurement = dict[str, Any]
MEMORY = {"ours": "ours", "numpy": "NumPy layers", "torch": "PyTorch", "jax": "JAX"}  # peers, as people call them


def row(workload: str, measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Return the table's row of one workload.

    A peer's ratio is taken round by round, peer / ours; the row has the median of the ratios, the least and the
    largest. A peer that was measured with several numbers of threads, or memory layouts, stands with the choice of the
    lowest median. Convolutional networks have no row of scikit-learn.
    """
    mine = [m for m in measurements if m["workload"] == workload]
    rounds = {m["round"]: m["seconds"] for m in mine if m["peer"] == "ours" and "seconds" in m}
    threads = next(m["threads"] for m in mine if m["peer"] == "ours")
    cells: dict[str, Any] = {"workload": workload, "threads": threads, **_spread("ours", rounds.values())}
    for peer in ("numpy", "torch", "compiled", "jax", "sklearn"):
        best = best_choice(peer, mine, len(rounds))
        times = {m["round"]: m["seconds"] for m in of_choice(peer, best, mine)}
        threads, layout = best or (None, "")
        cells |= {f"{peer}_threads": threads, f"{peer}_layout": layout, **_spread(peer, times.values())}
        cells |= _spread(f"{peer}_ratio", [times[i] / rounds[i] for i in times if i in rounds])
    bar, ratio = EVERY[workload].bar, cells["torch_ratio"]
    foreign = [m["foreign"] for m in mine if m.get("foreign") is not None]
    return cells | {
        "bar": bar,
        "holds": None if ratio is None else ratio >= bar,
        "gemm_share": next((m["gemm_share"] for m in mine if "gemm_share" in m), None),
        **{f"{peer}_peak": peak(peer, mine, len(rounds)) for peer in MEMORY},
        "before": min((m["before"] for m in mine if m.get("before")), default=None),
        "skipped": "; ".join(dict.fromkeys(f"{m['peer']}: {m['skipped']}" for m in mine if "skipped" in m)),
        "left_out": next((m["left_out"] for m in mine if m.get("left_out")), ""),
        "worst_foreign": max(foreign, default=None),
    }


def choice_of(m: Measurement) -> tuple[int, str]:
    """Return the number of threads and the memory layout of a measurement."""
    return m["threads"], m.get("layout", "")


def of_choice(peer: str, choice: tuple[int, str] | None, measurements: Iterable[Measurement]) -> list[Measurement]:
    """Return a peer's measurements of seconds with these threads and this layout."""
    return [m for m in measurements if m["peer"] == peer and "seconds" in m and choice_of(m) == choice]


def peak(peer: str, measurements: Sequence[Measurement], rounds: int) -> float | None:
    """Return the median peak of the memory of a peer's processes, in MiB, with the threads and layout that it gets."""
    found = of_choice(peer, best_choice(peer, measurements, rounds), measurements)
    return statistics.median(peaks) if (peaks := [m["peak"] for m in found if m.get("peak")]) else None


def best_choice(peer: str, measurements: Iterable[Measurement], rounds: int) -> tuple[int, str] | None:
    """Return the threads and layout with which a peer's median time is the lowest, of those measured in every round."""
    times: dict[tuple[int, str], list[float]] = {}
    for m in measurements:
        if m["peer"] == peer and "seconds" in m:
            times.setdefault(choice_of(m), []).append(m["seconds"])
    complete = {choice: statistics.median(seconds) for choice, seconds in times.items() if len(seconds) == rounds}
    return min(complete, key=lambda choice: complete[choice], default=None)


def dense_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of workloads for people."""
    head = (
        *("workload", "threads", "ours, s/epoch", "NumPy layers, s/epoch", "PyTorch, s/epoch", "scikit-learn, s/epoch"),
        *("PyTorch / ours", "target", "met", "torch.compile / ours", "JAX / ours"),
        *("NumPy layers / ours", "scikit-learn / ours", "GEMM", "other load"),
    )
    return markdown(
        head,
        [
            (
                r["workload"],
                r["threads"],
                seconds(r, "ours"),
                seconds(r, "numpy"),
                seconds(r, "torch"),
                seconds(r, "sklearn") + (" ~" if r["left_out"] else ""),
                ratio(r, "torch_ratio"),
                f">= {r['bar']:g}",
                verdict(r["holds"]),
                ratio(r, "compiled_ratio"),
                ratio(r, "jax_ratio"),
                ratio(r, "numpy_ratio"),
                ratio(r, "sklearn_ratio") + (" ~" if r["left_out"] else ""),
                percent(r["gemm_share"]),
                percent(r["worst_foreign"]),
            )
            for r in rows
        ],
    )


def memory_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of the peaks of memory for people."""
    head = ("workload", *(f"{name}, MiB" for name in MEMORY.values()), "of it before training")
    return markdown(
        head,
        [(r["workload"], *(mebibytes(r[f"{peer}_peak"]) for peer in MEMORY), mebibytes(r["before"])) for r in rows],
    )


def process_markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of whole processes for people."""
    return markdown(
        ("command", "counted", "seconds", "target", "met", "other load"),
        [
            (
                f"`{r['command']}`",
                r["counted"],
                f"{r['seconds']:.3f} ({r['min']:.3f}..{r['max']:.3f})",
                f"<= {r['bar']:g}",
                verdict(r["holds"]),
                percent(r["foreign"]),
            )
            for r in rows
        ],
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table, its columns aligned so that it reads as plain text too."""
    cells = [head, *([str(cell) for cell in cells] for cells in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    rule = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]) + "\n"


def seconds(r: Mapping[str, Any], what: str) -> str:
    """Return ``median (min..max)`` in seconds, with the number of threads of a peer."""
    if r[what] is None:
        return "not measured"
    threads = f", {r[f'{what}_threads']} thr. {r[f'{what}_layout']}".rstrip() if f"{what}_threads" in r else ""
    return f"{r[what]:.3f} ({r[f'{what}_min']:.3f}..{r[f'{what}_max']:.3f}){threads}"


def ratio(r: Mapping[str, Any], what: str) -> str:
    """Return ``median (min..max)`` of a ratio."""
    return "-" if r[what] is None else f"{r[what]:.2f} ({r[f'{what}_min']:.2f}..{r[f'{what}_max']:.2f})"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "unknown" if share is None else f"{share:.0%}"


def mebibytes(size: float | None) -> str:
    """Return a size of memory without decimals."""
    return "-" if size is None else f"{size:.0f}"


def verdict(holds: bool | None) -> str:
    """Return whether a bar holds."""
    return "-" if holds is None else "yes" if holds else "**no**"


def _spread(name: str, values: Iterable[float]) -> dict[str, float | None]:
    found = list(values)
    if not found:
        return {name: None, f"{name}_min": None, f"{name}_max": None}
    return {name: statistics.median(found), f"{name}_min": min(found), f"{name}_max": max(found)}
