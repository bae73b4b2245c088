"""The board over HTTP: the page, what it asks for, and the two things that it may change, tags and notes.

Runs are numbers, and files are chosen from fixed lists, so that no request can name a path. A change needs the token
that the page was served with; on another host than this machine's loopback, so does everything else.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import bottle

from mnistlab.board import audits, one_run, requests
from mnistlab.board.board import Board
from mnistlab.system import output
from mnistlab.system.errors import RequestError, RunError
from mnistlab.system.readers import UnreadableError

MOST_BYTES = 1024 * 1024  # of a request: the numbers of 100,000 runs
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
POLICY_OF_REPORTS = (
    "default-src 'none'; img-src data: 'self'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
)
READS = requests.READS | one_run.READS | audits.READS
POSTS = requests.WRITES | requests.QUESTIONS
UNREADABLE = (RequestError, RunError, UnreadableError)
DAMAGED = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)


def static_files() -> dict[str, bytes]:
    """Return the files of the page by name."""
    folder = Path(str(files("mnistlab.board") / "static"))
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in TYPES]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def application(board: Board, token: str, cookie: str | None) -> bottle.Bottle:
    """Return the application; with the name of a ``cookie``, every request needs it, or the token in the address.

    A browser sends a cookie to all ports of a host. It is therefore named after the port, and does not hold the token:
    another server on this host may see it, but cannot change anything with it.
    """
    app = bottle.Bottle()
    session = secrets.token_urlsafe(24)

    def knows(text: str | None, secret: str = token) -> bool:
        """Return whether a text is the secret, in a time that does not depend on where they differ."""
        return hmac.compare_digest((text or "").encode("utf-8", "replace"), secret.encode())

    @app.hook("before_request")
    def _check() -> None:
        request = bottle.request
        bottle.response.set_header("Content-Security-Policy", POLICY)
        if cookie and not (knows(request.get_cookie(cookie), session) or knows(request.query.get("token"))):
            raise refused(403, "the address must have the token that `mnistlab board` printed")
        if request.method not in ("GET", "HEAD"):
            if request.content_type.partition(";")[0].strip().lower() != "application/json":
                raise refused(415, "the body must be JSON")
            if not knows(request.environ.get("HTTP_X_BOARD_TOKEN")):
                raise refused(403, "the token of the page is missing or wrong; load the page again")

    _serve_page(app, token, cookie, session)
    _serve_runs(app, board)
    app.default_error_handler = lambda error: refused(error.status_code, str(error.status_line))
    return app


def _serve_page(app: bottle.Bottle, token: str, cookie: str | None, session: str) -> None:
    """Add the page and its modules, which are read once."""
    static = static_files()
    page = static.pop("index.html").decode("utf-8").replace("{{token}}", token)

    @app.get("/")
    def _page() -> Any:
        if cookie and bottle.request.query.get("token"):  # from now on as a cookie, out of the browser's history
            bottle.response.set_cookie(cookie, session, httponly=True, samesite="strict", path="/")
            bottle.response.status = 303
            bottle.response.set_header("Location", "/")
            return ""
        bottle.response.content_type = "text/html; charset=utf-8"
        return page

    @app.get("/static/<name:path>")
    def _static(name: str) -> Any:
        if name not in static:
            raise refused(404, "no such file")
        bottle.response.content_type = f"{TYPES[Path(name).suffix]}; charset=utf-8"
        return static[name]


def _serve_runs(app: bottle.Bottle, board: Board) -> None:
    """Add the files of the runs, and what can be asked about them."""

    @app.get("/run/<number:int>/<name:path>")
    def _file(number: int, name: str) -> Any:
        content, kind = answered(lambda: board.file(number, name))
        bottle.response.set_header("Content-Security-Policy", POLICY_OF_REPORTS)
        bottle.response.content_type = kind
        return content

    @app.get("/api/<name>")
    def _get(name: str) -> Any:
        return as_json(READS, name, bottle.request.query)

    @app.post("/api/<name>")
    def _post(name: str) -> Any:
        return as_json(POSTS, name, body())

    def as_json(known: dict[str, Any], name: str, values: Any) -> Any:
        """Return the answer to a request of this name as JSON."""
        if name not in known:
            raise refused(404, "no such request")
        bottle.response.content_type = "application/json"
        return json.dumps(output.plain(answered(lambda: known[name](board, values))), allow_nan=False)


def answered(work: Callable[[], Any]) -> Any:
    """Return the result of a request; what is wrong with it or with the files is a refusal of one line."""
    try:
        return work()
    except UNREADABLE as error:
        raise refused(422, str(error)) from None
    except DAMAGED as error:
        raise refused(422, f"the files of this run cannot be read ({type(error).__name__}: {error})") from None


def body() -> dict[str, Any]:
    """Return the JSON object in the body of the request."""
    try:
        content = json.loads(bottle.request.body.read(MOST_BYTES))
    except (ValueError, RecursionError):
        raise refused(400, "the body must be JSON") from None
    if not isinstance(content, dict):
        raise refused(400, "the body must be a JSON object")
    return content


def refused(status: int, reason: str) -> bottle.HTTPResponse:
    """Return a response with a status and a one-line reason."""
    headers = {"Content-Type": "application/json", "Content-Security-Policy": POLICY}
    return bottle.HTTPResponse(json.dumps({"error": " ".join(reason.split())}), status, headers)
