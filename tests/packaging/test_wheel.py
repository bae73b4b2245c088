"""The package as others get it: the wheel holds code and configuration and runs from anywhere; the sdist no outputs."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from helpers import processes

from mnistlab.config import options

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = processes.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.process
def test_the_wheel_holds_every_yaml_and_nothing_but_the_package(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    yamls = {str(Path("mnistlab/conf") / path.relative_to(ROOT / "conf")) for path in (ROOT / "conf").rglob("*.yaml")}
    assert yamls <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"mnistlab"}
    assert "mnistlab/py.typed" in names
    templates = (ROOT / "mnistlab/reporting/templates").iterdir()
    assert {f"mnistlab/reporting/templates/{path.name}" for path in templates} <= set(names)
    page = [path for path in (ROOT / "mnistlab/board/static").rglob("*") if path.is_file()]
    assert {path.relative_to(ROOT).as_posix() for path in page} <= set(names)
    assert "mnistlab/board/static/uplot/LICENSE" in names
    assert not [name for name in names if "axe-core" in name or name.endswith(("axe.js", "axe.min.js"))]


@pytest.mark.process
@pytest.mark.slow
def test_the_installed_wheel_runs_from_any_directory(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    where = "from mnistlab.config.options import folder; print(folder())"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    (tmp_path / "work").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return processes.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)

    assert run("-c", where).stdout.strip() == str(site / "mnistlab" / "conf")
    done = run("-m", "mnistlab", "train", "experiment=smoke", "report.plots=none")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "work").glob("outputs/*/*/metrics.json"))) == 1
    assert len(list((tmp_path / "work").glob("outputs/*/*/report.html"))) == 1


@pytest.mark.process
def test_the_source_archive_holds_sources_only(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {Path(name).parts[1] for name in opened.getnames()}
    assert {"mnistlab", "conf", "tests", "pyproject.toml", "README.md", "LICENSE"} <= names
    assert not names & {"outputs", ".venv", "shared"}


def test_the_source_tree_uses_its_own_conf() -> None:
    assert options.folder() == ROOT / "conf"
