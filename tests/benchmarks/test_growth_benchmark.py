"""The growth tables: every point is the network that it says, and its page has milliseconds and ratios."""

import csv
import os
import sys
from importlib import import_module
from pathlib import Path

import pytest
from helpers import processes

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def growth():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield import_module("growth")


def test_each_axis_has_its_points_and_nothing_else_grows(growth):
    values = {}
    for point in growth.POINTS.values():
        values.setdefault(point.axis, []).append(point.value)
    assert values == {
        "width": [32, 64, 128, 256, 512, 1024],
        "depth": [1, 2, 3, 4, 5, 6],
        "batch": [16, 32, 64, 128, 256, 512],
        "side": [28, 36, 44, 52, 64],
        "classes": [10, 47, 100],
    }
    assert list(values) == list(growth.AXES)
    options = growth.parse(["--quick", "--axes", "side,batch"])
    assert [point.workload.name for point in growth.chosen(options)] == ["side_28", "side_64", "batch_16", "batch_512"]


@pytest.mark.parametrize(
    ("name", "units", "batch", "side"),
    [
        ("width_64", [64, 10], 128, 28),
        ("depth_3", [128, 128, 128, 10], 128, 28),
        ("batch_16", [128, 10], 16, 28),
        ("classes_47", [128, 47], 128, 28),
        ("side_44", [120, 84, 10], 128, 44),
    ],
)
def test_a_point_is_the_network_of_its_name(name, units, batch, side, growth, tmp_path, monkeypatch):
    import bench
    from workloads import compose

    from mnistlab.runs import pipeline

    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path / "cache"))
    point = growth.POINTS[name]
    data = bench.random_images(tmp_path / "random.npz", 2 * point.batch, point.side, point.classes)
    made = compose(point.workload, 2, data)
    network = pipeline.build(made, pipeline.load_data(made))
    assert [layer.units for layer in network.layers if hasattr(layer, "units")] == units
    assert (made.trainer.batch_size, network.image_shape) == (batch, (side, side))


def measured(peer, i, seconds, threads=1, **more):
    return {"workload": "side_64", "peer": peer, "round": i, "threads": threads, "seconds": seconds, **more}


def test_the_page_has_milliseconds_the_better_layout_and_ratios_of_rounds(growth):
    found = [measured("ours", i, t, foreign=0.07) for i, t in ((1, 0.010), (2, 0.020), (3, 0.010))]
    found += [measured("numpy", i, t) for i, t in ((1, 0.030), (2, 0.030), (3, 0.030))]
    found += [measured("torch", i, t) for i, t in ((1, 0.09), (2, 0.09), (3, 0.09))]
    found += [measured("torch", i, t, 2, layout="channels_last") for i, t in ((1, 0.020), (2, 0.030), (3, 0.0255))]
    row = growth.row(growth.POINTS["side_64"], found)
    assert (row["axis"], row["value"], row["torch_threads"]) == ("side", 64, 2)
    text = growth.page(["some machine"], [row])
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "## Image size" in lines
    theirs = "25.5 (20..30), 2 thr. channels_last"
    assert f"| 64 | 10 (10..20) | 30 (30..30) | {theirs} | 2.00 (1.50..2.55) | 3.00 (1.50..3.00) | 7% |" in lines
    assert "Disturbed by other processes (over 6% of the machine): side 64." in lines
    assert "## Width" not in lines


def test_a_wrong_request_is_one_line(growth, capsys):
    refused = {"--axes=height": "--axes=height: choose one of width", "--rounds=0": "--rounds=0: the number of rounds"}
    for option, said in refused.items():
        with pytest.raises(SystemExit) as stopped:
            growth.main([option])
        assert stopped.value.code == 2
        error = capsys.readouterr().err
        assert error.startswith(f"bench: error: {said}")
        assert error.count("\n") == 1


@pytest.fixture
def one_core():
    """Let what a test starts have one core: peers are then tried with one thread, and wait for no other."""
    if not hasattr(os, "sched_getaffinity"):  # only Linux has it
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.usefixtures("one_core")
def test_a_tiny_run_writes_the_page_and_every_measurement(tmp_path):
    command = [sys.executable, FOLDER / "growth.py", "--quick", "--axes", "classes", "--results", tmp_path]
    done = processes.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "## Classes" in (tmp_path / "growth.md").read_text()
    with (tmp_path / "growth.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["axis"], row["value"]) for row in rows] == [("classes", "10"), ("classes", "100")]
    assert all(0 < float(row["ours"]) < 1 for row in rows)
    with (tmp_path / "growth_measurements.csv").open() as file:
        assert {row["peer"] for row in csv.DictReader(file)} >= {"ours", "numpy"}
