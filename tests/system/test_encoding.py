"""Text is UTF-8 wherever it is written or read, whatever the locale says."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mnistlab
from mnistlab.system import console

PACKAGE = Path(mnistlab.__file__).parent
NAME = "größe"
OURS = ("readers", "files", "os", "Image", "image_io")  # whose functions of these names take no encoding


def without_encoding(tree: ast.Module) -> Iterator[str]:
    """Yield the calls that read or write text as the locale says."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else None
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        if "encoding" in named or owner in OURS:
            continue
        mode = call.args[1:2] if owner is None else call.args[:1]
        mode = [named["mode"]] if "mode" in named else mode
        unsure = mode and not (isinstance(mode[0], ast.Constant) and isinstance(mode[0].value, str))
        if (
            (name in ("read_text", "write_text") and owner is not None)
            or (name == "open" and not unsure and not (mode and "b" in mode[0].value))
            or name in ("FileHandler", "TextIOWrapper")
            or (name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & {*named})
        ):
            yield f"{call.lineno}: {ast.unparse(call)}"


def test_every_module_says_which_encoding() -> None:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    found = [f"{path.relative_to(PACKAGE)}:{call}" for path, tree in trees.items() for call in without_encoding(tree)]
    assert found == []


def test_what_leaves_it_to_the_locale_is_found() -> None:
    wrong = ("p.read_text()", "p.write_text(t)", "p.open()", "p.open('w')", "p.open(newline='')", "open(p)")
    wrong += ("subprocess.run(c, text=True)", "logging.FileHandler(p)", "open(p, mode='a')")
    right = ("p.read_text(encoding='utf-8')", "p.open('rb')", "open(p, 'wb')", "read_text(p)", "readers.read_text(p)")
    right += ("Image.open(p)", "archive.open(name)", "subprocess.run(c)", "os.open(p, os.O_RDONLY)")
    assert [len(list(without_encoding(ast.parse(text)))) for text in wrong] == [1] * len(wrong)
    assert [len(list(without_encoding(ast.parse(text)))) for text in right] == [0] * len(right)


def said(words: list[str]) -> str:
    """Return what a command says in the locale C, taken at its word."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(PACKAGE.parent)}
    program = f"from mnistlab import cli; cli.main({words!r})"
    command = [sys.executable, "-"]
    ended = subprocess.run(command, input=program.encode(), env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode()


@pytest.mark.slow
def test_a_class_name_of_other_letters_under_the_locale_c() -> None:
    """Names are given in the program: the command line itself is decoded by the locale."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 4, 4), dtype=np.uint8), np.arange(60) % 2
    np.savez("digits.npz", x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    words = ["train", "data=npz", "data.path=digits.npz", "data.classes=2", f"data.class_names=['{NAME}',klein]"]
    words += ["model=softmax", "trainer.epochs=1", "trainer.batch_size=8", "report.plots=all"]
    words += ["hydra.run.dir=run"]
    assert NAME in said(words)
    said(["report", "run"])
    assert json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["class_names"] == [NAME, "klein"]
    for name in ("classification_report.csv", "confusion_matrix.csv", "report.html", ".hydra/config.yaml"):
        assert NAME in Path("run", name).read_text(encoding="utf-8")
    assert NAME in Path("run/plots/confusion_matrix.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_a_log_line_is_escaped_where_the_encoding_lacks_its_letters(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding=encoding, errors="strict"))
    console.start("normal")
    console.LOG.info("class %s", "手")
    console.stop()
    assert raw.getvalue().decode(encoding) == ("class 手\n" if encoding == "utf-8" else "class \\u624b\n")
