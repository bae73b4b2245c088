"""The benchmark: its workloads compose, its arithmetic is right, and a tiny measurement runs."""

import csv
import json
import os
import shutil
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import processes

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
COMPILES = find_spec("torch") and shutil.which(os.environ.get("CXX") or "g++")


@pytest.fixture(scope="module")
def folder():
    """Make the scripts importable, as they are for one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield FOLDER


@pytest.fixture
def bench(folder):
    return import_module("bench")


@pytest.fixture
def tables(folder):
    return import_module("tables")


@pytest.fixture
def small(tmp_path, monkeypatch, bench):
    """Overrides that name 256 random images."""
    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path / "cache"))
    return bench.data_overrides(bench.parse(["--synthetic", "256"]), tmp_path)


# name: units of the dense layers, activations, batch of 256 images, optimizer, lr, l2
EXPECTED = {
    "macalinao": ([75, 10], ["sigmoid"], 64, "SGD", 0.9, 0),
    "macalinao_full": ([75, 10], ["sigmoid"], "full", "SGD", 0.9, 0),
    "ghimire": ([200, 20, 10], ["leaky_relu", "tanh"], 128, "SGD", 0.1, 1e-4),
    "lin_dense": ([128, 64, 10], ["sigmoid", "sigmoid"], 32, "Adam", 1e-3, 0),
    "oxford_dense": ([1200, 1200, 10], ["relu", "dropout", "relu"], 62, "Adam", 5e-4, 0),
    "fashion_dense": ([300, 200, 10], ["tanh", "tanh"], 32, "Adam", 1e-3, 1e-4),
    "oxford_cnn": (
        [120, 84, 10],
        ["conv", "maxpool", "relu", "conv", "maxpool", "relu", "relu", "dropout", "relu"],
        *(128, "Adam", 1e-3, 0),
    ),
    "lin_simple_cnn": (
        [100, 10],
        ["conv", "maxpool", "relu", "conv", "maxpool", "relu", "relu"],
        *(32, "SGD", 0.01, 0),
    ),
    "lin_enhanced_cnn": (
        [128, 64, 10],
        [
            *("conv", "relu", "conv", "maxpool", "relu", "conv", "relu", "conv", "relu", "avgpool"),
            "relu",
            "relu",
            "dropout",
        ],
        *(32, "Adam", 1e-3, 0),
    ),
    "fashion_lenet5": (
        [84, 10],
        ["conv", "relu", "avgpool", "conv", "relu", "avgpool", "conv", "relu", "relu"],
        *(32, "Adam", 1e-3, 0),
    ),
}


def build(name, overrides):
    from workloads import WORKLOADS, compose

    from mnistlab.runs import pipeline

    made = compose(WORKLOADS[name], 2, overrides)
    dataset = pipeline.load_data(made)
    return made, dataset, pipeline.build(made, dataset)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_workload_is_the_network_of_its_name(name, small):
    made, dataset, network = build(name, small)
    units = [layer.units for layer in network.layers if hasattr(layer, "units")]
    kinds = [kind for layer in network.layers for kind in layer.spec() if kind not in ("dense", "flatten")]
    rule = (type(made.optimizer).__name__, made.optimizer.lr, made.regularization.l2)
    assert (units, kinds, made.trainer.batch_size, *rule) == EXPECTED[name]
    assert (made.trainer.epochs, len(dataset.train), len(dataset.validation)) == (2, 256, 0)


def test_the_table_has_exactly_these_workloads(folder):
    from workloads import WORKLOADS

    assert list(WORKLOADS) == list(EXPECTED)


@pytest.mark.parametrize(
    ("name", "activation", "left_out"),
    [
        ("macalinao", "logistic", ""),
        ("ghimire", "relu", "relu for leaky_relu, tanh"),
        ("oxford_dense", "relu", "no dropout"),
    ],
)
def test_scikit_learn_says_what_it_leaves_out(name, activation, left_out, small):
    import peers

    assert peers.sklearn_activation(build(name, small)[2]) == (activation, left_out)


def measured(peer, i, seconds, threads=1, **more):
    return {"workload": "macalinao", "peer": peer, "round": i, "threads": threads, "seconds": seconds, **more}


CANNED = [
    *(measured("ours", i, t, foreign=0.01, peak=210.4, before=120.0 + i) for i, t in ((1, 1.0), (2, 2.0), (3, 4.0))),
    *(measured("numpy", i, t, foreign=0.01) for i, t in ((1, 3.0), (2, 5.0), (3, 8.0))),
    *(measured("compiled", i, t, threads=2) for i, t in ((1, 2.0), (2, 3.0), (3, 5.0))),
    *(measured("jax", i, t, peak=400.0) for i, t in ((1, 1.5), (2, 4.0), (3, 16.0))),
    *(measured("torch", i, t, threads=1, foreign=0.02, peak=300 + i) for i, t in ((1, 2.0), (2, 3.0), (3, 12.0))),
    *(measured("torch", i, t, threads=2, foreign=0.07, peak=999) for i, t in ((1, 3.0), (2, 4.0), (3, 4.0))),
    measured("sklearn", 1, 0.1, threads=2),  # measured in one round only: not a candidate
    *(measured("sklearn", i, t, left_out="no dropout") for i, t in ((1, 3.0), (2, 8.0), (3, 16.0))),
    {"workload": "macalinao", "peer": "ours", "threads": 1, "gemm_share": 0.625, "foreign": None},
]


def test_ratios_are_medians_over_rounds_with_the_peers_better_threads(tables):
    row = tables.row("macalinao", CANNED)
    assert (row["ours"], row["ours_min"], row["ours_max"]) == (2, 1, 4)
    # torch: median 3 with one thread, 4 with two; ratios 2/1, 3/2, 12/4
    assert (row["torch_threads"], row["torch"]) == (1, 3)
    assert (row["torch_ratio"], row["torch_ratio_min"], row["torch_ratio_max"]) == (2, 1.5, 3)
    # scikit-learn: ratios 3/1, 8/2, 16/4
    assert (row["sklearn_threads"], row["sklearn_ratio"], row["sklearn_ratio_min"]) == (1, 4, 3)
    assert (row["bar"], row["holds"], row["gemm_share"], row["worst_foreign"]) == (2.2, False, 0.625, 0.07)


def test_a_bar_is_judged_by_the_median_ratio(tables):
    faster = [m | {"seconds": m["seconds"] / 1.2} if m["peer"] == "ours" and "seconds" in m else m for m in CANNED]
    assert tables.row("macalinao", faster)["torch_ratio"] == pytest.approx(2 * 1.2)
    assert tables.row("macalinao", faster)["holds"] is True


def test_without_torch_its_columns_are_empty(tables):
    row = tables.row("macalinao", [m for m in CANNED if m["peer"] != "torch"])
    assert (row["torch"], row["torch_ratio"], row["holds"]) == (None, None, None)
    assert "not measured" in tables.dense_markdown([row])


def test_the_page_shows_figures_spreads_bars_and_notes(tables, bench):
    process = {"command": "mnistlab --help", "counted": "all", "seconds": 0.15, "min": 0.1, "max": 0.2, "bar": 0.1}
    page = bench.page(
        "dense", ["a machine"], [tables.row("macalinao", CANNED)], [process | {"holds": False, "foreign": 0}]
    )
    row = next(line for line in page.splitlines() if line.startswith("| macalinao"))
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "macalinao",
        "1",
        "2.000 (1.000..4.000)",
        "5.000 (3.000..8.000), 1 thr.",
        "3.000 (2.000..12.000), 1 thr.",
        "8.000 (3.000..16.000), 1 thr. ~",
        "2.00 (1.50..3.00)",
        ">= 2.2",
        "**no**",
        "1.50 (1.25..2.00)",
        "2.00 (1.50..4.00)",
        "2.50 (2.00..3.00)",
        "4.00 (3.00..4.00) ~",
        "62%",
        "7%",
    ]
    assert "- macalinao: scikit-learn with no dropout." in page
    lines = [" ".join(line.split()) for line in page.splitlines()]
    assert "| workload | ours, MiB | NumPy layers, MiB | PyTorch, MiB | JAX, MiB | of it before training |" in lines
    assert "| macalinao | 210 | - | 302 | 400 | 121 |" in lines  # the median of the threads that the ratio has
    assert "| `mnistlab --help` | all     | 0.150 (0.100..0.200) | <= 0.1 | **no** | 0%" in page
    assert "Targets missed: macalinao, mnistlab --help." in page
    assert "Disturbed by other processes (over 6% of the machine): macalinao." in page


def test_a_peer_that_failed_is_a_note_and_has_no_ratio(tables, bench):
    failed = {"workload": "macalinao", "peer": "jax", "round": 1, "threads": 1, "skipped": "jax macalinao: no memory"}
    row = tables.row("macalinao", [m for m in CANNED if m["peer"] != "jax"] + [failed, failed | {"threads": 2}])
    assert (row["jax"], row["jax_ratio"], row["jax_peak"]) == (None, None, None)
    page = bench.page("dense", ["a machine"], [row], [])
    assert page.count("- macalinao: not measured: jax: jax macalinao: no memory") == 1


def test_only_ours_and_the_usual_peers_may_not_fail(bench, monkeypatch, capsys):
    def fails(*_):
        raise RuntimeError("it broke")

    monkeypatch.setattr(bench, "measure", fails)
    assert bench.attempt("compiled", "macalinao", 2, None, [])["skipped"] == "it broke"
    assert capsys.readouterr().out == "  skipped: it broke\n"
    with pytest.raises(RuntimeError, match="it broke"):
        bench.attempt("torch", "macalinao", 2, None, [])
    runners = [("ours", None), ("jax", 1), ("jax", 2)]
    done = [{"peer": "ours", "seconds": 1.0}, {"peer": "jax", "skipped": "it broke"}, {"peer": "jax", "seconds": 9.0}]
    assert bench.worth_repeating(runners, done) == [("ours", None), ("jax", 2)]


def test_what_is_missing_is_skipped_with_one_line_each(bench, monkeypatch):
    import peers

    installed = {"torch": True, "jax": None}
    monkeypatch.setattr("importlib.util.find_spec", installed.get)
    monkeypatch.setattr(peers.shutil, "which", lambda _: None)
    monkeypatch.setenv("CXX", "c++17")
    reason = "torch.compile was skipped: there is no C++ compiler (c++17)"
    assert bench.available() == (["torch", "sklearn"], [reason, "JAX was skipped: it is not installed"])
    installed["torch"] = None
    assert bench.available()[1][:2] == [
        "PyTorch was skipped: it is not installed",
        "torch.compile was skipped: PyTorch is not installed",
    ]


def test_layouts_of_maps_are_those_of_pytorch(bench):
    everything = ["torch", "compiled", "jax", "sklearn"]
    assert bench.peers_of("macalinao", everything) == everything
    layouts = ["torch", "channels_last", "compiled", "compiled_channels_last", "jax"]
    assert bench.peers_of("oxford_cnn", everything) == layouts


def test_csv_has_a_column_for_every_key(bench, tmp_path):
    bench.write_csv(tmp_path / "rows.csv", [{"a": 1, "b": 2}, {"a": 3, "c": 4}])
    assert list(csv.reader((tmp_path / "rows.csv").read_text().splitlines())) == [
        ["a", "b", "c"],
        ["1", "2", ""],
        ["3", "", "4"],
    ]


def test_a_disturbed_measurement_is_repeated_and_the_calmest_kept(bench):
    shares = iter([0.5, 0.2, 0.3, 0.0])
    assert bench.calmest(lambda: {"foreign": next(shares)}, 3) == {"foreign": 0.2, "attempts": 3}
    assert bench.calmest(lambda: {"foreign": next(shares)}, 3) == {"foreign": 0.0, "attempts": 1}
    assert bench.calmest(lambda: {"foreign": None}, 3) == {"foreign": None, "attempts": 1}


def test_a_hopeless_number_of_threads_is_tried_once(bench):
    runners = [("ours", None), ("torch", 1), ("torch", 2), ("sklearn", 1), ("sklearn", 2)]
    first = [{"peer": peer, "seconds": s} for (peer, _), s in zip(runners, (9, 1.0, 1.1, 3.0, 4.0), strict=True)]
    assert bench.worth_repeating(runners, first) == runners[:4]


def test_foreign_load_is_what_was_busy_and_not_ours(folder, tmp_path, monkeypatch):
    import load

    ticks = os.sysconf("SC_CLK_TCK")
    own, clock = iter([0.0, 1.0]), iter([0.0, 10.0])
    monkeypatch.setattr(load, "STAT", tmp_path / "stat")
    monkeypatch.setattr(load, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    monkeypatch.setattr(load, "os", SimpleNamespace(cpu_count=lambda: 2, sysconf=os.sysconf))
    load.STAT.write_text("cpu  0 0 0 5 5 0 0 0 0 0\n")
    watch = load.Watch(own=lambda: next(own))
    load.STAT.write_text(f"cpu  {2 * ticks} 0 {ticks} 999 999 0 0 0 0 0\n")  # 3 s busy, 1 s ours, of 2 x 10 s
    assert watch.foreign() == pytest.approx(0.1)


def test_where_the_system_does_not_tell_foreign_load_is_unknown(folder, tmp_path, monkeypatch):
    import load

    monkeypatch.setattr(load, "STAT", tmp_path / "none")
    assert load.Watch().foreign() is None


def test_the_peak_of_memory_is_in_mebibytes(folder, tmp_path, monkeypatch):
    import load

    monkeypatch.setattr(load, "STATUS", tmp_path / "status")
    by_rusage = load.peak_memory()
    assert by_rusage is None or 10 < by_rusage < 2**20
    load.STATUS.write_text("Name:\tpython\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n")
    assert load.peak_memory() == 2


def refused(bench, capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        bench.main(arguments)
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    return message


def test_without_mnist_it_says_so_in_one_line(bench, capsys, monkeypatch, tmp_path):
    from mnistlab.data.sources import published

    monkeypatch.delenv("MNISTLAB_DATA", raising=False)
    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(published, "SYSTEM", tmp_path / "system")
    assert "the full MNIST files are not on this machine; run `mnistlab data fetch mnist`" in refused(bench, capsys)
    assert "no such folder" in refused(bench, capsys, "--data-root", str(tmp_path / "gone"))


def test_a_wrong_option_is_refused_in_one_line(bench, capsys):
    assert "--workloads=ghimre: choose one of" in refused(bench, capsys, "--workloads", "ghimre")
    assert "--rounds=0" in refused(bench, capsys, "--rounds", "0")


def measurement(small, *arguments):
    command = [sys.executable, str(FOLDER / "measure.py"), *arguments, *small]
    done = processes.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.parametrize(
    "peer",
    [
        "ours",
        "sklearn",
        pytest.param("torch", marks=pytest.mark.skipif(not find_spec("torch"), reason="torch is not installed")),
        pytest.param("compiled", marks=pytest.mark.skipif(not COMPILES, reason="torch.compile does not work here")),
        pytest.param("jax", marks=pytest.mark.skipif(not find_spec("jax"), reason="jax is not installed")),
    ],
)
def test_a_tiny_measurement_runs(peer, small):
    found = measurement(small, peer, "ghimire", "--epochs", "3", "--threads", "1")
    assert (found["peer"], found["workload"], found["threads"]) == (peer, "ghimire", 1)
    assert len(found["epochs"]) == 3
    assert found["seconds"] == min(found["epochs"][1:]) > 0
    assert 0 < found["before"] <= found["peak"] < 4096


@pytest.mark.process
def test_the_share_of_gemm_is_a_share(small):
    found = measurement(small, "ours", "macalinao", "--gemm")
    assert 0 < found["gemm_share"] < 1
    assert found["threads"] >= 1
