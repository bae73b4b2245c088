"""Wrong requests: one line with key, value, what it must be and the cure; status 2; nothing left behind."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import processes
from helpers.tables import thinned

from mnistlab import cli
from mnistlab.system import files

Command = Callable[..., Any]

WRONG = [
    # groups and options
    (["optimizer=adm"], "optimizer=adm: no such option; choose one of adagrad, adam,", "(did you mean adam?)"),
    (["experiment=smok"], "experiment=smok: no such option", "(did you mean smoke?)"),
    (["experiment=kaiming_42k"], "experiment=kaiming_42k: no such option", "ghimire/..., lin/..., "),
    (["experiment=lin/simple_n"], "experiment=lin/simple_n: no such option; choose one of lin/", "_nn?)"),
    (["regularization=[l2,drpout]"], "regularization=drpout: no such option", "(did you mean dropout?)"),
    (["optimizr=adam"], "optimizr: unknown key", "(did you mean optimizer?)"),
    (["optimizer=null"], "optimizer=null: choose one of adagrad,", ""),
    (["optimizer=5"], "optimizer=5: choose one of adagrad,", ""),
    (["experiment=[[1]]"], "experiment=[[1]]: choose one of best_cnn,", ""),
    (["~optimizer"], "optimizer: not set", ""),
    (["+optimizer=sgd"], "optimizer: chosen twice", "without a plus"),
    (["hydra/launcher=foo"], "hydra/launcher=foo: choose one of basic", ""),
    # keys
    (["optimzer.lr=1"], "optimzer.lr: unknown key", "(did you mean optimizer.lr?)"),
    (["optimizer.lrr=1"], "optimizer.lrr: unknown key; optimizer=adam has lr, beta1,", "(did you mean optimizer.lr?)"),
    (["model=mlp_1hidden", "model.hidden=[3]"], "model.hidden: unknown key; model=mlp_1hidden has", "units"),
    (["+new.key=1"], "new: unknown key; the configuration has data, augment, model,", ""),
    (["+optimizer.foo=2"], "optimizer.foo: unknown key; optimizer has lr,", ""),
    (["+trainer.epoch=2"], "trainer.epoch: unknown key", "(did you mean epochs?)"),
    # layers
    (["model=cnn_simple", "model.layers.0.conv.filtrs=8"], "model.layers.0.conv.filtrs: unknown setting", "filters?)"),
    (["model=cnn_simple", "+model.layers.0.conv.filtrs=8"], "model.layers.0.conv.filtrs: unknown setting; it", ""),
    (["model=cnn_simple", "model.layers.0.conv.padding=2"], "model.layers.0.conv.padding: not set in model", "a plus"),
    (
        ["model=cnn_simple", "+model.layers.0.conv.filters=3"],
        "+model.layers.0.conv.filters: the key already exists",
        "without",
    ),
    (
        ["model=cnn_simple", "model.layers.2.conv.filters=4"],
        "model.layers.2.conv.filters: model.layers.2 is relu and has no such key; ",
        "write 'model.layers.2={conv: {filters: 4, kernel: 3}}'",
    ),
    (
        ["model=cnn_simple", "model.layers.0.dense.units=4"],
        "model.layers.0.dense.units: model.layers.0 is conv and has no such key; ",
        "write model.layers.0=dense 'model.layers.0={dense: {units: 4}}'",
    ),
    (
        ["model=cnn_simple", "model.layers.0={dense: {units: 4}}"],
        "model.layers.0: model.layers.0 is conv and has no such key; ",
        "write model.layers.0=dense 'model.layers.0={dense: {units: 4}}'",
    ),
    (
        ["model=cnn_simple", "model.layers.0.tanh=true"],
        "model.layers.0.tanh: model.layers.0 is conv and has no such key; write model.layers.0=tanh",
        "",
    ),
    (
        ["model=cnn_simple", "model.layers.1={maxpool: {size: 2, stride: 1}}"],
        "model.layers.1={maxpool: {size: 2, stride: 1}}: model.layers.1 does not have all of these settings; ",
        "write ++model.layers.1={maxpool: {size: 2, stride: 1}}",
    ),
    (
        ["experiment=fast_99", "model.layers.1.dense.units=4"],  # its own list of layers, not that of its model
        "model.layers.1.dense.units: model.layers.1 is ",
        "model.layers.1={dense: {units: 4}}'",
    ),
    (["model=mlp_2hidden", "model.layers.0.conv.filters=4"], "model.layers.0.conv.filters: unknown key; model=mlp", ""),
    (
        ["model=cnn_simple", "model.layers.2.conv.filters=4", "optimizer.lrr=1"],
        "model.layers.2.conv.filters: no such layer; `mnistlab explain model=cnn_simple` lists the layers",
        "",
    ),
    (["model=cnn_simple", "~model.layers.0.conv.stride"], "~model.layers.0.conv.stride: no such key to delete", "conv"),
    (["model=cnn_simple", "~model.layers.0"], "~model.layers.0: a list item cannot be deleted", "=identity makes"),
    (["~model.hidden.0"], "~model.hidden.0: a list item cannot be deleted; set the whole list", "model.hidden=[...]"),
    (["model=cnn_simple", "~model.layers"], "~model.layers: a key cannot be deleted; set another", "layers=..."),
    (["~optimizer.lr"], "~optimizer.lr: a key cannot be deleted; set another value, optimizer.lr=...", ""),
    (["model=cnn_simple", "model.layers.x=relu"], "model.layers.x=relu: model.layers is a list, whose", ".layers.0"),
    (["model=cnn_simple", "+model.layers.x=relu"], "+model.layers.x=relu: model.layers is a list, whose items", ""),
    (["model=cnn_simple", "model.layers.x.conv.kernel=3"], "model.layers.x.conv.kernel=3: model.layers is a list", ""),
    (["model=cnn_simple", "model.layers=[{conv:{filters:${nope}}}]"], "model.layers.0.conv.filters: Interpolation", ""),
    (
        ["model=cnn_simple", "model.layers.0.cnv.filters=8"],
        "model.layers.0.cnv.filters: no such layer; model.layers.0 is conv (did you mean conv?)",
        "",
    ),
    (["model=cnn_simple", "model.layers.19=relu"], "model.layers.19=relu: no such item", "numbered from 0"),
    (["model=cnn_simple", "model.layers.0.conv.kernel=2.5"], "model.layers.0.conv.kernel=2.5: the size of the", ""),
    (["model=cnn_simple", "model.layers.0.conv.kernel=29"], "model.layers: layer 1 conv: kernel 29 does not fit", ""),
    (["model=cnn_simple", "model.layers.2=rel"], "model.layers.2=rel: choose one of", "(did you mean relu?)"),
    (["model=cnn_simple", "data=digits"], "model.layers: layer 5 maxpool: size 2 does not fit a 1 x 1 map", "pooling"),
    (
        ["model=cnn_simple", "+model.layers.0.conv.padding=1000000000"],
        "model.layers.0.conv.padding=1000000000: must be below kernel=3",
        "",
    ),
    (["model=cnn_simple", "model.layers.0.conv.filters=1000000000"], "model.layers: layer 1 conv: up to here", "fewer"),
    (["model=cnn_simple", "model.layers=[{conv:{filters:4}}]"], "model.layers.0.conv.kernel: must be", "stride=1"),
    (["model.hidden=[1000000000]"], "model.hidden: layer 2 dense: up to here they take 785,000,000,000 parameters", ""),
    (["model=cnn_simple", "model.layers=[]"], "model.layers: layer 1 dense: takes a vector, got a map", "put flatten"),
    (
        ["model=cnn_simple", "model.layers=[flatten]", "model.output_layer=false"],
        "model.layers: the last one gives 784 outputs for 10 classes",
        "end them with dense: {units: 10}, which model.output_layer=true does",
    ),
    (["model=lenet_dropout", "regularization=dropout"], "regularization.dropout=0.5: model.layers has dropout", ""),
    (["foo"], "foo: must be key=value", "optimizer.lr=0.01"),
    (["--foo"], "--foo: no such option", "mnistlab train --help"),
    (["--multirn"], "--multirn: no such option (did you mean --multirun?)", "mnistlab train --help"),
    (["--config-dir=/nope"], "--config-dir=/nope: no such directory", ""),
    # types and ranges
    (["optimizer.lr=abc"], "optimizer.lr=abc: must be a number", ""),
    (["optimizer.lr="], "optimizer.lr=: must be a number", ""),
    (["optimizer.lr=nan"], "optimizer.lr=nan: must be a number", ""),
    (["optimizer.lr=inf"], "optimizer.lr=inf: must be a number", ""),
    (["optimizer.lr=0.1,0.2"], "optimizer.lr=0.1,0.2: must be one value; `mnistlab train -m` takes several", ""),
    (["optimizer.lr=-0.1"], "optimizer.lr=-0.1: the learning rate must be positive", ""),
    (["optimizer.beta1=1"], "optimizer.beta1=1.0: beta1 must be at least 0 and below 1", ""),
    (["optimizer.lr=${nope}"], "optimizer.lr: Interpolation key 'nope' not found", ""),
    (["seed=-1"], "seed=-1: the seed must be a whole number of 0 or more", ""),
    (["seed=abc"], "seed=abc: must be a whole number", ""),
    (["trainer.epochs=0"], "trainer.epochs=0: the number of epochs must be a whole number of 1 or more", ""),
    (["trainer.epochs=1.5"], "trainer.epochs=1.5: must be a whole number", ""),
    (["trainer.batch_size=0"], "trainer.batch_size=0: the batch size, unless it is full, must be a whole number", ""),
    (["trainer.batch_size=all"], "trainer.batch_size=all: the batch size, unless it is full,", ""),
    (["trainer.batch_size=1.5"], "trainer.batch_size=1.5: must be a whole number or a name", ""),
    (["trainer.monitor=acc"], "trainer.monitor=acc: choose one of loss, accuracy,", ""),
    (["trainer.clip_norm=0"], "trainer.clip_norm=0.0: the largest norm must be positive", ""),
    (["trainer.threads=0"], "trainer.threads=0: the number of threads, unless it is auto,", ""),
    (["report.images=[-1]"], "report.images=-1: a row of the test set must be a whole number of 0 or more", ""),
    (["report.images=[1.5]"], "report.images=[1.5]: must be a whole number", ""),
    (["report.images=[a]"], "report.images=[a]: must be a whole number", ""),
    (["report.images=7"], "report.images=7: ", "[7]"),
    (["report.plots=some"], "report.plots=some: choose one of all, core, none", ""),
    (["model.hidden=[100,0]"], "model.hidden=0: the number of hidden units must be a whole number of 1 or more", ""),
    (["model.hidden=[a]"], "model.hidden=[a]: must be a whole number", ""),
    (["model.hidden=[1,2"], "model.hidden=[1,2: Hydra cannot parse the value; close all brackets", ""),
    (["model.activation=rellu"], "model.activation=rellu: choose one of identity,", "(did you mean relu?)"),
    (["model.activation={leaky_relu:{slop:1}}"], "model.activation.leaky_relu.slop: unknown setting", "mean slope?"),
    (["model.activation={leaky_relu:{slope:2}}"], "model.activation.leaky_relu.slope=2: the slope", "for 0 use relu"),
    (["model.activation={leaky_relu:0.1}"], "model.activation={'leaky_relu': 0.1}: must be a name, or", ""),
    (["model.activation=[[relu],[tanh]]"], "model.activation=['relu']: must be a name, or a name with settings", ""),
    (["optimizer.lr=null"], "optimizer.lr=null: must have a value", "leave out the key to use its default"),
    (["seed=null"], "seed=null: must have a value", ""),
    (["trainer.shuffle=maybe"], "trainer.shuffle=maybe: must be true or false", ""),
    (["model.loss=mse"], "model.loss=mse: choose one of cross_entropy,", ""),
    (["init=random", "init.std=-1"], "init.std=-1.0: the standard deviation must be positive", ""),
    (["init=uniform", "init.low=2"], "init.low=2.0: must lie below high=0.05", ""),
    (["regularization.l2=-1"], "regularization.l2=-1.0: the factor of the L2 penalty must be zero or more", ""),
    (["regularization.dropout=1.5"], "regularization.dropout=1.5: a dropout rate must be at least 0 and below 1", ""),
    (["regularization.dropout=high"], "regularization.dropout=high: must be a number", ""),
    (["data.validation=1.5"], "data.validation=1.5: a fraction must be at least 0 and below 1", ""),
    (["data.scaling=foo"], "data.scaling=foo: choose one of unit, standardize, none", ""),
    # combinations
    (["trainer.batch_size=5000"], "trainer.batch_size=5000: the training set has only 900 images", "full"),
    (
        ["model=cnn_simple", "model.layers=[flatten,{dense:{units:30}},batchnorm]", "trainer.batch_size=1"],
        "trainer.batch_size=1: layer 3 batchnorm would normalise one value per channel or unit at a time",
        "use larger batches, or leave out batchnorm",
    ),
    (["report.images=[0,300]"], "report.images=300: the test set has 300 images, numbered 0 to 299", ""),
    (["trainer.patience=2", "data.validation=0"], "trainer.patience=2: there is no validation set", "data.validation"),
    (["trainer.select=best", "data.validation=0"], "trainer.select=best: there is no validation set", ""),
    (["model.activation=[relu,tanh,elu]"], "", "3 activations for 2 hidden layer(s)"),
    (["model.output=sigmoid"], "model.loss=cross_entropy: not with output=sigmoid", "binary_cross_entropy"),
    (["model=softmax", "regularization.dropout=0.5"], "regularization.dropout=0.5: this model has no hidden", ""),
    (["regularization.dropout=[0.1]"], "regularization.dropout=[0.1]: 1 rates for 2 hidden", ""),
    (["schedule=cosine", "schedule.warmup=20"], "schedule.warmup=20.0: the warm-up must be shorter than", "=2"),
    # data
    (["data=csv", "data.path=nix.csv"], "data.path=nix.csv: no such file", ""),
    (["data=folder", "data.path=."], "data.path=.: ", ""),
    (["data=mnist", "data.root=missing"], "data.root=missing: ", ""),
    (["data.limit=3"], "data.limit=3: there are 10 classes", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "start", "contains"), thinned(WRONG, 4), ids=[" ".join(case[0]) for case in WRONG]
)
def test_a_wrong_request_is_one_line_and_leaves_nothing(
    command: Command, overrides: list[str], start: str, contains: str
) -> None:
    result = command("train", "experiment=smoke", *overrides)
    assert result.status == 2
    assert result.out == ""
    (line,) = result.err.splitlines()
    assert line.startswith(f"mnistlab train: error: {start}")
    assert contains in line
    assert list(Path().rglob("*")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["trian"],
            f"mnistlab: error: trian: no such command; choose one of {', '.join(cli.COMMANDS)} (did you mean train?)",
        ),
        (
            ["data", "lst"],
            "mnistlab data: error: lst: choose one of list, fetch, show, convert, audit (did you mean list?)",
        ),
        (["data", "fetch"], "mnistlab data: error: data fetch: must be one dataset name; choose one of mnist,"),
        (["data", "fetch", "mnst"], "mnistlab data: error: data fetch mnst: choose one of mnist,"),
        (
            ["data", "fetch", "mnist", "--to"],
            "mnistlab data: error: option '--to' requires an argument; see `mnistlab data --help`",
        ),
        (
            ["data", "fetch", "mnist", "--from=x"],
            "mnistlab data: error: --from: no such option; see `mnistlab data --help`",
        ),
        (["data", "list", "mnist"], "mnistlab data: error: mnist: `mnistlab data list` takes no arguments"),
        (["data", "show", "data=mnst"], "mnistlab data: error: data=mnst: no such option"),
        (["data", "show", "data.limit=-4"], "mnistlab data: error: data.limit=-4: the number of training rows must be"),
    ],
)
def test_wrong_commands(command: Command, arguments: list[str], message: str) -> None:
    result = command(*arguments)
    assert result.status == 2
    (line,) = result.err.splitlines()
    assert line.startswith(message)


def test_a_diverging_run_says_where_and_keeps_what_it_wrote(command: Command) -> None:
    result = command("train", "experiment=smoke", "optimizer=sgd", "optimizer.lr=1e30", "init=random")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert line.startswith(
        "mnistlab train: error: the loss is no longer finite at step 2 (epoch 1): layer 4 dense overflowed"
    )
    cure = "try optimizer.lr=1e+29, schedule.warmup=1, trainer.clip_norm=1 or another init"
    assert f"the learning rate at 1e+30; {cure}" in line
    (run,) = Path("outputs").glob("*/*")
    assert f'"state": "failed"' in (run / "status.json").read_text()  # noqa: F541
    assert "no longer finite" in (run / "status.json").read_text()
    assert (run / "environment.json").exists()
    assert not (run / "metrics.json").exists()


def contents(folder: str) -> dict[Path, bytes]:
    return {
        path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file() and ".hydra" not in path.parts
    }


@pytest.mark.parametrize("again", ["hydra.run.dir=here", "++hydra.run.dir='here'", "hydra.run.dir=${oc.env:HERE}"])
def test_a_directory_that_holds_a_run_is_refused_untouched(
    command: Command, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    monkeypatch.setenv("HERE", "here")
    assert command("train", "experiment=smoke", "report.plots=none", "hydra.run.dir=here").status == 0
    before = contents("here")
    result = command("train", "experiment=smoke", "seed=1", again)
    assert result.status == 2
    assert "here" in result.err
    assert "already contains a run; choose another directory" in result.err
    assert contents("here") == before


def test_a_wrong_request_in_a_directory_of_the_users_leaves_the_directory(command: Command) -> None:
    Path("mine").mkdir()
    Path("mine/notes").write_text("keep")
    assert command("train", "optimizer.lr=-1", "hydra.run.dir=mine").status == 2
    assert Path("mine/notes").read_text() == "keep"


def test_a_directory_of_a_wrong_request_goes_with_it_and_can_be_named_again(command: Command) -> None:
    assert command("train", "experiment=smoke", "seed=-1", "hydra.run.dir=o/mine").status == 2
    assert list(Path().rglob("*")) == []
    Path("o/empty").mkdir(parents=True)
    assert command("train", "experiment=smoke", "seed=-1", "hydra.run.dir=o/empty").status == 2
    assert command("train", "experiment=smoke", "report.plots=none", "hydra.run.dir=o/mine").status == 0


@pytest.mark.process
def test_a_stream_that_was_closed_is_no_failure() -> None:
    words = ["train", "experiment=smoke", "report.plots=none", "hydra.run.dir=r"]
    line = shlex.join([sys.executable, "-m", "mnistlab", *words])
    assert processes.run(["sh", "-c", f"{line} <&- >&- 2>&-"], check=False).returncode == 0
    assert '"state": "completed"' in Path("r/status.json").read_text()


def test_a_place_where_nothing_can_be_written(command: Command) -> None:
    Path("outputs").write_text("a file, not a folder")
    result = command("train", "experiment=smoke")
    assert result.status == 2
    assert result.err.startswith("mnistlab train: error: hydra.run.dir=")
    assert "choose another directory with hydra.run.dir=DIR" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to a read-only folder")
def test_a_read_only_folder(command: Command, tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    result = command("train", "experiment=smoke")
    tmp_path.chmod(stat.S_IRWXU)
    assert result.status == 2
    assert "Permission denied; choose another directory with hydra.run.dir=DIR" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["history.csv", "metrics.json", "roc.csv", "model.safetensors", "curves.png"])
def test_a_full_disk_at_any_file_fails_the_run_and_leaves_no_half_file(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = files.write

    def full(path: Path, content: bytes | str) -> None:
        if path.name == name:
            raise OSError(28, "No space left on device", str(path))
        real(path, content)

    monkeypatch.setattr(files, "write", full)
    result = command("train", "experiment=smoke")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert f"{name}: No space left on device; free some space" in line
    assert ", or choose another directory with hydra.run.dir=DIR" in line
    (run,) = Path("outputs").glob("*/*")
    assert '"state": "failed"' in (run / "status.json").read_text()
    assert not list(run.rglob(f"*{name}*"))


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "a", "before")
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "a", "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_a_fault_of_ours_is_one_line_with_its_traceback_in_the_log(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistlab.runs.training_run.TrainingLoop.run", lambda *_, **__: 1 / 0)
    result = command("train", "experiment=smoke")
    assert result.status == 1
    (line,) = result.err.splitlines()
    assert "ZeroDivisionError: division by zero; the traceback is in" in line
    (log,) = Path("outputs").glob("*/*/train.log")
    assert "Traceback (most recent call last)" in log.read_text()


def test_a_user_may_ask_for_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.delenv("MNISTLAB_TRACEBACK", raising=False)
    with pytest.raises(Exception, match="adm"):
        cli.dispatch(["train", "optimizer=adm"])


def test_out_of_memory_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def huge(*_: Any, **__: Any) -> None:
        raise MemoryError("Unable to allocate 1 TiB")

    monkeypatch.setattr("mnistlab.runs.training_run.TrainingLoop.run", huge)
    result = command("train", "experiment=smoke")
    assert result.status == 1
    assert "out of memory (Unable to allocate 1 TiB); try a smaller trainer.batch_size or model" in result.err
