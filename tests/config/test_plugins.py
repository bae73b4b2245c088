"""Plug-ins: an installed package and an imported file train, sweep, resume and rerun without an edit of mnistlab."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import processes

from mnistlab.config import options, plugins
from mnistlab.nn.activations import ACTIVATIONS
from mnistlab.nn.architectures import LAYERS
from mnistlab.system.errors import RequestError

Command = Callable[..., Any]
EXAMPLE = Path(__file__).parents[1] / "plugin_example"
SOURCE = EXAMPLE / "mnistlab_example" / "__init__.py"
SMALL = ("experiment=smoke", "trainer.epochs=1", "trainer.threads=1", "report.plots=none")
LAYERS_WITH_PRELU = "model.layers=[flatten,{dense:{units:16}},prelu]"


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    """Whatever a test registers is forgotten after it."""
    before = {name: dict(kind.registry) for name, kind in plugins.KINDS.items()}
    saved = dict(plugins._loaded), dict(plugins._files), {group: set(names) for group, names in options.ADDED.items()}
    yield
    for name, kind in plugins.KINDS.items():
        kind.registry.clear()
        kind.registry.update(before[name])
    for current, kept in zip((plugins._loaded, plugins._files, options.ADDED), saved, strict=True):
        current.clear()
        current.update(kept)  # type: ignore[arg-type]


def imported(text: str, name: str = "mine.py") -> Path:
    path = Path(name)
    path.write_text(text)
    plugins.import_file(path)
    return path


# a file


def test_a_file_registers_the_classes_it_defines() -> None:
    shutil.copy(SOURCE, "mine.py")
    plugins.import_file(Path("mine.py"))
    assert {(plugin.kind, plugin.name, plugin.package) for plugin in plugins.loaded()} >= {
        ("layers", "prelu", "mine.py"), ("optimizers", "lion", "mine.py"), ("datasets", "bars", "mine.py"),
    }  # fmt: skip
    assert "lion" in options.option_names("optimizer")


def test_an_activation_is_a_layer_too() -> None:
    imported(
        "from dataclasses import dataclass\nimport numpy as np\nfrom mnistlab.nn.activations import Activation\n"
        "@dataclass\nclass Sine(Activation):\n    name = 'sine'\n"
    )
    assert "sine" in ACTIVATIONS
    assert "sine" in LAYERS


def test_metrics_are_a_dict_of_functions(command: Command) -> None:
    Path("mine.py").write_text(
        "def confidence(labels, probabilities):\n    return float(probabilities.max(axis=1).mean())\n"
        "METRICS = {'confidence': confidence}\n"
    )
    result = command("train", "--import", "mine.py", *SMALL, "trainer.monitor=confidence", "hydra.run.dir=r", "-q")
    assert result.status == 0, result.err
    assert json.loads(Path("r/environment.json").read_text())["plugins"][0]["name"] == "confidence"


def test_a_run_with_an_imported_file_is_trained_resumed_rerun_and_evaluated(command: Command) -> None:
    shutil.copy(SOURCE, "mine.py")
    words = (*SMALL, "model=lenet5", LAYERS_WITH_PRELU, "optimizer=lion", "hydra.run.dir=r", "--quiet")
    assert command("train", "--import", "mine.py", *words).status == 0
    about = json.loads(Path("r/environment.json").read_text())
    assert [plugin["name"] for plugin in about["plugins"]] == ["prelu", "lion"]
    assert about["imports"].keys() == {"mine.py"}
    assert Path("r/imports/mine.py").read_bytes() == SOURCE.read_bytes()
    for form in ("onnx", "numpy"):
        assert command("export", "r", "--format", form, "--import", "mine.py").err == (
            f"mnistlab export: error: --format {form}: the layer prelu is of a plug-in and cannot be written as {form}"
            "; npz and safetensors have its parameters\n"
        )
    lines = (("resume", "r", "trainer.epochs=2"), ("rerun", "r"), ("evaluate", "r"), ("doctor", "r"), ("report", "r"))
    for line in lines:
        assert command(*line, "--import", "mine.py").status == 0, line


def test_without_it_the_run_asks_for_it_by_name(command: Command) -> None:
    shutil.copy(SOURCE, "mine.py")
    program = [sys.executable, "-m", "mnistlab"]
    words = ("train", "--import", "mine.py", *SMALL, "optimizer=lion", "hydra.run.dir=r", "--quiet")
    assert processes.run([*program, *words], capture_output=True, check=False).returncode == 0
    result = command("resume", "r", "trainer.epochs=2")
    assert (result.status, result.err) == (
        2,
        "mnistlab resume: error: r: lion of mine.py was imported: add --import mine.py; it is copied in the run: "
        f"--import {Path.cwd() / 'r/imports/mine.py'}\n",
    )


@pytest.mark.process
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_the_workers_of_a_sweep_have_the_file(launcher: str, command: Command) -> None:
    shutil.copy(SOURCE, "mine.py")
    words = (*SMALL, "optimizer=lion,adam", f"hydra/launcher={launcher}", "hydra.sweep.dir=s", "--quiet")
    result = command("train", "-m", "--import", "mine.py", *words)
    assert result.status == 0, result.err
    assert "2 jobs: 2 completed" in result.out


def test_a_folder_of_the_user_lists_files_to_import(command: Command) -> None:
    Path("conf").mkdir()
    shutil.copy(SOURCE, "conf/mine.py")
    Path("conf/imports.yaml").write_text("imports: [mine.py]\n")
    words = (*SMALL, "optimizer=lion", "hydra.run.dir=r", "--quiet")
    result = command("train", "--config-dir", "conf", *words)
    assert result.status == 0, result.err
    assert Path("r/imports/mine.py").exists()


def test_a_list_that_is_none_is_refused(command: Command) -> None:
    Path("conf").mkdir()
    Path("conf/imports.yaml").write_text("imports: mine.py\n")
    assert command("train", "--config-dir", "conf", *SMALL).err == (
        "mnistlab train: error: conf/imports.yaml: must be a list of Python files beside it, imports: [my_layers.py]\n"
    )


WRONG = {
    "x = 1 / 0\n": "--import mine.py, line 1: ZeroDivisionError: division by zero; correct the file",
    "def f(:\n": "--import mine.py, line 1: SyntaxError: ",
    "x = 1\n": "--import mine.py: defines no layer, optimizer or other class that mnistlab knows",
    "from mnistlab.nn.optimizers import Optimizer\nclass Adam(Optimizer):\n    pass\n": "the plug-in adam of mine.py: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_cannot_be_used_says_where(text: str, command: Command) -> None:
    Path("mine.py").write_text(text)
    result = command("plugins", "--import", "mine.py")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert WRONG[text] in result.err


def test_a_missing_file_is_refused(command: Command) -> None:
    assert command("plugins", "--import", "no.py").err == (
        "mnistlab plugins: error: --import no.py: No such file or directory; name a Python file\n"
    )
    assert "requires a Python file" in command("plugins", "--import").err


def test_two_files_of_one_name_are_refused() -> None:
    shutil.copy(SOURCE, "mine.py")
    plugins.import_file(Path("mine.py"))
    Path("other").mkdir()
    Path("other/mine.py").write_text("x = 1\n")
    with pytest.raises(RequestError, match=r"another file mine\.py has been imported"):
        plugins.import_file(Path("other/mine.py"))


def test_a_configuration_names_no_code(command: Command) -> None:
    Path("a.yaml").write_text("imports: [mine.py]\n")
    assert "imports: unknown key" in command("train", "a.yaml").err


# a package


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel of the example is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_of_the_example_trains_sweeps_resumes_and_reruns(site: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])}

    def run(*words: str, here: dict[str, str] = env) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mnistlab", *words]
        return processes.run(command, env=here, capture_output=True, text=True, check=False, cwd=tmp_path)

    listed = run("plugins").stdout
    for line in ("datasets    bars        mnistlab-example  1.0", "layers      prelu       mnistlab-example  1.0"):
        assert line in listed
    words = ("data=bars", "model=lenet5", LAYERS_WITH_PRELU, "optimizer=lion", "optimizer.lr=0.01", "trainer.epochs=3")
    trained = run("train", *words, "trainer.monitor=confidence", "hydra.run.dir=r", "--quiet")
    assert trained.returncode == 0, trained.stderr
    assert json.loads((tmp_path / "r/metrics.json").read_text())["test"]["accuracy"] > 0.9
    assert run("resume", "r", "trainer.epochs=4").returncode == 0
    assert run("rerun", "r").returncode == 0
    sweep = run("train", "-m", *SMALL, "optimizer=lion,adam", "hydra.sweep.dir=s", "--quiet")
    assert sweep.returncode == 0, sweep.stderr
    check = run("gradcheck", "data=bars", "model=lenet5", LAYERS_WITH_PRELU)
    assert "correct" in check.stdout, check.stderr
    assert (
        "optimizer.beta1=1.5: beta1 must be at least 0 and below 1"
        in run("train", "optimizer=lion", "optimizer.beta1=1.5").stderr
    )
    without = run("evaluate", "r", here=dict(os.environ))
    assert without.stderr == (
        "mnistlab evaluate: error: r: prelu of the package mnistlab-example 1.0 was used: install mnistlab-example\n"
    )
