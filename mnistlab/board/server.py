"""The board's server: where it listens, and which hosts a request may name."""

from __future__ import annotations

import ipaddress
import logging
import platform
import secrets
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import waitress
from waitress import wasyncore

from mnistlab.board.application import MOST_BYTES, application
from mnistlab.board.board import Board
from mnistlab.inference.serve.guard import guarded, loopback

LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::")  # all addresses of this machine
THREADS = 8


@dataclass
class Server:
    """A listening server, its address, and the token of its page."""

    board: Board
    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    def __post_init__(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.create_server((self.host, self.port), family=family)
        self._sockets: dict[int, Any] = {}  # of this server alone
        self._waitress = waitress.create_server(
            self._guarded, map=self._sockets, sockets=[listening], threads=THREADS, ident=None,
            max_request_body_size=2 * MOST_BYTES, max_request_header_size=16 * 1024,
            inbuf_overflow=4 * MOST_BYTES, outbuf_overflow=64 * MOST_BYTES,  # in memory rather than in a temporary file
            clear_untrusted_proxy_headers=True,
        )  # fmt: skip
        self.port = int(self._waitress.effective_port)
        cookie = None if is_loopback(self.host) else f"mnistlab_board_{self.port}"
        self._names = {self.host.lower()} | ({platform.node().lower(), socket.getfqdn().lower()} if cookie else set())
        self._app = guarded(application(self.board, self.token, cookie), self.is_ours, MOST_BYTES)

    @property
    def address(self) -> str:
        """Return the address of the page, with the token if it is needed; of all addresses, the name of the machine."""
        host = platform.node() if self.host in ANY and platform.node() else self.host
        shown = f"[{host}]" if ":" in host else host
        query = "" if is_loopback(self.host) else f"?token={self.token}"
        return f"http://{shown}:{self.port}/{query}"

    def is_ours(self, host: str) -> bool:
        """Return whether the Host header of a request names this server.

        Served to other machines, it may be any address, which is no name that another site could redirect here.
        """
        if host in loopback(self.port):
            return True
        return not is_loopback(self.host) and is_one_of(host, self._names, self.port)

    def run(self) -> None:
        """Serve until an interruption."""
        logging.getLogger("waitress.queue").setLevel(
            logging.ERROR
        )  # a request that waits a moment is nothing to report
        self._waitress.run()

    def stop(self) -> None:
        """Stop serving, from another thread."""
        with suppress(OSError):  # the loop may have closed everything before it is woken up
            self._waitress.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets))

    def close(self) -> None:
        """Close the socket and the index."""
        self._waitress.task_dispatcher.shutdown()
        self._waitress.close()
        self.board.close()

    def _guarded(self, environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        return self._app(environ, start)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host."""
    return host in (LOOPBACK, "localhost")


def is_one_of(host: str, names: Collection[str], port: int) -> bool:
    """Return whether a Host header is one of the names, or any address, with this port, which may be left out if 80."""
    name = host.removesuffix(f":{port}")
    return (name != host or port == 80) and (name in names or _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
