"""A folder of real runs, a board on it, and a browser."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers import browser
from helpers.browser import Browser

from mnistlab import cli
from mnistlab.board.board import Board
from mnistlab.board.server import Server

SMALL = ["experiment=smoke", "data.limit=300", "data.test_limit=100", "trainer.epochs=2", "report.plots=none"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Two settings of three seeds, a small convolutional network, and a forest, in ``outputs``; not to be changed."""
    place = tmp_path_factory.mktemp("lab")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        sweep = ["optimizer=sgd", "optimizer.lr=0.01,0.1", "seed=0,1,2", "hydra/launcher=basic"]
        subdir = "hydra.sweep.subdir='${optimizer.lr}_${seed}'"
        assert cli.dispatch(["train", "-m", *SMALL, *sweep, "hydra.sweep.dir=outputs/lr", subdir, "-q"]) == 0
        cnn = ["model=lenet5", "model.layers.0.conv.filters=4", "tags=[week3]", "note=a first look"]
        assert cli.dispatch(["train", *SMALL, *cnn, "hydra.run.dir=outputs/cnn", "-q"]) == 0
        assert cli.dispatch(["train", *SMALL[:-2], "model=random_forest", "hydra.run.dir=outputs/forest", "-q"]) == 0
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return place / "outputs"


@pytest.fixture
def lab(trained: Path, tmp_path: Path) -> Path:
    """A copy of the runs that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "outputs"))


class Client:
    """A page as the server sees it: it has read its token, and sends it with every POST."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.token = server.token

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, name: str, **values: Any) -> dict[str, Any]:
        query = "&".join(f"{key}={value}" for key, value in values.items())
        status, _, body = self.ask("GET", f"/api/{name}?{query}")
        assert status == 200, body
        return dict(json.loads(body))

    def post(self, name: str, expected: int = 200, **values: Any) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "X-Board-Token": self.token}
        status, _, body = self.ask("POST", f"/api/{name}", json.dumps(values).encode(), headers)
        assert status == expected, body
        return dict(json.loads(body))

    def numbers(self) -> dict[str, int]:
        """Return the number of each run by its path."""
        return {run[1]: run[0] for run in self.get("runs")["runs"]}


@contextmanager
def serving(root: Path, host: str = "127.0.0.1") -> Iterator[Client]:
    server = Server(Board(root), host, 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Client(server)
    finally:
        server.stop()
        thread.join(20)
        server.close()
        assert not thread.is_alive()


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


@pytest.fixture(scope="session")
def client(trained: Path) -> Iterator[Client]:
    """A board on the runs that nobody changes."""
    with serving(trained) as one:
        yield one


@pytest.fixture
def own(lab: Path) -> Iterator[Client]:
    """A board on runs that the test may change."""
    with serving(lab) as one:
        yield one


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = browser.found()
    if not program:
        pytest.skip("needs a browser: apt-get install chromium")
    with browser.started(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def waited(window: Browser, expression: str, seconds: float = 20.0) -> Any:
    """Return the value of an expression as soon as it is true."""
    until = time.monotonic() + seconds
    while not (found := window.value(expression)):
        assert time.monotonic() < until, f"{expression}: never true; {window.complaints}"
        time.sleep(0.05)
    return found


@pytest.fixture
def wait() -> Callable[..., Any]:
    return waited
