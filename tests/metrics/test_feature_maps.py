"""Feature maps and occlusion: the arrays, and when a run writes and draws them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mnistlab.metrics.feature_maps import feature_maps
from mnistlab.metrics.occlusion import occlude, patch_side
from mnistlab.models.model_file import load_model
from mnistlab.nn.architectures import layer
from mnistlab.nn.losses import LOSSES
from mnistlab.nn.network import Network

Train = Callable[..., Path]
SMALL = "model.layers=[{conv: {filters: 2, kernel: 3}}, relu, maxpool, {conv: {filters: 3, kernel: 3}}, tanh, flatten]"


def network(*layers: Any, shape: tuple[int, int] = (6, 6)) -> Network:
    made = Network([layer(one) for one in layers], shape, LOSSES["cross_entropy"](3))
    made.theta[:] = np.random.default_rng(0).standard_normal(made.theta.size)
    return made


def images(n: int, height: int = 6, width: int = 6) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, height, width), dtype=np.uint8)


def test_a_map_is_the_output_of_its_layer_with_the_activation_that_follows() -> None:
    made = network({"conv": {"filters": 2, "kernel": 3}}, "relu", {"maxpool": {}}, "flatten", {"dense": {"units": 3}})
    shown = images(5)
    found = feature_maps(made, shown)
    assert list(found) == ["layer 1 conv, relu", "layer 3 maxpool"]
    w, b = made.layers[0].params["W"][..., 0], made.layers[0].params["b"]
    windows = np.lib.stride_tricks.sliding_window_view(shown / np.float32(255), (3, 3), axis=(1, 2))
    convolved = np.maximum(0, np.einsum("npqij,fij->nfpq", windows, w) + b[:, None, None])
    np.testing.assert_allclose(found["layer 1 conv, relu"], convolved, atol=1e-5)
    pooled = convolved.reshape(5, 2, 2, 2, 2, 2).max(axis=(3, 5))
    np.testing.assert_allclose(found["layer 3 maxpool"], pooled, atol=1e-5)


def test_batch_normalisation_belongs_to_its_convolution_and_vectors_are_no_maps() -> None:
    conv = {"conv": {"filters": 3, "kernel": 3}}
    made = network(conv, "batchnorm", "tanh", "avgpool", "globalavgpool")
    assert list(feature_maps(made, images(1))) == ["layer 1 conv, batchnorm, tanh", "layer 4 avgpool"]


def test_a_dense_network_has_no_maps() -> None:
    assert feature_maps(network("flatten", {"dense": {"units": 3}}), images(1)) == {}


@pytest.mark.parametrize(
    ("size", "side"), [((28, 28), 5), ((8, 8), 3), ((2, 2), 2), ((1, 5), 1), ((56, 40), 7), ((224, 224), 40)]
)
def test_the_patch_is_a_fixed_share_of_the_image(size: tuple[int, int], side: int) -> None:
    assert patch_side(*size) == side


def brightness_of_a_corner(shown: np.ndarray) -> np.ndarray:
    """A model whose p(class 1) is the share of white among the upper left 2 x 2 pixels."""
    p = shown[:, :2, :2].mean(axis=(1, 2)) / 255
    return np.stack((1 - p, p), axis=1)


def test_covering_what_counts_lowers_the_probability_and_covering_the_rest_does_not() -> None:
    white = np.full((2, 8, 8), 255, np.uint8)
    drops = occlude(brightness_of_a_corner, white, np.array([1, 0]), 0)
    # The patch has 3 x 3 pixels, and its centre is pixel (r, c): it covers rows r - 1 to r + 1.
    expected = np.zeros((8, 8))
    expected[:2, :2] = 1.0  # all four pixels
    expected[2, :2] = expected[:2, 2] = 0.5
    expected[2, 2] = 0.25
    np.testing.assert_allclose(drops[0], expected)
    np.testing.assert_allclose(drops[1], -expected)  # the other class gains what this one loses
    assert not occlude(brightness_of_a_corner, white, np.array([1, 0]), 255).any()  # a patch that is not seen
    np.testing.assert_array_equal(white, 255)


@pytest.mark.parametrize(
    ("size", "grid"), [((28, 28), (14, 14)), ((8, 8), (8, 8)), ((1, 5), (1, 5)), ((17, 64), (9, 16))]
)
def test_there_are_at_most_16_places_in_each_direction(size: tuple[int, int], grid: tuple[int, int]) -> None:
    shown = images(3, *size)
    assert occlude(brightness_of_a_corner, shown, np.array([0, 1, 0]), 0).shape == (3, *grid)
    assert occlude(brightness_of_a_corner, shown[:0], np.array([], int), 0).shape == (0, *grid)


def test_every_part_of_the_image_is_covered_by_the_patch_somewhere() -> None:
    for side in (1, 5, 8, 17, 28, 29, 100):
        seen = np.zeros((1, side, side), bool)

        def watch(shown: np.ndarray, seen: np.ndarray = seen) -> np.ndarray:
            seen[0] |= (shown == 9).any(axis=0)
            return np.full((len(shown), 2), 0.5)

        occlude(watch, np.zeros((1, side, side), np.uint8), np.array([0]), 9)
        assert seen.all()


def maps_of(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / "feature_maps.npz", allow_pickle=False) as saved:
        return {name: saved[name] for name in saved.files}


def pictures(run: Path) -> set[str]:
    return {path.stem for path in run.glob("plots/*.png")}


@pytest.mark.slow
def test_the_maps_of_the_images_asked_for(train: Train) -> None:
    run = train("model=cnn_simple", SMALL, "report.plots=core", "report.images=[7,0,7]")
    saved = maps_of(run)
    assert saved["rows"].tolist() == [7, 0]
    assert saved["layers"].tolist() == ["layer 1 conv, relu", "layer 3 maxpool", "layer 4 conv, tanh"]
    assert [saved[f"maps_{i}"].shape for i in range(3)] == [(2, 2, 26, 26), (2, 2, 13, 13), (2, 3, 11, 11)]
    with np.load(run / "predictions.npz", allow_pickle=False) as of_test:
        assert saved["truths"].tolist() == of_test["labels"][[7, 0]].tolist()
        assert saved["probabilities"].tolist() == of_test["probabilities"][[7, 0]].max(axis=1).tolist()
    model, _ = load_model(run / "model.safetensors")
    np.testing.assert_allclose(saved["maps_0"], feature_maps(model, saved["images"])["layer 1 conv, relu"], atol=1e-5)
    assert {"feature_maps_0", "feature_maps_7", "filters_1"} <= pictures(run)
    assert not {"filters_4", "occlusion", "weights"} & pictures(run)


def test_no_pictures_no_maps(train: Train) -> None:
    run = train("model=cnn_simple", SMALL, "report.images=[0]")
    assert not {"feature_maps.npz", "occlusion.npz", "plots"} & {path.name for path in run.iterdir()}


@pytest.mark.slow
def test_a_dense_network_draws_no_maps_and_says_so(command: Callable[..., Any]) -> None:
    result = command("train", "experiment=smoke", "report.plots=core", "report.images=[0]", "--quiet")
    assert result.status == 0
    assert result.err == (
        "warning: report.images: this network has no convolution or pooling layer, "
        "so there are no feature maps to draw\n"
    )
    assert not list(Path().rglob("feature_maps*"))


@pytest.mark.slow
def test_the_occlusion_of_a_run_is_that_of_its_worst_mistakes(train: Train) -> None:
    run = train("report.plots=all", "model=softmax")
    with np.load(run / "occlusion.npz", allow_pickle=False) as saved, np.load(run / "mistakes.npz") as mistakes:
        assert saved["rows"].tolist() == mistakes["rows"][:6].tolist()
        assert saved["drops"].shape == (6, 14, 14)
        assert (int(saved["patch"]), int(saved["fill"])) == (5, 0)  # MNIST's background is black
        model, _ = load_model(run / "model.safetensors")
        drops = occlude(model.predict, saved["images"], saved["predictions"], 0)
        np.testing.assert_allclose(drops, saved["drops"], atol=1e-5)
