"""The pictures of sweeps: each is a valid PNG with its numbers in words; and which of them a sweep is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.runs import group, record, write_run
from helpers.tables import thinned
from PIL import Image

from mnistlab.analysis.compare import compare
from mnistlab.reporting import plots
from mnistlab.reporting.plots import Series, TrainingCurve
from mnistlab.reporting.plots import comparison as sweeps
from mnistlab.runs.figures import save_pictures
from mnistlab.sweeps.figures import choose, is_geometric

NAN = math.nan
HOSTILE = ["$x$", "_", "a very long name of a setting that never ends " * 3, "お", "\udcff\n\t", "%s {0}", ""]


def names(n):
    return (HOSTILE + [f"optimizer.lr={i}" for i in range(n)])[:n]


def series(n, runs=3, name="validation accuracy"):
    """n settings, their means one point apart from 97 on, each 0.5 around its mean."""
    means = [97.0 - i for i in range(n)]
    spread = np.linspace(-0.5, 0.5, runs) if runs > 1 else [0.0]
    return Series(
        name, means, [0.25 if runs > 1 else NAN] * n, [[mean + float(off) for off in spread] for mean in means]
    )


def against(x, *quantities, unit="accuracy (%)", parameter="optimizer.lr"):
    return plots.against(parameter, x, quantities, unit, is_geometric(x))


def heat(means, better_high=True, unit="validation accuracy (%)"):
    rows, columns = np.shape(means)
    return plots.heat_map(
        ("optimizer", names(rows)), ("batch", [str(2**i) for i in range(columns)]), np.array(means), unit, better_high
    )


def training(name="sgd", epochs=3):
    epoch = np.arange(1, epochs + 1)
    return TrainingCurve(name, 1.25 / epoch, 1 - 0.5 / epoch)


def of_groups(count, runs=3):
    return plots.ranking_of_settings(names(count), [series(count, runs)], "validation accuracy (%)")


CASES = {
    "against": (
        lambda: against([0.001, 0.01, 0.1], series(3), series(3, name="test accuracy")),
        ["accuracy (%) against optimizer.lr.", "0.001: 97 +/- 0.25, 0.01: 96 +/- 0.25, 0.1: 95 +/- 0.25", "test acc"],
    ),
    "against, one run each": (lambda: against([1, 2], series(2, runs=1)), ["1: 97, 2: 96."]),
    "against, one value": (lambda: against([0.5], series(1)), ["0.5: 97 +/- 0.25."]),
    "against, from zero": (lambda: against([0, 0.1, 0.5], series(3)), ["0: 97", "0.5: 95"]),
    "against, negative": (lambda: against([-1, 1], series(2), parameter="init.low"), ["-1: 97", "against init.low"]),
    "against, many": (lambda: against(np.geomspace(1e-5, 10, 60), series(60)), ["1e-05: 97", "10: 38"]),
    "against, not a number": (
        lambda: against([1, 2], Series("loss", [NAN, 0.25], [NAN, NAN], [[], [0.25]]), unit="validation loss"),
        ["1: nan, 2: 0.25", "validation loss against"],
    ),
    "against, nothing but": (
        lambda: against([1, 2], Series("test accuracy", [NAN, NAN], [NAN, NAN], [[], []])),
        ["1: nan, 2: nan"],
    ),
    "against, hostile": (lambda: against([1, 2], series(2, name="$x$"), parameter="$y$\n"), ["$x$ by $y$: 1: 97"]),
    "heat map": (
        lambda: heat([[91.0, 92.5], [90.0, 91.5]]),
        ["accuracy (%) over optimizer and batch, from 90 to 92.5. Best: optimizer=$x$, batch=2 with 92.5."],
    ),
    "heat map, small is better": (
        lambda: heat([[0.5, 0.75], [0.25, 1.0]], better_high=False, unit="test loss"),
        ["from 0.25 to 1. Best: optimizer=_, batch=1 with 0.25."],
    ),
    "heat map, with holes": (lambda: heat([[NAN, 92.5, NAN], [90.0, NAN, NAN]]), ["from 90 to 92.5", "batch=2"]),
    "heat map, one cell": (lambda: heat([[90.0]]), ["from 90 to 90"]),
    "heat map, all equal": (lambda: heat([[90.0] * 3] * 2), ["from 90 to 90. Best: optimizer=$x$, batch=1"]),
    "heat map, one row": (lambda: heat([[90.0] * 9 + [91.0]]), ["batch=512 with 91."]),
    "heat map, many": (lambda: heat(np.arange(300.0).reshape(25, 12)), ["from 0 to 299"]),
    "heat map, nothing": (lambda: heat([[NAN, NAN]]), ["No run was completed."]),
    "ranking": (
        lambda: plots.ranking_of_settings(
            ["init=a", "init=b"], [series(2), series(2, name="test accuracy")], "accuracy (%)"
        ),
        [
            "accuracy (%), the best by validation accuracy first. init=a: validation accuracy 97 +/- 0.25, test "
            "accuracy 97 +/- 0.25. init=b: validation accuracy 96 +/- 0.25, test accuracy 96 +/- 0.25."
        ],
    ),
    "ranking, one group": (lambda: plots.ranking_of_settings([""], [series(1)], "accuracy (%)"), ["97 +/- 0.25"]),
    "ranking, one run each": (lambda: of_groups(3, runs=1), ["$x$: 97. _: 96."]),
    "ranking, many": (lambda: of_groups(60), ["$x$: 97 +/- 0.25"]),
    "ranking, not a number": (
        lambda: plots.ranking_of_settings(
            ["a", "b"], [Series("test loss", [0.5, NAN], [NAN, NAN], [[0.5], []])], "test loss"
        ),
        ["a: 0.5. b: nan."],
    ),
    "ranking, nothing": (lambda: of_groups(0), ["No run was completed."]),
    "side by side": (
        lambda: plots.side_by_side([training(), training("adam", 4)], "optimizer", "validation"),
        ["Training by optimizer, last epoch.", "sgd: loss 0.4167, accuracy 83.33 %.", "adam: loss 0.3125, accuracy 87"],
    ),
    "side by side, one epoch": (
        lambda: plots.side_by_side([training(epochs=1)], "setting", "training"),
        ["sgd: loss 1.25, accuracy 50 %."],
    ),
    "side by side, hostile": (
        lambda: plots.side_by_side([training(name) for name in HOSTILE], "$x$", "validation"),
        ["Training by $x$", "%s {0}: loss"],
    ),
    "side by side, diverged": (
        lambda: plots.side_by_side(
            [TrainingCurve("a", np.array([1, 2e9, np.inf]), np.array([0.1, NAN, NAN]))], "optimizer.lr", "validation"
        ),
        ["a: loss inf, accuracy nan %."],
    ),
    "side by side, many": (
        lambda: plots.side_by_side([training(f"{i}") for i in range(30)], "optimizer.lr", "validation"),
        ["7: loss 0.4167"],
    ),
    "side by side, nothing": (lambda: plots.side_by_side([], "setting", "validation"), ["No run was completed."]),
    "side by side, no epoch": (
        lambda: plots.side_by_side([training(epochs=0)], "setting", "validation"),
        ["No run was completed."],
    ),
}


@pytest.mark.parametrize("case", thinned(CASES, 3))
def test_every_picture_is_a_png_with_its_numbers_in_words(case, tmp_path):
    make, said = CASES[case]
    plots.save(make(), tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as image:
        image.load()
        assert image.format == "PNG"
        assert max(image.size) < 2000
        shades = np.asarray(image.convert("L"))
    assert shades.min() < shades.max()
    alt = (tmp_path / "picture.txt").read_text(encoding="utf-8")
    assert alt.count("\n") == 1
    for number in said:
        assert number in alt


def test_every_function_has_a_case():
    functions = {name for name, value in vars(sweeps).items() if hasattr(value, "__wrapped__")}
    assert {case.split(",")[0].replace(" ", "_") for case in CASES} == functions


def texts(picture):
    from matplotlib.text import Text

    return [text.get_text() for text in picture.figure.findobj(Text)]


def test_a_geometric_parameter_has_a_logarithmic_axis_labelled_with_its_values():
    (axes,) = against([0.001, 0.01, 0.1], series(3)).figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    (axes,) = against([1, 2, 3], series(3)).figure.axes
    assert axes.get_xscale() == "linear"


def test_labels_on_a_logarithmic_axis_keep_their_distance():
    (axes,) = against([1, 1.01, 10, 100, 1000], series(5)).figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "10", "100", "1000"]


def test_every_run_is_a_dot_and_every_mean_has_its_interval():
    (axes,) = against([1, 2], series(2)).figure.axes
    dots = [line for line in axes.get_lines() if line.get_alpha() == 0.6]
    assert [list(line.get_ydata()) for line in dots] == [[96.5, 97.0, 97.5], [95.5, 96.0, 96.5]]
    (bars,) = axes.containers
    segments = bars.lines[2][0].get_segments()
    assert [[float(y) for _, y in segment] for segment in segments] == [[96.75, 97.25], [95.75, 96.25]]


def test_per_cent_ends_at_a_hundred_wherever_an_interval_reaches():
    wide = Series("accuracy", [99.5, 2.0], [30.0, 30.0], [[99.5], [2.0]])
    low, high = against([1, 2], wide).figure.axes[0].get_ylim()
    assert (low, high) == (-1.0, 101.0)
    low, high = plots.ranking_of_settings(["a", "b"], [wide], "accuracy (%)").figure.axes[0].get_xlim()
    assert (low, high) == (-1.0, 101.0)
    low, high = against([1, 2], wide, unit="test loss").figure.axes[0].get_ylim()
    assert low < -1
    assert high > 101


def test_the_best_setting_stands_on_top():
    (axes,) = of_groups(3).figure.axes
    low, high = axes.get_ylim()
    assert low > high
    assert [label.get_text() for label in axes.get_yticklabels()][:2] == ["$x$", " _"]


def test_of_many_settings_the_best_are_drawn_and_said_so():
    picture = of_groups(60)
    (axes,) = picture.figure.axes
    assert len(axes.get_yticks()) == 40
    assert axes.get_xlabel() == "validation accuracy (%), the best 40 of 60"


def test_cells_hold_their_numbers_and_a_hole_holds_none():
    shown = texts(heat([[91.25, NAN], [90.0, 91.5]]))
    assert {"91.25", "90", "91.5"} <= set(shown)
    assert "nan" not in shown


def test_numbers_can_be_read_on_their_cells():
    def colour(picture, text):
        (found,) = [one for one in picture.figure.axes[0].texts if one.get_text() == text]
        return found.get_color()

    high, low = heat([[0.0, 1.0]]), heat([[0.0, 1.0]], better_high=False)
    assert (colour(high, "0"), colour(low, "1")) == ("white", "white")  # dark is the worst
    assert colour(high, "1") == colour(low, "0") != "white"


def test_of_many_trainings_eighteen_can_be_told_apart():
    picture = plots.side_by_side([training(f"{i}") for i in range(30)], "optimizer.lr", "validation")
    (legend,) = picture.figure.legends
    assert len(legend.get_texts()) == 18
    assert "12 more not drawn" in texts(picture)
    looks = {(line.get_color(), line.get_linestyle()) for line in picture.figure.axes[0].get_lines()}
    assert len(looks) == 18


def test_the_loss_is_logarithmic_where_it_spans_much():
    def scale(*loss):
        one = TrainingCurve("a", np.array(loss), np.full(len(loss), 0.5))
        return plots.side_by_side([one], "x", "validation").figure.axes[0].get_yscale()

    assert scale(2.0, 0.5, 0.05) == "log"
    assert scale(2.0, 0.5, 0.1) == "linear"
    assert scale(2.0, 0.5, 0.0) == "linear"  # zero has no logarithm


@pytest.mark.parametrize(
    ("x", "geometric"),
    [
        ([0.001, 0.01, 0.1], True),
        ([32, 64, 128, 256], True),
        ([1e-4, 3e-4, 1e-3, 3e-3], True),
        ([1, 100], True),
        ([0.1, 0.001, 0.01], True),  # in any order
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], False),
        ([1, 2, 4], False),  # less than eightfold
        ([0, 0.01, 0.1, 1], False),  # zero has no logarithm
        ([-1, 1, 10], False),
        ([1, 2], False),
        ([5], False),
        ([], False),
    ],
)
def test_which_parameters_are_geometric(x, geometric):
    assert is_geometric(x) is geometric


def chosen(records, metric=None):
    return [name for name, _ in choose(compare(records, metric))]


def test_one_numeric_setting_is_drawn_against():
    records = [one for lr in (0.1, 0.01) for one in group({"optimizer.lr": lr}, [0.9, 0.8])]
    assert chosen(records) == ["ranking", "against_optimizer.lr", "training"]


def test_one_named_setting_is_ranked():
    records = [one for init in ("kaiming", "random") for one in group({"init": init}, [0.9, 0.8])]
    assert chosen(records) == ["ranking", "training"]


@pytest.mark.parametrize("values", [[0.1, None], [0.1, "auto"], [True, False], [[64], [32]]])
def test_what_is_not_a_number_throughout_is_not_drawn_against(values):
    assert chosen([record(0, 0.9, {"a.x": value}) for value in values]) == ["ranking", "training"]


def test_two_settings_make_a_heat_map():
    records = [record(0, 0.9, {"init": init, "o.lr": lr}) for init in ("a", "b") for lr in (0.1, 0.5)]
    assert chosen(records) == ["ranking", "heat_map", "training"]


def test_three_settings_are_ranked():
    records = [record(0, 0.9, {"a": a, "b": b, "c.x": c}) for a in "pq" for b in "rs" for c in (1, 2)]
    assert chosen(records) == ["ranking", "training"]


def test_seeds_only_are_ranked():
    assert chosen(group({}, [0.9, 0.8])) == ["ranking"]


def test_training_is_drawn_for_accuracies_only():
    records = [record(0, 0.9, {"init": init}, test={"loss": 0.5, "accuracy": 0.5}) for init in "ab"]
    assert chosen(records, "test.accuracy") == ["ranking", "training"]
    assert chosen(records, "test.loss") == ["ranking"]


def drawn(comparison):
    return {name: draw().alt for name, draw in choose(comparison)}


def test_the_numbers_of_a_sweep_over_one_parameter(tmp_path):
    # histories of two epochs; 0.01: accuracies .90 and .92, half t(0.975, 1) * 1 = 12.7 points; 0.1: .95, one run
    records = []
    for lr, seed, accuracy in [(0.1, 0, 0.95), (0.01, 0, 0.9), (0.01, 1, 0.92)]:
        write_run(tmp_path / f"{lr} {seed}", accuracy)
        records.append(record(seed, accuracy, {"optimizer.lr": lr}, place=str(tmp_path / f"{lr} {seed}")))
    alt = drawn(compare(records))
    assert alt["ranking"] == (
        "accuracy (%), the best by validation accuracy first. optimizer.lr=0.1: validation accuracy 95, test accuracy "
        "94. optimizer.lr=0.01: validation accuracy 91 +/- 13, test accuracy 90 +/- 13."
    )
    assert alt["against_optimizer.lr"] == (
        "accuracy (%) against optimizer.lr. validation accuracy by optimizer.lr: 0.01: 91 +/- 13, 0.1: 95. "
        "test accuracy by optimizer.lr: 0.01: 90 +/- 13, 0.1: 94."
    )
    assert alt["training"] == (
        "Training by optimizer.lr, last epoch. 0.01: loss 0.5, accuracy 91 %. 0.1: loss 0.5, accuracy 95 %."
    )
    paths = save_pictures(tmp_path, choose(compare(records)))
    assert [path.name for path in paths] == ["ranking.png", "against_optimizer.lr.png", "training.png"]


def test_the_numbers_of_a_sweep_over_two_settings():
    # three rates, two options: the longer goes across, numbers by size; the mean of .90 and .92 is 91
    values = {("adam", 0.5): [0.5], ("adam", 0.01): [0.9, 0.92], ("sgd", 0.1): [0.875]}
    records = [one for (name, lr), found in values.items() for one in group({"optimizer": name, "lr.x": lr}, found)]
    (heat_map,) = [draw() for name, draw in choose(compare(records)) if name == "heat_map"]
    assert heat_map.alt == (
        "validation accuracy (%) over optimizer and lr.x, from 50 to 91. Best: optimizer=adam, lr.x=0.01 with 91."
    )
    axes = heat_map.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1", "0.5"]
    assert sorted(text.get_text() for text in axes.texts) == ["50", "87.5", "91"]


def test_runs_without_a_history_are_not_drawn():
    records = [record(0, 0.9, {"init": init}, place="nowhere") for init in "ab"]
    assert drawn(compare(records))["training"] == "No run was completed."


def test_a_history_is_the_mean_over_the_runs_that_came_so_far(tmp_path):
    # the first run stops after one epoch, so the second epoch is the other's alone
    columns = "epoch,train_loss,train_accuracy,val_accuracy\n"
    for name, rows in [("0", "1,1.0,0.5,0.25\n"), ("1", "1,2.0,0.5,0.75\n2,0.25,0.5,0.875\n")]:
        write_run(tmp_path / name)
        (tmp_path / name / "history.csv").write_text(columns + rows)
    records = [record(i, 0.9, {"init": "a"}, place=str(tmp_path / str(i))) for i in (0, 1)]
    (picture,) = [
        draw() for name, draw in choose(compare([*records, record(0, 0.8, {"init": "b"})])) if name == "training"
    ]
    assert picture.alt == "Training by init, last epoch. a: loss 0.25, accuracy 87.5 %."
    loss, accuracy = (axes.get_lines()[0].get_ydata() for axes in picture.figure.axes)
    assert (list(loss), list(accuracy)) == ([1.5, 0.25], [50.0, 87.5])


def test_without_a_validation_part_the_accuracy_in_training_is_drawn(tmp_path):
    for init in "ab":
        write_run(tmp_path / init)
        (tmp_path / init / "history.csv").write_text("epoch,train_loss,train_accuracy,val_accuracy\n1,1.0,0.625,\n")
    records = [record(0, 0.9, {"init": init}, place=str(tmp_path / init), validation={}) for init in "ab"]
    (picture,) = [draw() for name, draw in choose(compare(records)) if name == "training"]
    assert picture.figure.axes[1].get_title(loc="left") == "training accuracy (%)"
    assert picture.alt.startswith("Training by init, last epoch. a: loss 1, accuracy 62.5 %.")
