"""Who is let in, what can be asked for and changed, and that no request leaves the folder of the runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnistlab.board import application as site
from mnistlab.board.server import is_one_of
from mnistlab.runs import labels

JSON = {"Content-Type": "application/json"}
PATHS = ["/", "/static/main.js", "/api/runs", "/run/1/report.html"]


# --- hosts, origins, tokens ---


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1", "127.0.0.1:1", "localhost.evil.org:80", "[::1]", ""])
@pytest.mark.parametrize("path", PATHS)
def test_a_request_for_another_host_is_refused(client: Any, host: str, path: str) -> None:
    assert client.ask("GET", path, headers={"Host": host})[0] in (400, 403)


@pytest.mark.parametrize("origin", ["http://example.com", "null", "https://127.0.0.1", "http://127.0.0.1:1", "file://"])
def test_a_request_from_another_page_is_refused(client: Any, origin: str) -> None:
    for path in PATHS:
        assert client.ask("GET", path, headers={"Origin": origin})[0] == 403
    headers = {**JSON, "X-Board-Token": client.token, "Origin": origin}
    assert client.ask("POST", "/api/label", b'{"runs": [1], "add": ["evil"]}', headers)[0] == 403


def test_both_names_of_this_host_and_its_own_origin_are_taken(client: Any) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        host = f"{name}:{client.server.port}"
        assert client.ask("GET", "/", headers={"Host": host, "Origin": f"http://{host}"})[0] == 200


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
@pytest.mark.parametrize("name", ["label", "compare", "curves", "matching"])
def test_a_post_without_the_token_is_refused(client: Any, name: str, token: str | None) -> None:
    headers = JSON | ({} if token is None else {"X-Board-Token": token})
    body = json.dumps({"runs": [1], "add": ["evil"]}).encode()
    assert client.ask("POST", f"/api/{name}", body, headers)[0] == 403
    assert client.numbers()  # it goes on


def test_a_form_of_another_page_cannot_send_json(client: Any) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": kind, "X-Board-Token": client.token}
        assert client.ask("POST", "/api/label", b'{"runs": [1], "note": "evil"}', headers)[0] == 415


def test_the_token_stands_in_the_page_only_and_is_new_for_every_server(client: Any, own: Any) -> None:
    status, headers, body = client.ask("GET", "/")
    assert status == 200
    assert f'<meta name="token" content="{client.token}">' in body.decode()
    assert len(client.token) >= 32
    assert client.token != own.token
    assert headers["Cache-Control"] == "no-store"
    for name in ("/api/runs", "/static/main.js"):
        assert client.token.encode() not in client.ask("GET", name)[2]


def test_the_policy_allows_no_script_but_the_own_files(client: Any) -> None:
    for path in ("/", "/api/runs", "/nothing"):
        headers = client.ask("GET", path)[1]
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"<script>" not in client.ask("GET", "/")[2]


def test_another_host_needs_the_token_for_everything(serve: Callable[..., Any], trained: Path) -> None:
    with serve(trained, "0.0.0.0") as client:
        assert client.server.address.endswith(f"/?token={client.token}")
        for path in (*PATHS, "/?token=wrong"):
            assert client.ask("GET", path)[0] == 403
        status, headers, _ = client.ask("GET", f"/?token={client.token}")
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"]
        assert client.token not in cookie  # another server on this host sees it, and could write with the token
        assert cookie.startswith(f"mnistlab_board_{client.server.port}=")  # two boards do not replace each other's
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie.replace("Strict", "strict")
        pair = cookie.partition(";")[0]
        for path in PATHS[:3]:
            assert client.ask("GET", path, headers={"Cookie": pair})[0] == 200
        assert client.ask("GET", "/", headers={"Cookie": pair, "Host": f"evil.example:{client.server.port}"})[0] == 403
        assert client.ask("GET", "/", headers={"Cookie": pair, "Host": f"10.1.2.3:{client.server.port}"})[0] == 200
        assert client.ask("POST", "/api/label", b"{}", {**JSON, "Cookie": pair})[0] == 403


def test_the_address_that_is_printed_can_be_opened_from_another_machine(
    serve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.node", lambda: "Lab7")
    monkeypatch.setattr("socket.getfqdn", lambda: "lab7.example.org")
    with serve(tmp_path, "0.0.0.0") as client:
        port, query = client.server.port, f"?token={client.token}"
        assert client.server.address == f"http://Lab7:{port}/{query}"
        for host, status in (("Lab7", 303), ("lab7.example.org", 303), ("lab8.example.org", 403)):
            assert client.ask("GET", f"/{query}", headers={"Host": f"{host}:{port}"})[0] == status


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("lab7", 80, True),
        ("lab7:80", 80, True),
        ("10.1.2.3", 80, True),
        ("[fe80::1]", 80, True),
        ("lab7:8028", 8028, True),
        ("lab7", 8028, False),
        ("lab7:81", 80, False),
        ("evil.example", 80, False),
    ],
)
def test_only_port_80_may_be_left_out_of_a_host(host: str, port: int, expected: bool) -> None:
    assert is_one_of(host, {"lab7"}, port) is expected


def test_only_this_machine_is_let_in_by_default(client: Any) -> None:
    assert client.server.address == f"http://127.0.0.1:{client.server.port}/"
    outside = socket.gethostbyname(socket.gethostname())
    if not outside.startswith("127."):
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((outside, client.server.port), timeout=2)


# --- what is refused ---


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        (b"{}", 422),
        (b'{"runs": 1}', 422),
        (b'{"runs": ["1"]}', 422),
        (b'{"runs": [true]}', 422),
        (b'{"runs": [999999]}', 422),
        (b'{"runs": [-1]}', 422),
        (b'{"runs": [1.5]}', 422),
        (b"x" * (site.MOST_BYTES + 1), 413),
    ],
)
@pytest.mark.parametrize("name", ["label", "curves", "compare"])
def test_a_wrong_body_is_refused_in_one_line(client: Any, name: str, body: bytes, status: int) -> None:
    headers = {**JSON, "X-Board-Token": client.token}
    found, _, answer = client.ask("POST", f"/api/{name}", body, headers)
    assert found == status
    assert answer.count(b"\n") <= 1
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/label", 404),
        ("POST", "/api/runs", 415),
        ("PUT", "/api/runs", 415),
        ("DELETE", "/", 415),
        ("GET", "/api/nothing", 404),
        ("GET", "/static/../server.py", 404),
        ("GET", "/static/%2e%2e/server.py", 404),
        ("GET", "/static/uplot/LICENSE", 404),
        ("GET", "//etc/passwd", 404),
        ("GET", "/run/1/../../etc/passwd", 422),
        ("GET", "/run/1/metrics.json", 422),
        ("GET", "/run/1/%2e%2e/%2e%2e/report.html", 422),
        ("GET", "/run/1/plots/..%2f..%2fstatus.json", 422),
        ("GET", "/run/1/plots/.hidden/x.png", 422),
        ("GET", "/run/99999/report.html", 422),
        ("GET", "/run/-1/report.html", 422),
        ("GET", "/api/run?run=../../etc", 422),
        ("GET", "/api/images?run=1&truth=99", 422),
        ("GET", "/api/images?run=1&order=evil", 422),
        ("GET", "/api/inside?run=1&place=100000", 422),
        ("GET", "/api/runs?since=-1&session=x", 200),
        ("GET", "/api/label_errors?audit=7", 422),
    ],
)
def test_there_are_no_other_files_and_questions(client: Any, method: str, path: str, status: int) -> None:
    found, _, body = client.ask(method, path)
    assert found == status, body
    assert b"root:" not in body
    assert b"Traceback" not in body


def test_only_tags_and_notes_can_be_changed(own: Any, lab: Path) -> None:
    before = {path: path.read_bytes() for path in lab.rglob("*") if path.is_file() and path.suffix != ".sqlite3"}
    number = own.numbers()["cnn"]
    for extra in ("path", "state", "metrics", "seed"):
        refused = own.post("label", 422, runs=[number], **{extra: "evil"})
        assert refused["error"] == f"{extra}: only tags and notes can be changed here"
    assert own.post("label", 422, runs=[number], add=["no spaces"])["error"].startswith("tag 'no spaces': must")
    assert own.post("label", 422, runs=[number], note=7)["error"] == "note: must be a text"
    assert own.post("label", 422, runs=[number], add="week4")["error"] == "add: must be a list of texts"
    assert {path: path.read_bytes() for path in before} == before

    answer = own.post("label", runs=[number, own.numbers()["forest"]], add=["week4"], remove=["week3"])
    assert [run[7] for run in answer["runs"]] == [["week4"], ["week4"]]
    own.post("label", runs=[number], note="<b>bold</b>\nsecond line")
    assert labels.read(lab / "cnn") == labels.Labels(("week4",), "<b>bold</b>\nsecond line")
    assert labels.read(lab / "forest") == labels.Labels(("week4",), "")
    changed = {path for path in lab.rglob("*") if path.is_file() and before.get(path) != path.read_bytes()}
    assert {path.name for path in changed} <= {"labels.json", ".runs.sqlite3"}


# --- links and damage ---


def test_a_link_out_of_the_folder_is_not_followed(own: Any, lab: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("<p>a secret</p>")
    number = own.numbers()["cnn"]
    report = lab / "cnn" / "report.html"
    report.unlink()
    report.symlink_to(secret)
    (lab / "cnn" / "plots").mkdir(exist_ok=True)
    (lab / "cnn" / "plots" / "x.png").symlink_to(secret)
    for name in ("report.html", "plots/x.png"):
        status, _, body = own.ask("GET", f"/run/{number}/{name}")
        assert status == 422
        assert b"leads out of the folder" in body
        assert b"secret.html" not in body
    predictions = lab / "cnn" / "predictions.npz"
    outside = tmp_path / "outside.npz"
    outside.write_bytes(predictions.read_bytes())
    predictions.unlink()
    predictions.symlink_to(outside)
    for name in ("run", "images", "calibration", "inside"):
        assert own.ask("GET", f"/api/{name}?run={number}&place=0")[0] == 422


def test_a_run_that_is_a_link_is_no_row(own: Any, lab: Path, tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    (lab / "forest").rename(outside)
    (lab / "forest").symlink_to(outside)
    assert "forest" not in own.numbers()


def test_the_report_can_run_no_script(client: Any) -> None:
    number = client.numbers()["cnn"]
    status, headers, body = client.ask("GET", f"/run/{number}/report.html")
    assert status == 200
    assert body.startswith(b"<!")
    policy = headers["Content-Security-Policy"]
    assert "sandbox" in policy
    assert "script-src" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "name", ["metrics.json", "run.json", "status.json", "predictions.npz", "model.safetensors", "history.csv"]
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b'{"state": "completed", "seconds": []}'])
def test_a_damaged_run_is_a_row_and_every_question_about_it_is_answered(
    own: Any, lab: Path, name: str, content: bytes
) -> None:
    path = lab / "cnn" / name
    path.unlink()
    path.write_bytes(content)
    number = own.numbers()["cnn"]
    for question in ("run", "images", "calibration", "inside"):
        status, _, body = own.ask("GET", f"/api/{question}?run={number}&place=0")
        assert status in (200, 422), body
        json.loads(body)
    own.post("curves", runs=[number])
    headers = {**JSON, "X-Board-Token": own.token}
    status, _, body = own.ask(
        "POST", "/api/compare", json.dumps({"runs": list(own.numbers().values())}).encode(), headers
    )
    assert status == 200, body
