"""Checks of every request to a server on this machine, before the application sees it.

Pages of other sites in the same browser must get no access: a request must have this host and port (which also prevents
DNS rebinding), this origin if it has one, and be small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

MOST_UNREAD = 2**20  # bytes of a refused request that are still read
Application = Callable[..., Iterable[bytes]]
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def loopback(port: int) -> set[str]:
    """Return the hosts by which a browser of this machine reaches this port."""
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    return hosts | {"127.0.0.1", "localhost"} if port == 80 else hosts


def guarded(app: Application, is_ours: Callable[[str], bool], most: int) -> Application:
    """Return the application with checks of every request: the host must be ours, the body at most ``most`` bytes."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or refuse it before the application sees it."""
        length = environ.get("CONTENT_LENGTH") or "0"
        status = refusal(environ, is_ours, length, most)
        if status:
            if length.isascii() and length.isdecimal() and len(length) <= 9 and int(length) <= MOST_UNREAD:
                environ["wsgi.input"].read(int(length))  # otherwise the refusal would be lost in a connection reset
            start(status, [("Content-Type", "text/plain; charset=utf-8")])
            return [f"{status}\n".encode()]

        def safe(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start(status, [*headers, *HEADERS.items()], *rest)

        return app(environ, safe)

    return answer


def refusal(environ: dict[str, Any], is_ours: Callable[[str], bool], length: str, most: int) -> str:
    """Return the status with which a request is refused; an empty text if it is not."""
    origin = environ.get("HTTP_ORIGIN")
    scheme, _, host = (origin or "").lower().partition("://")
    if not is_ours(environ.get("HTTP_HOST", "").lower()):
        return "403 Forbidden"
    if origin is not None and (scheme != "http" or not is_ours(host)):
        return "403 Forbidden"
    if "HTTP_TRANSFER_ENCODING" in environ:
        return "411 Length Required"
    if not (length.isascii() and length.isdecimal()):
        return "400 Bad Request"
    return "413 Content Too Large" if len(length) > 9 or int(length) > most else ""
