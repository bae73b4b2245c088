"""`mnistlab board`: its command line, its end, and the file that it freezes."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import write_run

from mnistlab.board import application, frozen
from mnistlab.board.application import static_files
from mnistlab.runs import run_file

STATIC = Path(application.__file__).parent / "static"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "65536"], "--port 65536: must be a whole number from 0 to 65,535"),
        (["nowhere"], "nowhere: no such directory; name the folder of the runs, for example outputs"),
        (["tag=week3"], "tag=week3: filters are for --freeze; on the page, type them into its field"),
        (["--freeze", "x.html", "tag=nothing"], "--freeze x.html: no runs in outputs match tag=nothing"),
        (["--freeze", "none/x.html"], "--freeze none/x.html: there is no folder none; name a file in one that exists"),
        (["--freeze", "x.html", "model<3=4"], "model<3=4: must be compared with a number"),
        (["--host", "256.1.1.1"], "--host 256.1.1.1 --port 8028: "),
    ],
)
def test_a_wrong_command_line_is_one_line(command: Callable[..., Any], arguments: list[str], message: str) -> None:
    write_run(Path("outputs/one"), config={"model": "softmax"})
    result = command("board", *arguments)
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"mnistlab board: error: {message}")
    assert result.err.count("\n") == 1
    assert not Path("x.html").exists()


def test_a_port_that_is_taken_is_named(command: Callable[..., Any], client: Any) -> None:
    result = command("board", "--port", str(client.server.port))
    assert result.status == 2
    assert f"--port {client.server.port}: Address already in use; choose another port, or 0" in result.err


@pytest.mark.parametrize("package", ["bottle", "waitress"])
def test_without_its_packages_the_cure_is_named(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("mnistlab.cli.board.find_spec", lambda name: None if name == package else name)
    assert command("board").err == (
        f"mnistlab board: error: the package {package} is not installed; "
        "run pip install '.[board]' in a clone of mnistlab\n"
    )


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_well_when_it_is_stopped(tmp_path: Path, number: int) -> None:
    line = [sys.executable, "-m", "mnistlab", "board", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/  \(press Ctrl-C to stop\)\n", process.stdout.readline())
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


# --- the page ---


def test_the_page_loads_nothing_but_its_own_modules() -> None:
    files = static_files()
    assert {"index.html", "main.js", "board.css", "uplot/uPlot.esm.js", "uplot/uPlot.min.css"} <= set(files)
    for name, content in files.items():
        text = content.decode()
        own = text if not name.startswith("uplot/") else ""
        assert not re.findall(r"https?://(?!www\.w3\.org/)", own), name
        assert not re.findall(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|new Function)\b", own), (
            name
        )
        for other in re.findall(r'^import .* from "(.*)";$', own, re.MULTILINE):
            assert (STATIC / Path(name).parent / other).is_file(), f"{name}: {other}"
    page = files["index.html"].decode()
    assert not re.findall(r"<script>|style=|onclick=", page)
    preloaded = re.findall(
        r'modulepreload" href="static/(.*)"', page
    )  # all at once, instead of one level after the other
    assert {*preloaded, "main.js"} == {name for name in files if name.endswith(".js")}
    assert "MIT License" in (STATIC / "uplot" / "LICENSE").read_text()


def test_no_module_of_the_page_is_too_long() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in STATIC.glob("*.js")}
    assert {name: count for name, count in lengths.items() if count > 400} == {}


# --- the frozen file ---


def test_modules_become_one_script(tmp_path: Path) -> None:
    (tmp_path / "main.js").write_text(
        'import { twice, half as part } from "./lib/numbers.js";\nimport * as text from "./text.js";\n'
        'import Point from "./point.js";\nconsole.log(twice(part(3)), text.name, new Point().x);\n'
    )
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "numbers.js").write_text(
        "export function twice(x) {\n  return 2 * x;\n}\nexport const half = (x) => x / 2;\n"
    )
    (tmp_path / "text.js").write_text('export const name = "a";\n')
    (tmp_path / "point.js").write_text("class Point { x = 7; }\nexport { Point as default };\n")
    script = frozen.bundle(tmp_path, "main.js")
    assert not re.findall(r"^(import|export)\b", script, re.MULTILINE)
    assert "const { twice, half: part } = module_lib_numbers_js;" in script
    assert "return { default: Point };" in script
    (tmp_path / "text.js").write_text('import { name } from "./main.js";\n')
    with pytest.raises(ValueError, match=r"main\.js imports itself"):
        frozen.bundle(tmp_path, "main.js")


def test_the_frozen_file_is_closed_to_hostile_names(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    run = write_run(tmp_path / "runs" / "</title><!--", config={"model": {"name": evil}}, overrides=["model.name=x"])
    (run / "labels.json").write_text(json.dumps({"tags": [], "note": evil}))
    path, runs, size = frozen.write(tmp_path / "runs", [], tmp_path / "frozen.html")
    text = path.read_text()
    assert (runs, size) == (1, len(text.encode()))
    assert evil not in text
    assert "alert(1)" in text
    assert text.count("</script>") == 2
    assert len(re.findall(r"<script", text)) == 2
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]


FILTERS = """
const { matcher } = await import(process.argv[1]);
const { texts, known } = JSON.parse(process.argv[2]);
const run = { state: "completed", tags: [], values: { "optimizer.lr": 0.1 } };
const answer = (text) => { try { return matcher(text, known)(run); } catch (error) { return error.message; } };
console.log(JSON.stringify(texts.map(answer)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_frozen_page_filters_by_what_all_runs_share_and_refuses_what_it_has_not(tmp_path: Path) -> None:
    for lr in (0.1, 0.2):
        config = {"seed": 0, "optimizer": {"lr": lr, "momentum": 0.5}, "model": {"name": "mlp"}}
        run_file.write(write_run(tmp_path / f"runs/{lr}", config=config, overrides=["optimizer.lr=1"]))
    text = frozen.write(tmp_path / "runs", [], tmp_path / "frozen.html")[0].read_text()
    block = re.search(r'id="frozen">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    known = {key: json.loads(block[1])["runs"][key] for key in ("columns", "common")}
    assert known["common"]["optimizer.momentum"] == 0.5
    expected = {
        "optimizer.lr=0.1": True,
        "optimizer.momentum=0.5": True,
        "optimizer.momentum>0.5": False,
        "model.name=mlp state=completed": True,
        "optimizer.momentun=0.5": "optimizer.momentun=...: this frozen page has no such setting or metric",
        "toString=1": "toString=...: this frozen page has no such setting or metric",
    }
    module = Path(frozen.__file__).parent / "static" / "filter.js"
    words = [module.as_uri(), json.dumps({"texts": [*expected], "known": known})]
    line = ["node", "--input-type=module", "-e", FILTERS, *words]
    found = subprocess.run(line, capture_output=True, text=True, check=True, timeout=20)
    assert dict(zip(expected, json.loads(found.stdout), strict=True)) == expected


def test_freezing_names_the_file_and_its_size(command: Callable[..., Any], trained: Path) -> None:
    result = command("board", str(trained), "--freeze", "week3.html", "tag=week3")
    assert result.status == 0, result.err
    assert re.fullmatch(r"week3\.html: 1 run, 0\.\d\d MB\n", result.out)
    block = re.search(r'id="frozen">(.*?)</script>', Path("week3.html").read_text(), re.DOTALL)
    assert block is not None
    content = json.loads(block[1])
    assert [run[1] for run in content["runs"]["runs"]] == ["cnn"]
    assert str(trained) not in Path("week3.html").read_text()
