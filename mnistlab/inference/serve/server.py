"""The page and its request, over HTTP on this machine only."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import bottle
import numpy as np

from mnistlab.inference.predict.image_io import UnreadableError
from mnistlab.inference.serve.guard import guarded, loopback
from mnistlab.inference.serve.session import SIDE, Watched
from mnistlab.system.errors import RequestError

MOST_BYTES = 64 * 1024  # of a request; a drawing has 19,600
PATIENCE = 10.0  # seconds for a request to arrive
BINARY = "application/octet-stream"  # a form of another site cannot send it without a preflight request


class Server(ThreadingMixIn, WSGIServer):
    """One thread per request; none keeps the process alive."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing: a browser that closes the connection is not an error."""


class Handler(WSGIRequestHandler):
    """A handler with a timeout and without a log."""

    timeout = PATIENCE

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def address_string(self) -> str:
        """Return the address without looking up its host name."""
        return str(self.client_address[0])


def listen(watched: Watched, host: str, port: int) -> Server:
    """Return a listening server; port 0 chooses a free one."""
    server = Server((host, port), Handler)
    server.set_app(guarded(application(watched), loopback(server.server_port).__contains__, MOST_BYTES))
    return server


def application(watched: Watched) -> bottle.Bottle:
    """Return the application: the page at ``/``, and ``POST /see`` with SIDE x SIDE grey levels.

    ``?digit=K`` chooses the digit whose input and layers are returned.
    """
    app = bottle.Bottle()
    text = page(watched)
    policy = content_policy(text)

    @app.get("/")
    def _page() -> str:
        bottle.response.content_type = "text/html; charset=utf-8"
        bottle.response.set_header("Content-Security-Policy", policy)
        return text

    @app.post("/see")
    def _see() -> Any:
        if bottle.request.content_type.partition(";")[0].strip().lower() != BINARY:
            return refused(415, f"the body must be {BINARY}")
        body = bottle.request.body.read(MOST_BYTES)
        if len(body) != SIDE * SIDE:
            return refused(400, f"the body must be {SIDE} x {SIDE} grey levels, one byte each")
        digit = bottle.request.query.get("digit", "")
        if digit and not (digit.isascii() and digit.isdecimal() and len(digit) < 6):
            return refused(400, "digit must be the number of a digit, counted from 0")
        try:
            drawing = np.frombuffer(body, np.uint8).reshape(SIDE, SIDE)
            return watched.see(drawing, int(digit) if digit else None)
        except UnreadableError as error:  # the first touch of the pen is not an error
            return {"nothing": str(error)}
        except RequestError as error:
            return refused(422, str(error))

    app.default_error_handler = lambda error: refused(error.status_code, str(error.status_line))
    return app


def refused(status: int, reason: str) -> bottle.HTTPResponse | str:
    """Return a response with a status and a one-line reason."""
    headers = {"Content-Type": "application/json"}
    return bottle.HTTPResponse(json.dumps({"error": reason}), status, headers)


def page(watched: Watched) -> str:
    """Return the page, with the facts about the network."""
    about = {"name": watched.name, "classes": watched.class_names, "side": SIDE}
    facts = json.dumps(about).replace("<", "\\u003c")  # otherwise a class named </script> would end the script
    text = Path(str(files("mnistlab.inference.serve") / "page.html")).read_text(encoding="utf-8")
    return text.replace("{{about}}", facts)


def content_policy(text: str) -> str:
    """Return the policy that allows only the page's own script and style."""
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
