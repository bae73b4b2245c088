"""``mnistlab board``: a page over all runs on this machine, or frozen into one file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mnistlab.cli.parameters import DIRECTORY, FILE, Whole, argument, command, option
from mnistlab.system import arguments
from mnistlab.system.errors import RequestError, needs

PORT = 8028
HOST = "127.0.0.1"
FOLDER = "outputs"


@command(
    "board",
    examples=(
        "mnistlab board",
        "mnistlab board outputs --port 8030",
        "mnistlab board --freeze week3.html tag=week3",
    ),
)
@argument(
    "words",
    metavar="[DIR] [FILTER ...]",
    nargs=-1,
    type=DIRECTORY,
    help="The folder of the runs, outputs by default; with --freeze, filters as of `mnistlab runs`.",
)
@option("--port", metavar="N", type=Whole(0, 65535), default=PORT, help="The port; 0 chooses a free one.")
@option(
    "--host",
    metavar="ADDRESS",
    default=HOST,
    help="The address to listen on. Any but 127.0.0.1 lets other machines connect, with the token that is printed.",
)
@option("--freeze", metavar="FILE", type=FILE, help="Write the page with the runs that match to one offline HTML file.")
def main(words: tuple[str, ...], port: int, host: str, freeze: str | None) -> int:
    """Serve a page over all runs: table, curves with verdicts, sweeps, the images behind a number.

    The page, http://127.0.0.1:8028/, follows the files while runs are training, and loads nothing from elsewhere. Only
    tags and notes can be changed on it. Ctrl-C stops the server. --freeze writes the same page to a file that can be
    opened and sent without a server; in it, nothing can be computed or changed. This command needs bottle and waitress:
    pip install '.[board]'
    """
    folder, filters = _folder(words)
    if freeze is not None:
        from mnistlab.board import frozen

        path, runs, size = frozen.write(folder, filters, Path(freeze))
        print(f"{path}: {runs:,} run{'s' if runs > 1 else ''}, {size / 1e6:.2f} MB")  # noqa: T201
        return 0
    if filters:
        raise RequestError(f"{filters[0]}: filters are for --freeze; on the page, type them into its field")
    for package in ("bottle", "waitress"):
        if find_spec(package) is None:
            raise RequestError(needs(package, "board"))

    from mnistlab.board.board import Board
    from mnistlab.board.server import Server

    try:
        server = Server(Board(folder), HOST if host == "localhost" else host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # the rest repeats the address
        raise RequestError(f"--host {host} --port {port}: {reason}; choose another port, or 0 for a free one") from None
    try:
        print(f"{server.address}  (press Ctrl-C to stop)", flush=True)  # noqa: T201
        server.run()
    except KeyboardInterrupt:  # the normal way to stop
        pass
    finally:
        server.close()
    return 0


def _folder(words: tuple[str, ...]) -> tuple[Path, list[str]]:
    """Return the folder of the runs, and the filters."""
    first, rest = (words[0], words[1:]) if words else (FOLDER, ())
    if arguments.is_directory(first):
        return Path(first), list(rest)
    from mnistlab.runs.filters import is_filter

    if not words or is_filter(first):
        return Path(FOLDER), list(words)
    raise RequestError(f"{first}: no such directory; name the folder of the runs, for example outputs")
