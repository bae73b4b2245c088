"""``mnistlab serve``: a page on this machine to draw a digit and watch a saved network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from mnistlab.cli import arguments as arguments_of
from mnistlab.system.errors import RequestError, needs

USAGE = """\
Usage: mnistlab serve RUN [--port N]

  Opens a page on this machine, http://127.0.0.1:8028/, to draw a digit with mouse, pen or finger. While you draw it
  shows what the network sees of it, the probability of every class, and the feature maps of its layers. Drawings are
  prepared as `mnistlab predict` prepares pictures. Nobody else can reach it, nothing is stored, and the page loads
  nothing from elsewhere. Ctrl-C stops it. It needs bottle: pip install '.[serve]'

  RUN         a run directory, or the model.safetensors in it
  --port N    the port, if not 8028; 0 takes one that is free
"""
PORT = 8028
HOST = "127.0.0.1"


def main(arguments: Sequence[str]) -> int:
    """Serve until it is interrupted; return the exit status."""
    if not arguments or {"-h", "--help"} & {*arguments}:
        print(USAGE, end="")  # noqa: T201
        return 0 if arguments else 2
    words, given, _ = arguments_of.split("serve", arguments, ["--port"])
    port = given.get("--port", str(PORT))
    if not (port.isascii() and port.isdecimal()) or len(port) > 5 or int(port) > 65535:
        raise RequestError(f"--port {port}: a whole number from 0 to 65535 was expected")
    if len(words) != 1:
        raise RequestError(f"{' '.join(words) or 'serve'}: the directory of one run was expected")
    if find_spec("bottle") is None:
        raise RequestError(needs("bottle", "serve"))

    from mnistlab.inference.serve import server as site
    from mnistlab.inference.serve import session
    from mnistlab.runs.saved_run import open_run

    watched = session.Watched(open_run(words[0]))
    try:
        server = site.listen(watched, HOST, int(port))
    except OSError as error:
        raise RequestError(f"--port {port}: {error.strerror or error}; choose another, or 0 for a free one") from None
    try:
        print(f"http://{HOST}:{server.server_port}/  Ctrl-C stops it", flush=True)  # noqa: T201
        server.serve_forever()
    except KeyboardInterrupt:  # the way to stop it, so no failure
        pass
    finally:
        server.server_close()
    return 0
