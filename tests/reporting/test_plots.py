"""The pictures: each is a valid PNG with its numbers in words, whatever the classes are called and however many."""

import sys

import numpy as np
import pandas as pd
import pytest
from helpers import processes
from helpers.tables import thinned
from PIL import Image

from mnistlab.reporting import plots

HOSTILE = [
    "$x$",
    "<b>",
    "_",
    "a very long name of a class that never ends",
    "お",
    "🙂",
    "$",
    "\udcff\n\t",
    "%s {0}",
    "",
]
rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def strings_without_arrow():
    """With pyarrow, pandas refuses the surrogates in these names; the tables of a run are files, which have none."""
    with pd.option_context("mode.string_storage", "python"):
        yield


def names(k):
    return (HOSTILE + [f"_class number {c} with a long name" for c in range(k)])[:k]


def history(epochs, validation=True):
    epoch = np.arange(1, epochs + 1)
    table = {"epoch": epoch, "step": 100 * epoch, "lr": 0.1 / epoch**2}
    table |= {"train_loss": 1.25 / epoch, "train_accuracy": 1 - 0.5 / epoch}
    if validation:
        table |= {"val_loss": 1.5 / epoch, "val_accuracy": 1 - 0.75 / epoch}
    return pd.DataFrame(table)


def matrix(k, right=90):
    counts = rng.integers(0, 3, (k, k))
    np.fill_diagonal(counts, right)
    counts[0, 1] = 7
    return counts


def roc_table(curves, scores):
    x = np.linspace(0, 1, 50)
    return pd.concat([pd.DataFrame({"curve": c, "fpr": x, "tpr": x ** (1 / scores[c] - 1)}) for c in curves])


def pr_table(curves, scores):
    x = np.linspace(0, 1, 50)
    return pd.concat([pd.DataFrame({"curve": c, "recall": x, "precision": 1 - (1 - scores[c]) * x}) for c in curves])


def areas(k, lowest=0.9):
    return dict(zip(names(k), np.linspace(0.999, lowest, k), strict=True)) | {"micro": 0.9812, "macro": 0.9734}


def norms_table(epochs=3):
    return pd.DataFrame(
        [
            {"epoch": e, "layer": layer, "weight_norm": 5.25 + e, "grad_norm": 0.5 / (e + 1)}
            for e in range(epochs)
            for layer in ("dense1", "$x$")
        ]
    )


def levels_table(count, members=()):
    accuracy = 0.9 / (1 + np.arange(count) / 8)
    table = pd.DataFrame({"level": 0.1 * np.arange(count), "n": 1000, "accuracy": accuracy, "loss": 1.0})
    table = table.assign(low=accuracy - 0.02, high=accuracy + 0.02)
    return table.assign(**{f"accuracy_{name}": accuracy - 0.02 for name in members})


def images(n, h=28, w=28):
    return rng.integers(0, 256, (n, h, w), dtype=np.uint8)


def activation():
    x = np.linspace(-4, 4, 81)
    return x, np.tanh(x), 1 - np.tanh(x) ** 2


def picture_of_mistakes(k, n=25, shape=(28, 28)):
    truths, predictions = np.arange(n) % k, (np.arange(n) + 1) % k
    return plots.mistakes(images(n, *shape), truths, predictions, np.linspace(0.987, 0.5, n), names(k))


def picture_of_maps(layers, shape=(28, 28), k=10):
    return plots.feature_maps(images(1, *shape)[0], 1, 0, 0.8125, layers, names(k), "test image 7")


def picture_of_covering(n, shape=(28, 28), grid=(14, 14), patch=5):
    drops = rng.uniform(-0.2, 0.5, (n, *grid))
    drops[:, 1, 1] = 0.625
    truths, predictions = np.arange(n), np.arange(n) + 1
    return plots.occlusion(images(n, *shape), truths, predictions, np.linspace(0.987, 0.5, n), drops, patch, names(10))


def shares(count):
    share = 0.5 ** np.arange(1, count + 1)
    return share / share.sum()


def picture_of_points(k, n=200, names_of=names):
    scores, labels = rng.normal(size=(n, 3)), np.arange(n) % k
    centres = {c: scores[labels == c].mean(axis=0) for c in range(k)}
    return plots.scatter(scores, labels, centres, shares(8), names_of(k), 5000)


def letters(k):
    return [chr(ord("!") + c) for c in range(k)]  # among them $ and %


def panel(title, k, points, regions=None):
    x = np.linspace(-2, 2, 40)
    classes = np.add.outer(np.arange(40), np.arange(40)) * (regions or k) // 79
    named = np.array([[c, -1.9 + c / k, 1.9] for c in range(min(k, 3))])
    chance = np.linspace(1 / k, 1, 1600).reshape(40, 40)
    return plots.Panel(title, 0.625, x, x, classes, chance, named, np.arange(points) % k)


def picture_of_regions(panels, k, points=60, names_of=names):
    drawn = [panel(f"$x$ model {i}", k, points) for i in range(panels)]
    return plots.decision_regions(
        drawn, rng.normal(size=(points, 2)), np.arange(points) // 2 % k, names_of(k), shares(2)
    )


CASES = {
    "curves": (
        lambda: plots.curves(history(10), best_epoch=7),
        ["10 epochs", "1.25 to 0.125", "92.5 %", "best in epoch 7"],
    ),
    "curves, one epoch": (lambda: plots.curves(history(1)), ["1 epoch.", "1.25"]),
    "curves, no validation": (lambda: plots.curves(history(40, validation=False)), ["40 epochs"]),
    "curves, validation not a number": (
        lambda: plots.curves(history(3).assign(val_loss=np.nan, val_accuracy=np.nan)),
        ["3 epochs"],
    ),
    "curves, diverged": (
        lambda: plots.curves(history(3).assign(train_loss=[1, 2e9, np.inf], lr=0.0)),
        ["from 1 to 2e+09"],
    ),
    "curves, nothing": (lambda: plots.curves(history(0)), ["No epoch"]),
    "confusion": (
        lambda: plots.confusion(matrix(10), names(10), False, "Test $x$"),
        ["10 classes", "predicted as <b>: 7 times"],
    ),
    "confusion, one class": (lambda: plots.confusion([[5]], ["only"]), ["5 of 5 correct (100.00 %)"]),
    "confusion, two classes": (
        lambda: plots.confusion([[90, 10], [0, 0]], ["cat", "dog"], True),
        ["90 of 100 correct (90.00 %)", "cat predicted as dog: 10.0 % (10)"],
    ),
    "confusion, all in one column": (lambda: plots.confusion([[0, 4], [0, 4]], ["a", "b"]), ["4 of 8"]),
    "confusion, 47 classes": (lambda: plots.confusion(matrix(47), names(47), True), ["47 classes"]),
    "confusion, nothing": (lambda: plots.confusion(np.zeros((2, 2), int), ["a", "b"]), ["no images"]),
    "roc": (lambda: plots.roc(roc_table(areas(10), areas(10)), areas(10)), ["micro average 0.9812", "macro", "0.9000"]),
    "roc, two good classes": (
        lambda: plots.roc(roc_table(areas(2, 0.99), areas(2)), areas(2, 0.99)),
        ["0.9812", "0.9900"],
    ),
    "roc, 47 classes": (lambda: plots.roc(roc_table(areas(47), areas(47)), areas(47)), ["0.9812", "0.9000"]),
    "roc, undefined": (
        lambda: plots.roc(roc_table(["micro"], {"micro": 0.9}), {"a": None, "micro": 0.9, "macro": None}),
        ["micro average 0.9000"],
    ),
    "roc, nothing": (lambda: plots.roc(pd.DataFrame(columns=["curve", "fpr", "tpr"]), {}), ["one class only"]),
    "precision-recall": (
        lambda: plots.precision_recall(pr_table([*names(10), "micro"], areas(10)), areas(10)),
        ["micro average 0.9812", "macro average 0.9734"],
    ),
    "precision-recall, 47 classes": (
        lambda: plots.precision_recall(pr_table([*names(47), "micro"], areas(47, 0.96)), areas(47, 0.96)),
        ["0.9600"],
    ),
    "robustness": (
        lambda: plots.robustness(levels_table(5), "noise", "standard deviation", images(5)),
        [
            "noise (standard deviation), 1,000 images: "
            "90.00 % at 0 (95 % confidence interval 88.00 to 92.00); 80.00 % at 0.1"
        ],
    ),
    "robustness, ensemble": (
        lambda: plots.robustness(levels_table(20, HOSTILE), "rotation", "degrees", images(20)),
        ["rotation (degrees)", "An ensemble of 10", "at 1.9 its members: $x$", ", ..."],
    ),
    "robustness, one level": (
        lambda: plots.robustness(levels_table(1, ["a", "b"]), "noise", "$x$", images(1, 8, 20)),
        ["An ensemble of 2; at 0 its members: a 88.00 %, b 88.00 %."],
    ),
    "robustness, nothing": (lambda: plots.robustness(levels_table(0), "noise", "", images(0)), ["No level"]),
    "mistakes": (lambda: picture_of_mistakes(10), ["25 most confident", "$x$ predicted as <b> (0.987)"]),
    "mistakes, one": (lambda: picture_of_mistakes(2, n=1), ["0.987"]),
    "mistakes, wide images": (lambda: picture_of_mistakes(47, shape=(8, 20)), ["0.987"]),
    "mistakes, none": (lambda: picture_of_mistakes(2, n=0), ["No mistakes"]),
    "weights": (lambda: plots.weights(rng.normal(size=(75, 28, 28))), ["64 of 75 units"]),
    "weights, one unit of zeros": (lambda: plots.weights(np.zeros((1, 8, 8))), ["1 unit", "from 0 to 0"]),
    "weights, none": (lambda: plots.weights(np.zeros((0, 8, 8))), ["no first-layer weights"]),
    "filters": (
        lambda: plots.filters(rng.normal(size=(6, 5, 5, 1)), "layer 1 conv"),
        ["Filters of layer 1 conv, 5 x 5 pixels: 6 filters."],
    ),
    "filters, more than fit": (lambda: plots.filters(rng.normal(size=(75, 3, 3, 1)), "$x$"), ["64 of 75 filters"]),
    "filters, several channels": (
        lambda: plots.filters(rng.normal(size=(16, 5, 5, 6)), "layer 4 conv"),
        ["16 filters x 6 channels"],
    ),
    "filters, more channels than fit": (
        lambda: plots.filters(rng.normal(size=(64, 3, 3, 32)), "layer 4 conv"),
        ["16 of 64 filters x 16 of 32 channels"],
    ),
    "filters, one of one pixel and zero": (
        lambda: plots.filters(np.zeros((1, 1, 1, 1)), "layer 1 conv"),
        ["1 filter. Weights from 0 to 0"],
    ),
    "feature maps": (
        lambda: picture_of_maps(
            {"layer 1 conv, relu": np.full((6, 28, 28), 0.5), "layer 3 maxpool": rng.normal(size=(16, 14, 14))}
        ),
        ["test image 7: truth <b>, prediction $x$ (0.812)", "layer 1 conv, relu: 6 maps of 28 x 28, from 0.5 to 0.5"],
    ),
    "feature maps, more than fit": (
        lambda: picture_of_maps({f"layer {i} $x$": rng.normal(size=(120, 3, 3)) for i in range(12)}),
        ["10 of 12 layers", "32 of 120 maps of 3 x 3"],
    ),
    "feature maps, all zero": (
        lambda: picture_of_maps({"layer 1 conv": np.zeros((7, 1, 1))}),
        ["7 maps of 1 x 1, 7 of them zero everywhere, from 0 to 0"],
    ),
    "feature maps, wide images": (
        lambda: picture_of_maps({"layer 1 conv": rng.normal(size=(3, 8, 40))}, shape=(8, 40)),
        ["3 maps of 8 x 40"],
    ),
    "feature maps, none": (lambda: picture_of_maps({}), ["no layer with feature maps"]),
    "occlusion": (lambda: picture_of_covering(6), ["6 mistakes with a patch of 5 x 5", "<b> by up to 0.625"]),
    "occlusion, one, wide images": (
        lambda: picture_of_covering(1, (8, 20), (8, 10), 3),
        ["1 mistake with a patch of 3 x 3"],
    ),
    "occlusion, none": (lambda: picture_of_covering(0), ["No mistakes"]),
    "scree": (lambda: plots.scree(shares(64)), ["50.00, 25.00, 12.50, 6.25, 3.12, to 0.00"]),
    "scree, one component": (lambda: plots.scree(np.ones(1)), ["component: 100.00, to 100.00."]),
    "scree, nothing": (lambda: plots.scree(np.zeros(0)), ["no components"]),
    "cumulative": (
        lambda: plots.cumulative(np.cumsum(shares(64)), {0.8: 3, 0.9: 4}),
        ["of 64 components: 80 % by 3, 90 % by 4."],
    ),
    "cumulative, one component": (lambda: plots.cumulative(np.ones(1), {0.8: 1}), ["80 % by 1"]),
    "cumulative, nothing": (lambda: plots.cumulative(np.zeros(0), {}), ["no components"]),
    "scatter": (lambda: picture_of_points(10), ["200 of 5,000 images in the plane", "75.29 % of", "classes: $x$ ("]),
    "scatter, characters": (lambda: picture_of_points(10, names_of=letters), ["Means of the classes: ! ("]),
    "scatter, 47 classes": (lambda: picture_of_points(47), [", ...."]),
    "scatter, one point": (lambda: picture_of_points(1, n=1), ["1 of 5,000 images"]),
    "scatter, nothing": (lambda: picture_of_points(0, n=0), ["no points"]),
    "scatter 3d": (
        lambda: plots.scatter_3d(rng.normal(size=(99, 3)), np.arange(99) % 10, shares(8), names(10), 5000),
        ["99 of 5,000 images in the space of the first 3 components", "87.84 %"],
    ),
    "scatter 3d, characters": (
        lambda: plots.scatter_3d(rng.normal(size=(99, 3)), np.arange(99) % 47, shares(8), letters(47), 5000),
        ["99 of 5,000"],
    ),
    "scatter 3d, one point": (
        lambda: plots.scatter_3d(np.zeros((1, 3)), np.zeros(1, int), shares(3), ["a"], 1),
        ["1 of 1 images"],
    ),
    "scatter 3d, nothing": (lambda: plots.scatter_3d(np.zeros((0, 3)), [], shares(3), ["a"], 1), ["no points"]),
    "eigenimages": (
        lambda: plots.eigenimages(images(1)[0], rng.normal(size=(40, 28, 28)), shares(64)),
        ["per cent: 50.00, 25.00, 12.50"],
    ),
    "eigenimages, one of zeros, wide": (
        lambda: plots.eigenimages(np.zeros((8, 20)), np.zeros((1, 8, 20)), np.ones(1)),
        ["per cent: 100.00."],
    ),
    "decision regions": (
        lambda: picture_of_regions(1, 10),
        ["60 points; training accuracy: $x$ model 0 62.50 %. 10 of 10 classes have a region."],
    ),
    "decision regions, four models": (lambda: picture_of_regions(4, 10, names_of=letters), ["$x$ model 3 62.50 %"]),
    "decision regions, nine models": (lambda: picture_of_regions(9, 2), ["model 8"]),
    "decision regions, 47 classes": (lambda: picture_of_regions(2, 47), ["of 47 classes"]),
    "decision regions, one region": (
        lambda: plots.decision_regions([panel("a", 3, 9, 1)], rng.normal(size=(9, 2)), np.zeros(9), "abc", [0.5, 0.25]),
        ["1 of 3 classes have a region"],
    ),
    "decision regions, nothing": (
        lambda: plots.decision_regions([], np.zeros((0, 2)), np.zeros(0), ["a"], [1, 0]),
        ["no model"],
    ),
    "norms": (lambda: plots.norms(norms_table()), ["dense1: weight norm 5.25 to 7.25", "grad norm 0.5 to 0.1667"]),
    "norms, zeros": (lambda: plots.norms(norms_table(1).assign(weight_norm=0.0, grad_norm=np.nan)), ["norm 0 to 0"]),
    "norms, nothing": (lambda: plots.norms(norms_table(0)), ["No norms"]),
    "class distribution": (
        lambda: plots.class_distribution({"train": [500, 400], "test": np.array([100, 100])}, ["cat", "dog"]),
        ["train: 900 images, from 400 (dog) to 500 (cat)", "test: 200 images, 100 per class"],
    ),
    "class distribution, 47 classes": (
        lambda: plots.class_distribution(pd.DataFrame({"train": np.arange(47)}), names(47)),
        ["train: 1,081 images"],
    ),
    "class distribution, empty part": (lambda: plots.class_distribution({"validation": [0, 0]}, ["a", "b"]), ["0 im"]),
    "class distribution, nothing": (lambda: plots.class_distribution({}, ["a"]), ["no images to count"]),
    "samples": (lambda: plots.samples(images(99), np.arange(99) % 10, names(10), per_class=4), ["up to 4 per class"]),
    "samples, a class without images": (lambda: plots.samples(images(3, 8, 8), np.zeros(3), ["a", "b"]), ["a 3, b 0"]),
    "samples, 47 classes": (lambda: plots.samples(images(94), np.arange(94) % 47, names(47)), ["up to 5 per class"]),
    "samples, nothing": (lambda: plots.samples(images(0), np.zeros(0), ["a"]), ["no images"]),
    "augmented": (
        lambda: plots.augmented(images(30).reshape(3, 10, 28, 28), np.array([0, 1, 9]), names(10)),
        ["3 training images", "9 augmented versions", "Rows: $x$, <b>, (no name)."],
    ),
    "augmented, wide images": (
        lambda: plots.augmented(images(8, 8, 20).reshape(2, 4, 8, 20), np.array([0, 46]), names(47)),
        ["3 augmented versions"],
    ),
    "augmented, nothing": (lambda: plots.augmented(images(0).reshape(0, 10, 28, 28), [], []), ["no images"]),
    "activations": (
        lambda: plots.activations({"tanh": activation(), "$x$": activation()}),
        ["tanh: f from -0.9993 to 0.9993, f' from 0.001341 to 1"],
    ),
    "activations, nothing": (lambda: plots.activations({}), ["no activation functions"]),
    "search history": (
        lambda: plots.search_history(
            [(0, 0.5, "completed"), (1, 0.9, "completed"), (2, 0.3, "pruned")], "validation.accuracy", True
        ),
        ["2 completed trials and 1 stopped early", "the best is 0.9, of trial 1"],
    ),
    "search history, smaller is better": (
        lambda: plots.search_history([(0, 0.5, "completed"), (1, 0.9, "completed")], "validation.loss", False),
        ["the best is 0.5, of trial 0"],
    ),
    "search history, nothing": (lambda: plots.search_history([(0, 0.5, "pruned")], "x", True), ["No trial"]),
    "importance": (
        lambda: plots.importance({"optimizer.lr": 0.9, "$x$": 0.1}, "validation.accuracy"),
        ["optimizer.lr 0.90, $x$ 0.10"],
    ),
    "importance, nothing": (lambda: plots.importance({}, "x"), ["too few completed trials"]),
}


@pytest.mark.parametrize("case", thinned(CASES, 4))
def test_every_picture_is_a_png_with_its_numbers_in_words(case, tmp_path):
    make, said = CASES[case]
    picture = make()
    plots.save(picture, tmp_path / "picture.png")
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.png", "picture.txt"]


def test_every_function_has_a_case():
    elsewhere = {"Series", "TrainingCurve", "against", "heat_map", "ranking_of_settings", "side_by_side"}
    elsewhere |= {"lines", "over_time", "p_values"}  # in the tests of sweeps
    elsewhere |= {"confusion_table", "predicted", "range_test"}  # in the tests of their commands
    functions = (
        {*plots.__all__}
        - {"Classified", "Factors", "Line", "Panel", "Picture", "pages_of", "save", "save_vector"}
        - elsewhere
    )
    cases = {case.split(",")[0].replace("-", "_").replace(" ", "_") for case in CASES}
    assert functions == cases


def texts(picture):
    from matplotlib.text import Text

    from mnistlab.reporting.plots.texts import Texts

    found = picture.figure.findobj(Text)
    return [
        one
        for text in found
        for one in ([each[2] for each in text.each] if isinstance(text, Texts) else [text.get_text()])
    ]


def test_hostile_names_are_shown_as_they_are_where_the_font_can():
    shown = texts(plots.confusion(matrix(10), names(10)))
    assert {"$x$", "<b>", "$", "%s {0}", "(no name)"} <= set(shown)
    assert "□" not in "".join(shown), "a class whose name the font lacks is shown by its number"
    assert not any(len(text) > 60 for text in shown)


def test_long_names_keep_their_end():
    shown = texts(plots.confusion(matrix(2), ["trousers of kind 1", "trousers of kind 2"]))
    assert {text for text in shown if "…" in text} == {"trousers…nd 1", "trousers…nd 2"}


def test_cells_hold_numbers_up_to_20_classes():
    assert "90" in texts(plots.confusion(matrix(20), names(20)))
    assert "90" not in texts(plots.confusion(matrix(21), names(21)))


def test_of_many_classes_the_worst_are_drawn_and_said_so():
    picture = plots.roc(roc_table(areas(47), areas(47)), areas(47))
    (legend,) = [axes.get_legend() for axes in picture.figure.axes if axes.get_legend()]
    assert len(legend.get_texts()) == 1 + 2 + 8  # chance, the averages, the worst
    assert "ROC curves: the 8 worst of 47 classes" in texts(picture)


def test_good_curves_are_enlarged():
    def zooms(lowest):
        return "the corner, enlarged" in texts(plots.roc(roc_table(areas(10), areas(10)), areas(10, lowest)))

    assert zooms(0.96)
    assert not zooms(0.94)


def test_epochs_have_whole_ticks_only():
    picture = plots.curves(history(1))
    for axes in picture.figure.axes:
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_learning_rate_is_logarithmic_where_it_spans_more_than_ten():
    def scale(lr):
        return plots.curves(history(3).assign(lr=lr)).figure.axes[-1].get_yscale()

    assert scale([0.1, 0.01, 0.001]) == "log"
    assert scale([0.1, 0.1, 0.05]) == "linear"
    assert scale([0.1, 0.01, 0.0]) == "linear"  # zero has no logarithm


def test_weights_share_one_scale_symmetric_about_zero():
    w = np.zeros((4, 5, 5))
    w[2, 1, 1] = -3.0
    drawn = plots.weights(w).figure.axes[0].get_images()[0]
    assert drawn.get_clim() == (-3.0, 3.0)


def test_tiles_stand_row_by_row():
    page = plots.weights(np.arange(1, 4)[:, None, None] * np.ones((3, 2, 2))).figure.axes[0].get_images()[0].get_array()
    # three units side by side, a column of nothing between them
    assert page.filled(0).tolist() == [[1, 1, 0, 2, 2, 0, 3, 3]] * 2


def test_filters_share_one_scale_symmetric_about_zero_and_stand_in_rows():
    w = np.zeros((2, 3, 3, 4))
    w[1, 0, 0, 3] = -3.0  # second filter, fourth channel, upper left
    axes = plots.filters(w, "layer 4 conv").figure.axes[0]
    drawn = axes.get_images()[0]
    assert drawn.get_clim() == (-3.0, 3.0)
    row, column = np.argwhere(drawn.get_array().filled(0) < 0)[0]
    assert row > drawn.get_array().shape[0] / 2
    assert column > 3 / 4 * drawn.get_array().shape[1]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "3", "4"]


def test_feature_maps_have_a_scale_a_layer_with_zero_in_it():
    layers = {"a": np.full((2, 3, 3), 5.0), "b": np.array([-2.0, 1.0])[:, None, None] * np.ones((2, 3, 3))}
    figure = picture_of_maps(layers).figure
    scales = [axes.get_images()[0].get_clim() for axes in figure.axes if axes.get_images()]
    assert scales[1:] == [(0.0, 5.0), (-2.0, 2.0)]


def test_the_heat_map_of_an_occlusion_covers_its_image():
    axes = picture_of_covering(1, (9, 20), (9, 10), 3).figure.axes[1]
    image, heat = axes.get_images()
    assert image.get_extent() == list(heat.get_extent()) == [-0.5, 19.5, 8.5, -0.5]


def test_a_class_of_one_character_is_drawn_as_it_and_others_have_a_colour_and_a_shape():
    from mnistlab.reporting.plots.markers import CLASS_COLOURS, colour_of, markers

    glyphs = markers([*"01$%"])
    assert len({path.vertices.tobytes() for path in glyphs}) == 4
    for path in glyphs:
        np.testing.assert_allclose(path.get_extents().p0 + path.get_extents().p1, 0, atol=1e-6)
    marks = [(colour_of(c), shape) for c, shape in enumerate(markers(names(47)))]
    assert len(set(marks)) == 47
    assert len({colour for colour, _ in marks[:10]}) == len(CLASS_COLOURS) == 10


def test_a_region_is_the_stronger_the_more_probable():
    from mnistlab.reporting.plots.decision_regions import _shaded

    shades = _shaded(panel("a", 2, 4), 2)
    strength = 1 - shades.min(axis=-1)
    assert strength[0, 0] == pytest.approx(0.06)
    assert strength[-1, -1] > 0.5
    assert (np.diff(strength[0]) > 0).all()


def test_right_points_are_discs_and_wrong_ones_crosses():
    from matplotlib.collections import PathCollection

    def counts(predicted):
        drawn = panel("a", 3, 9)
        drawn = plots.Panel(**{**vars(drawn), "predicted": predicted})
        picture = plots.decision_regions([drawn], rng.normal(size=(9, 2)), np.arange(9) % 3, "abc", [0.5, 0.25])
        return [len(points.get_offsets()) for points in picture.figure.axes[1].findobj(PathCollection)]

    wrong = np.arange(9) % 3
    wrong[:2] = 2
    assert counts(np.arange(9) % 3) == [0, 9]
    assert counts(wrong) == [2, 7]


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plots.save(plots.confusion([[3, 1], [0, 4]], ["a", "b"]), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_failed_save_leaves_the_old_picture(tmp_path, monkeypatch):
    picture = plots.confusion([[3, 1], [0, 4]], ["a", "b"])
    plots.save(picture, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mnistlab.system.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        plots.save(picture, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.txt"]


def test_settings_of_matplotlib_stay_as_they_were(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.save(plots.curves(history(3)), tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.process
def test_importing_is_light_and_drawing_does_without_pyplot():
    code = """
import sys
from mnistlab.reporting import plots
loaded = {"matplotlib", "pandas", "sklearn"} & set(sys.modules)
plots.confusion([[3, 1], [0, 4]], ["a", "b"])
unwanted = {"matplotlib.pyplot", "sklearn", "mnistlab.metrics.classification"} & set(sys.modules)
sys.exit(", ".join(loaded | unwanted) or 0)
"""
    processes.run([sys.executable, "-c", code], check=True)


def test_many_texts_are_the_same_picture_as_each_by_itself():
    from mnistlab.reporting.plots import style

    each = [(0.2, 0.3, "one", "red"), (0.7, 0.3, "22", "blue"), (0.5, 0.8, "", "red"), (0.5, 0.6, "three", "#222222")]
    pictures = []
    for together in (True, False):
        figure = style.new_figure(2, 2)
        axes = style.place(figure, 0, 0, 2, 2)
        if together:
            style.write(axes, each, size=8, ha="center", va="center")
        for x, y, text, colour in () if together else each:
            axes.text(x, y, text, color=colour, size=8, ha="center", va="center")
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()).copy())
    assert np.array_equal(*pictures)
    assert len(np.unique(pictures[0].reshape(-1, 4), axis=0)) > 3


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_a_vector_file_has_no_date_and_no_random_names(ending, start, tmp_path):
    for name in "ab":
        plots.save_vector(plots.curves(history(3)), tmp_path / f"{name}.{ending}")
    first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert first.startswith(start)
    assert first == second
