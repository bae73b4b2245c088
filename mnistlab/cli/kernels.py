"""``mnistlab kernels``: the compiled kernels of this machine."""

from __future__ import annotations

import time

from mnistlab.cli.parameters import command, json_option, option
from mnistlab.nn import kernels
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError


@command("kernels", examples=("mnistlab kernels", "mnistlab kernels --compile", "mnistlab kernels --clear"))
@option(
    "--compile",
    "compiles",
    is_flag=True,
    help="Compile all kernels now, for example for CI, a container image or a cluster.",
)
@option("--clear", "clears", is_flag=True, help="Remove all compiled kernels.")
@json_option
def main(compiles: bool, clears: bool) -> int:
    """Show which kernels are compiled, for which processor, and where they are stored.

    trainer.kernels=numba trains with compiled kernels. Each is compiled when it is first needed, once per
    machine and version; all of them together take about ten seconds.
    """
    if compiles and clears:
        raise RequestError("--clear: not together with --compile; call the command twice")
    if reason := kernels.unavailable():
        raise RunError(f"kernels: {reason}")
    from mnistlab.nn.kernels import inventory

    if clears:
        print(f"{inventory.clear()} kernels removed from {inventory.folder()}", flush=True)  # noqa: T201
        return 0
    started = time.perf_counter()
    if compiles:
        inventory.compile_all(lambda name: print(f"compiling {name}", flush=True))  # noqa: T201
    rows = inventory.rows()
    done = [row for row in rows if row.size]
    output.give(
        {
            "folder": str(inventory.folder()),
            "processor": inventory.processor(),
            "lanes": inventory.LANES,
            "kernels": {row.name: row.size for row in rows},
        }
    )
    width = max(len(row.name) for row in rows)
    for row in rows:
        state = f"{row.size / 1024:8.0f} KiB" if row.size else "not compiled"
        print(f"{row.name:{width}}  {state:>12}", flush=True)  # noqa: T201
    print(f"\n{len(done)} of {len(rows)} kernels compiled for {inventory.processor()}", flush=True)  # noqa: T201
    print(f"folder {inventory.folder()}", flush=True)  # noqa: T201
    if compiles:
        print(f"{time.perf_counter() - started:.1f} s", flush=True)  # noqa: T201
    return 0
