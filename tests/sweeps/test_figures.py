"""The pictures of sweeps: each is a valid PNG with its numbers in words; and which of them a sweep is worth."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
from helpers.runs import group, record, write_run
from helpers.tables import thinned
from PIL import Image

from mnistlab.analysis.compare import compare
from mnistlab.reporting import plots
from mnistlab.reporting.plots import Factors, Line, Series, TrainingCurve, comparison
from mnistlab.runs.figures import save_pictures
from mnistlab.sweeps.figures import choose, is_geometric

heat_maps, matrices, training_plots = (
    import_module(f"mnistlab.reporting.plots.{name}") for name in ("heat_map", "p_values", "training")
)
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


def heat(means, better_high=True, unit="validation accuracy (%)", spreads=None):
    rows, columns = np.shape(means)
    batches = [str(2**i) for i in range(columns)]
    return plots.heat_map(("optimizer", names(rows)), ("batch", batches), np.array(means), unit, better_high, spreads)


def line(name, x, runs=3, labels=()):
    return Line(x, series(len(x), runs, name), labels)


def p_of(count):
    p = np.linspace(0, 1, count * count).reshape(count, count)
    np.fill_diagonal(p, NAN)
    return np.minimum(p, p.T)


def training(name="sgd", epochs=3):
    epoch = np.arange(1, epochs + 1)
    return TrainingCurve(name, 1.25 / epoch, 1 - 0.5 / epoch, seconds=0.5 * epoch)


def of_two_factors(stopped=()):
    """Three rates and two inits, each with a band of a tenth of a point on either side."""
    curves = []
    for i, lr in enumerate(("0.1", "0.5", "1")):
        for j, init in enumerate(("kaiming", "random")):
            one = training(f"{lr} {init}", 5)
            band = (one.accuracy - 0.001, one.accuracy + 0.001)
            losses = (one.loss * 0.9, one.loss * 1.1)
            curves.append(
                one._replace(loss_range=losses, accuracy_range=band, look=(i, j), stopped=one.name in stopped)
            )
    return curves, Factors("lr", ["0.1", "0.5", "1"], "init", ["kaiming", "random"])


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
        ["accuracy (%) over optimizer and batch, from 90.00 to 92.50. Best: optimizer=$x$, batch=2 with 92.50."],
    ),
    "heat map, small is better": (
        lambda: heat([[0.5, 0.75], [0.25, 1.0]], better_high=False, unit="test loss"),
        ["from 0.250 to 1.000. Best: optimizer=_, batch=1 with 0.250."],
    ),
    "heat map, with holes": (lambda: heat([[NAN, 92.5, NAN], [90.0, NAN, NAN]]), ["from 90.00 to 92.50", "batch=2"]),
    "heat map, one cell": (lambda: heat([[90.0]]), ["from 90.00 to 90.00"]),
    "heat map, all equal": (lambda: heat([[90.0] * 3] * 2), ["from 90.00 to 90.00. Best: optimizer=$x$, batch=1"]),
    "heat map, one row": (lambda: heat([[90.0] * 9 + [91.0]]), ["batch=512 with 91.00."]),
    "heat map, many": (lambda: heat(np.arange(300.0).reshape(25, 12)), ["from 0.00 to 299.00"]),
    "heat map, with spreads": (
        lambda: heat([[91.0, 92.5]], spreads=[[0.25, NAN]]),
        ["with 92.50.", "\u00b1: half-width of its 95 % confidence interval."],
    ),
    "heat map, nothing": (lambda: heat([[NAN, NAN]]), ["No run was completed."]),
    "lines": (
        lambda: plots.lines("lr", [line("a", [0.1, 1, 10]), line("b", [0.1, 1])], "accuracy (%)", True, "init"),
        ["accuracy (%) against lr. a: 0.1: 97 +/- 0.25, 1: 96 +/- 0.25, 10: 95 +/- 0.25. b: 0.1: 97"],
    ),
    "lines, one with labels": (
        lambda: plots.lines("parameters", [line("all", [1e4, 2e5], 1, ["[8,8]", "[64,32]"])], "test loss", True),
        ["test loss against parameters. 10000: 97, 200000: 96."],
    ),
    "lines, hostile": (
        lambda: plots.lines("$x$", [line(n, [1, 2]) for n in HOSTILE], "%", False, "\n"),
        ["$x$. $x$: 1"],
    ),
    "lines, nothing": (lambda: plots.lines("x", [], "accuracy (%)", False), ["No run was completed."]),
    "p values": (
        lambda: plots.p_values(["a", "b", "c", "d"], p_of(4), "validation accuracy", 6),
        ["every pair of 4 settings, corrected for 6 pairs: 0 of 6 pairs"],
    ),
    "p values, many": (lambda: plots.p_values(names(40), p_of(40), "$x$", 780), ["of 780 pairs that were tested"]),
    "p values, hostile": (lambda: plots.p_values(HOSTILE, p_of(7), "$x$", 21), ["p of the difference in $x$"]),
    "over time": (
        lambda: plots.over_time([training(), training("adam", 4)], "optimizer", "validation"),
        ["Validation accuracy over time by optimizer, last epoch. sgd: 83.33 % after 1.5 s. adam: 87.5 % after 2 s."],
    ),
    "over time, far apart": (
        lambda: plots.over_time([training(), training("slow", 900)], "optimizer", "training"),
        ["slow: 99.94 % after 450 s."],
    ),
    "over time, nothing": (
        lambda: plots.over_time([training()._replace(seconds=None)], "optimizer", "validation"),
        ["No time was recorded."],
    ),
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
    "side by side, two factors": (
        lambda: plots.side_by_side(of_two_factors(["0.1 random"])[0], "lr", "validation", of_two_factors()[1]),
        ["0.1 random: loss 0.25, accuracy 90 % (until a run stopped early in epoch 5)."],
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
    modules = (comparison, heat_maps, matrices, training_plots)
    functions = {name for one in modules for name, value in vars(one).items() if hasattr(value, "__wrapped__")}
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
    assert {"91.25", "90.00", "91.50"} <= set(shown)  # all with the same number of digits
    assert "nan" not in shown


def test_numbers_can_be_read_on_their_cells():
    def colour(picture, text):
        (found,) = [one for one in picture.figure.axes[0].texts if one.get_text() == text]
        return found.get_color()

    high, low = heat([[0.0, 1.0]]), heat([[0.0, 1.0]], better_high=False)
    assert (colour(high, "0.00"), colour(low, "1.00")) == ("white", "white")  # dark is the worst
    assert colour(high, "1.00") == colour(low, "0.00") != "white"


def extent(picture, text):
    """Return the left and right end of a text, as fractions of the width of the picture."""
    from matplotlib.text import Text

    figure = picture.figure
    (found,) = [one for one in figure.findobj(Text) if one.get_text() == text]
    box = found.get_window_extent(figure.canvas.get_renderer())
    return box.x0 / figure.bbox.width, box.x1 / figure.bbox.width


def test_a_heat_map_says_what_its_colours_and_its_spreads_are():
    picture = heat([[91.0, 92.5]] * 4, spreads=np.array([[0.25, 0.5]] * 4))
    assert "91.00\n\u00b1 0.25" in texts(picture)
    assert picture.figure.axes[1].get_ylabel() in ("validation accuracy (%)", "%")
    assert heat_maps.SPREAD in texts(picture)
    assert heat_maps.SPREAD not in texts(heat([[91.0, 92.5]]))


@pytest.mark.parametrize("columns", [1, 2, 9])
def test_the_title_of_a_narrow_heat_map_is_not_cut_off(columns):
    unit = "balanced accuracy, mean over the folds"
    low, high = extent(heat([[0.5] * columns] * 2, unit=unit, spreads=np.full((2, columns), 0.01)), unit)
    assert low > 0
    assert high < 1


def test_error_bars_of_shares_stay_between_0_and_100():
    wide = Series("accuracy", [99.5, 2.0], [30.0, 30.0], [[99.5], [2.0]])
    bars = against([1, 2], wide).figure.axes[0].containers[0].lines[2][0].get_segments()
    assert [[float(y) for _, y in one] for one in bars] == [[69.5, 100.0], [0.0, 32.0]]
    ranked = plots.ranking_of_settings(["a", "b"], [wide], "accuracy (%)").figure.axes[0].containers[0]
    assert [[float(x) for x, _ in one] for one in ranked.lines[2][0].get_segments()] == [[69.5, 100.0], [0.0, 32.0]]
    loss = against([1, 2], wide, unit="test loss").figure.axes[0].containers[0].lines[2][0].get_segments()
    assert [float(y) for _, y in loss[0]] == [69.5, 129.5]


def test_one_factor_has_the_colours_and_the_other_the_dashes():
    curves, factors = of_two_factors(["0.5 kaiming"])
    picture = plots.side_by_side(curves, "lr and init", "validation", factors)
    lines = [line for line in picture.figure.axes[1].get_lines() if len(line.get_xdata()) > 1]
    assert len({line.get_color() for line in lines}) == 3
    assert [line.get_linestyle() for line in lines] == ["-", "--"] * 3
    titles = [legend.get_title().get_text() for legend in picture.figure.legends]
    assert titles == ["lr", "init"]
    assert [text.get_text() for text in picture.figure.legends[1].get_texts()] == ["kaiming", "random"]
    assert len(picture.figure.axes[1].collections) == 6  # the bands
    (cross,) = [line for line in picture.figure.axes[1].get_lines() if line.get_marker() == "x"]
    assert list(cross.get_xdata()) == [5]
    assert f"{training_plots.BANDS}; {training_plots.STOPPED}" in texts(picture)


def test_an_insignificant_p_is_pale_and_a_pair_without_a_test_is_empty():
    p = np.array([[NAN, 0.0004, 0.03, NAN], [0.0004, NAN, 0.4, 1.0], [0.03, 0.4, NAN, 0.008], [NAN, 1.0, 0.008, NAN]])
    picture = plots.p_values(["a", "b", "c", "d"], p, "validation accuracy", 6)
    axes = picture.figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == [".008", ".030", ".400", "1.000", "<.001"]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 4
    assert picture.alt.endswith("3 of 5 pairs that were tested differ at the level 0.05.")


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
    assert chosen(records) == ["ranking", "heat_map", "against_o.lr", "training"]


def test_three_settings_are_ranked():
    records = [record(0, 0.9, {"a": a, "b": b, "c.x": c}) for a in "pq" for b in "rs" for c in (1, 2)]
    assert chosen(records) == ["ranking", "training"]


@pytest.mark.parametrize("keys", [("model.hidden",), ("model.hidden.0", "model.hidden.1")])
def test_sizes_of_two_hidden_layers_have_a_curve_over_parameters(keys):
    sizes = [(8, 4), (32, 16), (128, 64), (128, 16)]
    records = [
        record(0, 0.9, dict(zip(keys, size if len(keys) > 1 else [list(size)], strict=True)),
               parameters=784 * size[0] + size[0] * size[1])
        for size in sizes
    ]  # fmt: skip
    (picture,) = [draw() for name, draw in choose(compare(records)) if name == "against_parameters"]
    assert picture.alt.startswith("accuracy (%) against parameters. 6304: 90, ") or picture.alt.startswith(
        "validation accuracy (%) against parameters. 6304: 90, "
    )
    expected = "[128,64]" if len(keys) == 1 else "128 64"
    assert expected in texts(picture)
    assert picture.figure.axes[0].get_xscale() == "log"


def test_units_alone_have_their_own_axis_and_need_no_other():
    records = [record(0, 0.9, {"model.units": n}, parameters=n * 800) for n in (8, 16, 32)]
    assert "against_parameters" not in chosen(records)


def test_beside_sizes_another_setting_has_a_line_of_its_own():
    records = [
        record(0, 0.9, {"model.hidden": [n], "init": init}, parameters=n * 800) for n in (8, 16, 32) for init in "ab"
    ]
    (picture,) = [draw() for name, draw in choose(compare(records)) if name == "against_parameters"]
    assert "init=a: 6400: 90, 12800: 90, 25600: 90. init=b: 6400: 90" in picture.alt


def test_four_settings_and_more_have_a_matrix_of_p():
    records = [one for init in "abcd" for one in group({"init": init}, [0.9, 0.8, 0.7])]
    assert chosen(records) == ["ranking", "p_values", "training"]


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
        "validation accuracy (%) over optimizer and lr.x, from 50.00 to 91.00. Best: optimizer=adam, lr.x=0.01 with "
        f"91.00 \u00b1 12.71. {heat_maps.SPREAD}."
    )
    axes = heat_map.figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.01", "0.1", "0.5"]
    assert sorted(text.get_text() for text in axes.texts) == ["50.00", "87.50", "91.00\n\u00b1 12.71"]


def test_runs_without_a_history_are_not_drawn():
    records = [record(0, 0.9, {"init": init}, place="nowhere") for init in "ab"]
    assert drawn(compare(records))["training"] == "No run was completed."


def histories(place, *tables):
    """Write runs with these rows of history.csv, and return their records."""
    for i, rows in enumerate(tables):
        write_run(place / str(i))
        (place / str(i) / "history.csv").write_text("epoch,train_loss,train_accuracy,val_accuracy,seconds\n" + rows)
    return [record(i, 0.9, {"init": "a"}, place=str(place / str(i))) for i in range(len(tables))]


def test_a_curve_ends_and_is_marked_where_its_first_run_ends(tmp_path):
    """The mean of the runs that go on would be that of runs chosen by how they trained."""
    records = histories(
        tmp_path, "1,1.0,0.5,0.25,1\n2,0.5,0.5,0.5,1\n", "1,2.0,0.5,0.75,2\n2,1,0.5,1,2\n3,0.25,0.5,0.875,2\n"
    )
    found = drawn_pictures(compare([*records, record(0, 0.8, {"init": "b"})]))
    assert found["training"].alt == (
        "Training by init, last epoch. a: loss 0.75, accuracy 75 % (until a run stopped early in epoch 2)."
    )
    for axes, values, low, high in zip(
        found["training"].figure.axes,
        ([1.5, 0.75], [50.0, 75.0]),
        ([1, 0.5], [25, 50]),
        ([2, 1], [75, 100]),
        strict=True,
    ):
        line, cross = axes.get_lines()
        assert list(line.get_ydata()) == values
        assert (cross.get_marker(), list(cross.get_xdata())) == ("x", [2])
        corners = axes.collections[0].get_paths()[0].vertices
        assert {(1, low[0]), (2, low[1]), (1, high[0]), (2, high[1])} <= {tuple(corner) for corner in corners}
    # after 1 and 2 seconds of one run, 2 and 4 of the other
    assert found["accuracy_over_time"].alt == (
        "Validation accuracy over time by init, last epoch. a: 75 % after 3 s (until a run stopped early in epoch 2)."
    )
    assert list(found["accuracy_over_time"].figure.axes[0].get_lines()[0].get_xdata()) == [1.5, 3.0]


def test_runs_of_equal_length_are_not_marked_unless_they_stopped_early(tmp_path):
    rows = "1,1.0,0.5,0.25,1\n2,0.5,0.5,0.5,1\n"
    records = histories(tmp_path, rows, rows)
    other = record(0, 0.8, {"init": "b"})
    assert "stopped early" not in drawn(compare([*records, other]))["training"]
    early = [record(i, 0.9, {"init": "a"}, place=str(tmp_path / str(i)), stopped_early=True) for i in range(2)]
    assert "stopped early in epoch 2" in drawn(compare([*early, other]))["training"]


def drawn_pictures(comparison):
    return {name: draw() for name, draw in choose(comparison)}


def test_without_a_validation_part_the_accuracy_in_training_is_drawn(tmp_path):
    for init in "ab":
        write_run(tmp_path / init)
        (tmp_path / init / "history.csv").write_text("epoch,train_loss,train_accuracy,val_accuracy\n1,1.0,0.625,\n")
    records = [record(0, 0.9, {"init": init}, place=str(tmp_path / init), validation={}) for init in "ab"]
    (picture,) = [draw() for name, draw in choose(compare(records)) if name == "training"]
    assert picture.figure.axes[1].get_title(loc="left") == "training accuracy (%)"
    assert picture.alt.startswith("Training by init, last epoch. a: loss 1, accuracy 62.5 %.")
