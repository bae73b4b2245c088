"""``mnistlab serve``: a page on this machine to draw a digit and watch a saved network."""

from __future__ import annotations

from importlib.util import find_spec

from mnistlab.cli.parameters import RUN, Whole, argument, command, option
from mnistlab.system.errors import RequestError, needs

PORT = 8028
HOST = "127.0.0.1"


@command("serve", no_args_is_help=True, examples=("mnistlab serve outputs/2026-11-21/09-30-12_lenet5 --port 8030",))
@argument("run", metavar="RUN", type=RUN, help="A run directory, or the model.safetensors in it.")
@option("--port", metavar="N", type=Whole(0, 65535), default=PORT, help="The port; 0 chooses a free one.")
def main(run: str, port: int) -> int:
    """Serve a local page where you draw a digit and see how the network responds.

    The page, http://127.0.0.1:8028/, works with mouse, pen or finger. While you draw, it shows the input of the
    network, the probability of every class, and the feature maps of its layers. Drawings are prepared as in
    `mnistlab predict`. The page can be opened on this machine only, stores nothing and loads nothing from
    elsewhere. Ctrl-C stops the server. This command needs bottle: pip install '.[serve]'
    """
    if find_spec("bottle") is None:
        raise RequestError(needs("bottle", "serve"))

    from mnistlab.inference.serve import server as site
    from mnistlab.inference.serve import session
    from mnistlab.runs.saved_run import open_run

    watched = session.Watched(open_run(run))
    try:
        server = site.listen(watched, HOST, port)
    except OSError as error:
        raise RequestError(
            f"--port {port}: {error.strerror or error}; choose another port, or 0 for a free one"
        ) from None
    try:
        print(f"http://{HOST}:{server.server_port}/  (press Ctrl-C to stop)", flush=True)  # noqa: T201
        server.serve_forever()
    except KeyboardInterrupt:  # the normal way to stop
        pass
    finally:
        server.server_close()
    return 0
