"""The speed run: what counts as reached, its table, and a PyTorch twin that takes the same steps."""

import csv
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from helpers import processes

from mnistlab.system.errors import RequestError

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
NORMALISED = "[{conv:{filters:4,kernel:5}},{maxpool:{size:2}},batchnorm,relu,flatten,{dense:{units:9}},batchnorm,relu]"


@pytest.fixture(scope="module")
def folder():
    """Make the scripts importable, as they are for one another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield FOLDER


@pytest.fixture
def small(folder, tmp_path, monkeypatch):
    """Overrides that name 256 random images."""
    bench = import_module("bench")
    monkeypatch.setenv("MNISTLAB_CACHE", str(tmp_path / "cache"))
    return bench.data_overrides(bench.parse(["--synthetic", "256"]), tmp_path)


@pytest.fixture
def speedrun(folder):
    return import_module("speedrun")


def trained(seed, accuracy, seconds, peer="ours", threads=2, foreign=0.01):
    row = {"recipe": "fast_99", "peer": peer, "threads": threads, "seed": seed, "accuracy": accuracy}
    return {**row, "seconds": seconds, "images": 10_000, "foreign": foreign}


FAST = [
    *(trained(i, a, t) for i, (a, t) in enumerate([(0.9905, 4.0), (0.9915, 3.0), (0.991, 8.0)])),
    *(trained(i, a, t, "torch") for i, (a, t) in enumerate([(0.989, 12.0), (0.992, 10.0), (0.9902, 11.0)])),
    trained(0, 0.9905, 7.0, threads=1),
]


def test_a_target_is_reached_by_the_mean_and_surely_by_the_interval(speedrun):
    recipe = speedrun.RECIPES["fast_99"]
    ours, torch = (speedrun.summary(FAST, recipe, peer, 2) for peer in ("ours", "torch"))
    # 99.1 +/- t(0.975, 2) 0.05 / sqrt 3 = 4.3027 . 0.02887: the interval begins at 98.98
    assert (ours["n"], ours["mean"]) == (3, pytest.approx(0.991))
    assert ours["half"] == pytest.approx(4.30265 * 0.0005 / 3**0.5, rel=1e-4)
    assert (ours["reached"], ours["surely"], ours["seconds"]) == (True, False, 4.0)
    assert torch["reached"]
    more = [trained(i, 0.9908 + 0.0001 * (i % 5), 4.0) for i in range(30)]
    assert speedrun.summary(more, recipe, "ours", 2)["surely"]
    assert not speedrun.summary(FAST, recipe, "ours", 1)["surely"]  # a single seed has no interval
    assert speedrun.summary(FAST, recipe, "torch", 1) is None


def test_the_page_has_a_row_for_each_peer_and_number_of_threads(speedrun):
    options = speedrun.parse(["--recipes", "fast_99"])
    page = speedrun.page("fast_99", ["a machine"], FAST, options)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if "| fast_99" in line]
    assert [row[1:4] for row in rows] == [["mnistlab", "1", "1"], ["mnistlab", "2", "3"], ["PyTorch", "2", "3"]]
    assert rows[1][4:12] == [
        *("99.100 +/- 0.124", "99.05", "99", "yes", "4.00 (3.00..8.00)", "<= 5", "yes", "-"),
    ]
    assert rows[2][8:12] == ["11.00 (10.00..12.00)", "", "", "2.75"]
    assert "not to be quoted" not in page
    disturbed = [*FAST[1:], {**FAST[0], "foreign": 0.3}]
    assert "the times are not to be quoted" in speedrun.page("fast_99", ["a machine"], disturbed, options)


def test_ours_and_pytorch_take_turns_in_blocks_of_five_seeds(speedrun):
    options = speedrun.parse(["--seeds", "7", "--torch-seeds", "6", "--timed", "2"])
    assert list(speedrun.plan(options)) == [
        *((1, "ours", 0, 2), (1, "torch", 0, 2)),
        *((2, "ours", 0, 5), (2, "torch", 0, 5), (2, "ours", 5, 2), (2, "torch", 5, 1)),
    ]
    assert "seeds 0 to 6 with 2 thread(s) (PyTorch: 0 to 5), 2 with other numbers" in speedrun.protocol(options)


@pytest.mark.parametrize(
    ("arguments", "trial"),
    [
        *(([], False), (["--seeds", "3"], False), (["--validation", "6000"], True), (["optimizer.lr=1"], True)),
        *((["--synthetic", "600"], True), (["--quick", "--peers", "ours"], True)),
    ],
)
def test_a_trial_does_not_overwrite_the_page_of_the_recipe(speedrun, arguments, trial):
    assert speedrun.is_trial(speedrun.parse(arguments)) is trial


def test_a_page_without_pytorch_does_not_speak_of_it(speedrun):
    options = speedrun.parse(["--peers", "ours"])
    assert "PyTorch" not in speedrun.protocol(options) + speedrun.page("fast_99", [], FAST[:3], options).split("|")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipes", "fast_97"], "--recipes=fast_97: choose one of fast_98, fast_99, fast_995"),
        (["--peers", "jax"], "--peers=jax: choose one of ours, torch"),
        (["--threads", "two"], "--threads=two: must be numbers, with commas"),
        (["--threads", "0"], "--threads=0: must be a whole number of 1 or more"),
        (["--seeds", "0"], "--seeds=0: must be a whole number of 1 or more"),
    ],
)
def test_a_wrong_request_of_the_speed_run_is_one_line(arguments, message, speedrun, capsys):
    with pytest.raises(SystemExit) as caught:
        speedrun.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch")
@pytest.mark.parametrize(
    "model",
    [("model=lenet5",), ("model=cnn_simple", f"model.layers={NORMALISED}")],
    ids=["LeNet-5", "batch normalisation"],
)
def test_the_twin_takes_the_steps_of_the_recipe(folder, small, model):
    """From the same weights, with the same batches, rates, smoothing, augmentation and average: the same network."""
    import twin
    from workloads import Workload, compose

    from mnistlab.runs import pipeline
    from mnistlab.training.components import RandomStreams
    from mnistlab.training.loop import fit

    recipe = Workload(
        "",
        (
            *(*model, "optimizer=adamw", "schedule=one_cycle", "augment=[shift,erasing]", "trainer.ema=0.9"),
            *("trainer.batch_size=60", "regularization=label_smoothing", "optimizer.lr=0.002"),
        ),
        1,
        0,
    )
    experiment = compose(recipe, 2, small)
    dataset = pipeline.load_data(experiment)
    network = pipeline.build(experiment, dataset)
    fit(network, dataset.train, None, experiment.components, RandomStreams.from_seed(experiment.seed))
    experiment = compose(recipe, 2, small)
    other = twin.Twin(experiment, dataset, channels_last=True)
    other.train()
    parameters = [(name, array) for layer in network.layers for name, array in layer.params.items()]
    for (name, ours), theirs in zip(parameters, other.model.parameters(), strict=True):
        if name == "b" and len(model) > 1:
            continue  # batch normalisation takes it away: its gradient is a rounding error, which Adam makes a step
        theirs = theirs.detach().numpy()
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        # Adam divides rounding errors by small gradients
        assert abs(ours.reshape(theirs.shape) - theirs).max() < 2e-3 * abs(theirs).max(), name
    outputs = other.model.eval()(other.input(dataset.test.images.copy())).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(network.predict(dataset.test.images), outputs, atol=2e-3)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("augment=mixup", "the PyTorch twin has no mixup"),
        ("optimizer=sgd", "the PyTorch twin has no optimizer SGD"),
        ("trainer.swa=1", "the PyTorch twin has no swa"),
    ],
)
@pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch")
def test_a_twin_is_never_another_recipe(override, message, folder, small):
    import twin
    from workloads import Workload, compose

    from mnistlab.runs import pipeline

    experiment = compose(Workload("", (override,), 1, 0), 1, small)
    with pytest.raises(RequestError, match=message):
        twin.Twin(experiment, pipeline.load_data(experiment), channels_last=False)


@pytest.mark.process
@pytest.mark.slow
@pytest.mark.skipif(not find_spec("torch"), reason="needs PyTorch")
def test_a_dry_run_of_the_speed_run_writes_its_tables(folder, tmp_path):
    command = [sys.executable, str(folder / "speedrun.py"), "--quick", "--synthetic", "600", "--threads", "1"]
    command += ["--recipes", "fast_98", "--results", str(tmp_path)]
    result = processes.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with (tmp_path / "speedrun_fast_98_trial.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["peer"], row["threads"], row["seed"]) for row in rows] == [
        (peer, "1", seed) for peer in ("ours", "torch") for seed in "01"
    ]
    assert "600 random images (a dry run)" in (tmp_path / "speedrun_fast_98_trial.md").read_text()
