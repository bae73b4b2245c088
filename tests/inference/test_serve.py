"""The page to draw on: what it answers, and everything that it refuses."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import browser
from helpers.browser import Browser

from mnistlab import cli
from mnistlab.models import model_file
from mnistlab.runs.saved_run import open_run

pytest.importorskip("bottle")

from mnistlab.inference.serve import server as site
from mnistlab.inference.serve import session

PROGRAM = browser.found()
SIDE = session.SIDE
HEADERS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """A small convolutional network, and one of dense layers, in ``cnn`` and ``mlp``."""
    place = tmp_path_factory.mktemp("runs")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNISTLAB_CACHE", str(shared_cache))
        patch.chdir(place)
        small = ["experiment=smoke", "report.plots=none", "-q"]
        cnn = ["model=lenet5", "model.layers.0.conv.filters=4", "data.limit=1000", "trainer.epochs=1"]
        assert cli.dispatch(["train", *small, *cnn, "hydra.run.dir=cnn"]) == 0
        assert cli.dispatch(["train", *small, "hydra.run.dir=mlp"]) == 0
    for name in set(os.environ) - set(before):
        del os.environ[name]
    return place


@contextmanager
def serving(run: Path) -> Iterator[site.Server]:
    server = site.listen(session.Watched(open_run(str(run))), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def server(trained: Path) -> Iterator[site.Server]:
    with serving(trained / "cnn") as one:
        yield one


def ask(
    server: site.Server, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def a_one() -> np.ndarray:
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[20:120, 64:76] = 255
    return drawing


# --- what it answers ---


def test_a_drawing_is_answered_as_predict_would(server: site.Server, trained: Path) -> None:
    status, _, body = ask(server, "POST", "/see", a_one().tobytes(), HEADERS)
    answer = json.loads(body)
    assert status == 200
    assert answer["seen"]["shape"] == [1, 28, 28]
    seen = np.frombuffer(base64.b64decode(answer["seen"]["grey"]), np.uint8).reshape(28, 28)
    rows, columns = np.nonzero(seen)
    assert np.ptp(rows) + 1 == 20  # MNIST's box
    assert abs(columns.mean() - 14) < 1
    network, _ = model_file.load_model(trained / "cnn" / "model.safetensors")
    assert answer["probabilities"] == pytest.approx(network.predict(seen[None])[0].tolist(), abs=1e-5)


def test_the_maps_of_every_convolution_and_pooling_layer_are_shown(server: site.Server) -> None:
    layers = json.loads(ask(server, "POST", "/see", a_one().tobytes(), HEADERS)[2])["layers"]
    assert [layer["shape"][0] for layer in layers] == [4, 4, 16, 16, 32]
    assert layers[-1]["title"].endswith(": 32 of 120 maps")
    for layer in layers:
        grey = np.frombuffer(base64.b64decode(layer["grey"]), np.uint8)
        assert grey.size == np.prod(layer["shape"])
        assert (grey.min(), grey.max()) == (0, 255) or layer is layers[-1]  # of which not all are shown


def test_a_network_without_maps_shows_its_hidden_units(trained: Path) -> None:
    answer = session.Watched(open_run(str(trained / "mlp"))).see(a_one())
    first, second = answer["layers"]
    assert (first["title"], first["shape"]) == ("layer 3 relu: 128 units", [1, 11, 12])  # 4 of 132 are filled up
    assert (second["title"], second["shape"]) == ("layer 5 relu: 64 units", [1, 8, 8])


def test_grey_levels_span_the_values_of_a_layer() -> None:
    found = session.grey_levels(np.array([[[-1.0, 0.0], [1.0, np.nan]]]))
    assert found.tolist() == [[[0, 128], [255, 128]]]
    assert session.grey_levels(np.zeros((1, 2, 2))).tolist() == [[[0, 0], [0, 0]]]


def test_the_page_holds_all_it_needs_and_may_do_nothing_else(server: site.Server) -> None:
    status, headers, body = ask(server, "GET", "/")
    text = body.decode()
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert "http" not in text
    assert '"classes": ["0", "1"' in text


def test_a_class_name_cannot_end_the_script(trained: Path) -> None:
    watched = session.Watched(open_run(str(trained / "mlp")))
    watched.class_names = ("</script><script>alert(1)", *watched.class_names[1:])
    assert "</script><script>alert" not in site.page(watched)


def two_strokes() -> np.ndarray:
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[30:110, 30:40] = 255
    drawing[30:110, 90:100] = 255
    drawing[30:40, 70:100] = 255
    return drawing


def test_several_digits_are_answered_one_by_one(server: site.Server) -> None:
    answer = json.loads(ask(server, "POST", "/see", two_strokes().tobytes(), HEADERS)[2])
    assert len(answer["digits"]) == 2
    assert answer["shown"] == 1  # the last one
    first = json.loads(ask(server, "POST", "/see?digit=0", two_strokes().tobytes(), HEADERS)[2])
    assert (first["shown"], first["digits"]) == (0, answer["digits"])
    for found in (answer, first):
        digit = found["digits"][found["shown"]]
        assert digit["probability"] == max(found["probabilities"])
        assert digit["class"] == found["probabilities"].index(digit["probability"])
    assert first["seen"] != answer["seen"]
    beyond = json.loads(ask(server, "POST", "/see?digit=7", two_strokes().tobytes(), HEADERS)[2])
    assert beyond["shown"] == 1
    assert ask(server, "POST", "/see?digit=-1", two_strokes().tobytes(), HEADERS)[0] == 400


def test_a_drawing_with_nothing_in_it_is_no_fault(server: site.Server) -> None:
    status, _, body = ask(server, "POST", "/see", bytes(SIDE * SIDE), HEADERS)
    assert (status, list(json.loads(body))) == (200, ["nothing"])


# --- what it refuses ---


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1", "127.0.0.1:1", "localhost.evil.org:80", "[::1]", ""])
def test_a_request_for_another_host_is_refused(server: site.Server, host: str) -> None:
    for method, path in (("GET", "/"), ("POST", "/see")):
        assert ask(server, method, path, a_one().tobytes(), {**HEADERS, "Host": host})[0] == 403


def test_both_names_of_this_host_are_taken(server: site.Server) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert ask(server, "GET", "/", headers={"Host": f"{name}:{server.server_port}"})[0] == 200


@pytest.mark.parametrize("origin", ["http://example.com", "null", "https://127.0.0.1", "http://127.0.0.1:1", ""])
def test_a_request_from_another_page_is_refused(server: site.Server, origin: str) -> None:
    assert ask(server, "POST", "/see", a_one().tobytes(), {**HEADERS, "Origin": origin})[0] == 403
    own = f"http://127.0.0.1:{server.server_port}"
    assert ask(server, "POST", "/see", a_one().tobytes(), {**HEADERS, "Origin": own})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\0" * (site.MOST_BYTES + 1), HEADERS, 413),
        (b"", {**HEADERS, "Content-Length": "9" * 30}, 413),
        (b"", {**HEADERS, "Content-Length": "-1"}, 400),
        (b"", {**HEADERS, "Content-Length": "1_0"}, 400),
        (b"5\r\n12345\r\n0\r\n\r\n", {**HEADERS, "Transfer-Encoding": "chunked"}, 411),
        (b"", HEADERS, 400),
        (b"\1" * (SIDE * SIDE - 1), HEADERS, 400),
        (b"\1" * (SIDE * SIDE + 1), HEADERS, 400),
        (a_one().tobytes(), {"Content-Type": "application/json"}, 415),
        (a_one().tobytes(), {"Content-Type": "text/plain"}, 415),
        (a_one().tobytes(), {}, 415),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(
    server: site.Server, body: bytes, headers: dict[str, str], status: int
) -> None:
    found, _, answer = ask(server, "POST", "/see", body, headers)
    assert found == status
    assert answer.count(b"\n") <= 1
    assert b"Traceback" not in answer
    assert ask(server, "POST", "/see", a_one().tobytes(), HEADERS)[0] == 200  # it goes on


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/see", 405),
        ("POST", "/", 405),
        ("PUT", "/see", 405),
        ("DELETE", "/", 405),
        ("GET", "/model.safetensors", 404),
        ("GET", "/../model.safetensors", 404),
        ("GET", "/%2e%2e/metrics.json", 404),
        ("GET", "//etc/passwd", 404),
    ],
)
def test_there_is_one_page_and_one_question(server: site.Server, method: str, path: str, status: int) -> None:
    assert ask(server, method, path)[0] == status


# --- the command ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port 65536: must be a whole number from 0 to 65,535"),
        (["--port", "http"], "--port http: must be a whole number"),
        (["--prot", "1"], "--prot: no such option (did you mean --port?)"),
        (["one", "two"], "got unexpected extra argument (two)"),
        (["nothing"], "nothing: no such run directory"),
    ],
)
def test_a_wrong_command_line_is_one_line(command: Callable[..., Any], arguments: list[str], message: str) -> None:
    result = command("serve", *arguments)
    assert result.status == 2
    assert result.err.startswith(f"mnistlab serve: error: {message}")


def test_a_port_that_is_taken_is_named(command: Callable[..., Any], server: site.Server, trained: Path) -> None:
    result = command("serve", str(trained / "mlp"), "--port", str(server.server_port))
    assert result.status == 2
    assert f"--port {server.server_port}: Address already in use; choose another port, or 0" in result.err


def test_without_its_package_the_cure_is_named(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistlab.cli.serve.find_spec", lambda name: None)
    assert command("serve", "run").err == (
        "mnistlab serve: error: the package bottle is not installed; "
        "run pip install '.[serve]' in a clone of mnistlab\n"
    )


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_well_when_it_is_stopped(trained: Path, number: int) -> None:
    line = [sys.executable, "-m", "mnistlab", "serve", str(trained / "mlp"), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    said = process.stdout.readline()
    assert said.startswith("http://127.0.0.1:")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


# --- in a browser ---


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not PROGRAM:
        pytest.skip("needs a browser: apt-get install chromium")
    with browser.started(PROGRAM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def draw(window: Browser, points: list[tuple[float, float]]) -> None:
    """Move a pressed pointer over the square, in fractions of its side, and wait for the answer."""
    box = window.value("(b => [b.left, b.top, b.width])(document.getElementById('draw').getBoundingClientRect())")
    kinds = ["mousePressed", *(len(points) - 1) * ["mouseMoved"]]
    for kind, (x, y) in zip([*kinds, "mouseReleased"], [*points, points[-1]], strict=True):
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[2]}
        window.call("Input.dispatchMouseEvent", type=kind, button="left", buttons=1, clickCount=1, **place)
    waits = "new Promise(done => { const look = () => asking || changed ? setTimeout(look, 20) : done(1); look(); })"
    window.call("Runtime.evaluate", expression=waits, awaitPromise=True)


ANSWER = "document.getElementById('answer').textContent"
VALUES = "[...document.querySelectorAll('progress')].map(p => p.value)"


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.process
@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (390, "light"), (320, "dark")])
def test_the_answer_follows_the_pen(
    window: Browser, server: site.Server, tmp_path: Path, width: int, scheme: str
) -> None:
    address = f"http://127.0.0.1:{server.server_port}/"
    window.open(address, width, 1100, scheme)
    assert window.value(ANSWER) == "Nothing is drawn yet."
    draw(window, [(0.5, 0.15), (0.5, 0.5), (0.5, 0.85)])
    first = window.value(VALUES)
    assert sum(first) == pytest.approx(1, abs=1e-4)
    assert window.value(ANSWER).endswith(" %")
    assert window.value("document.querySelectorAll('#layers canvas').length") == 4 + 4 + 16 + 16 + 32
    draw(window, [(0.2, 0.2), (0.5, 0.15), (0.8, 0.3), (0.8, 0.7), (0.3, 0.85)])
    assert window.value(VALUES) != first
    assert window.value("document.documentElement.scrollWidth") <= width
    assert window.complaints == []
    assert {url.removeprefix(address) for url in window.requests} == {"", "see"}
    window.screenshot(tmp_path / "page.png")
    if keep := os.environ.get("MNISTLAB_SCREENSHOTS"):
        (Path(keep) / f"serve-{width}-{scheme}.png").write_bytes((tmp_path / "page.png").read_bytes())
    window.value("document.getElementById('clear').click()")
    draw(window, [(0.2, 0.2), (0.2, 0.8)])
    draw(window, [(0.7, 0.2), (0.7, 0.8)])
    assert window.value("document.querySelectorAll('#answer button').length") == 2
    assert window.value("document.querySelector('#answer button[aria-pressed=true]').textContent").endswith(" %")
    assert window.value("document.documentElement.scrollWidth") <= width
    if keep := os.environ.get("MNISTLAB_SCREENSHOTS"):
        window.screenshot(Path(keep) / f"serve-two-{width}-{scheme}.png")
    window.value("document.getElementById('clear').click()")
    assert window.value(ANSWER) == "Nothing is drawn yet."
    assert window.value(VALUES) == [0] * 10
