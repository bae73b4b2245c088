"""The images on which saved models are scored: a set of their runs' own data or of other data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omegaconf import OmegaConf

from mnistlab.config import compose, schema
from mnistlab.config.report import Plots
from mnistlab.data.class_mapping import relabel
from mnistlab.data.dataset import Dataset, Source, Split
from mnistlab.data.loading import has_own_test, load, load_all
from mnistlab.data.sources.own import OwnSource
from mnistlab.data.sources.published import NamedSource, locate
from mnistlab.inference.predict import labelled_pictures, preprocessing
from mnistlab.runs.saved_run import OwnData, SavedRun, own_data
from mnistlab.system.console import LOG
from mnistlab.system.errors import RequestError, whole
from mnistlab.system.random import stream

# settings of a source that do not affect which images are in a set; for training and validation only the scaling
INDIFFERENT = {
    "test": {"scaling", "validation", "validation_from", "limit"},
    "all": {"scaling", "validation", "validation_from"},
}


@dataclass(frozen=True)
class Choice:
    """The request: the split, overrides (``data=...``, ``seed=...``), how far to shift, and how pictures are read.

    ``way`` is that of `preprocessing.Way`, or auto.
    """

    split: str
    overrides: list[str]
    shifts: int = 0
    way: str = "auto"

    @property
    def keys(self) -> list[str]:
        """Return the keys that are set."""
        return [override.partition("=")[0].lstrip("+") for override in self.overrides]


@dataclass(frozen=True)
class Scored:
    """The images of one set, with labels in the classes of the model, and which pictures to draw.

    Predictions are averaged over all shifts of the images by up to ``shifts`` pixels.
    """

    split: str
    part: Split
    dataset: Dataset
    seed: int
    plots: Plots
    shifts: int = 0


def choose_images(choice: Choice, runs: Sequence[SavedRun]) -> Scored:
    """Return the images to score, checked against the models, so that the request is valid after this."""
    source, seed, plots = _resolve(choice, runs)
    with schema.prefixed("data"):
        source = _prepared(choice.way, source, runs[0])
    dataset, part = _load(choice.split, source, seed)
    _check_size(dataset, source, runs[0])
    try:
        part = relabel(part, dataset.class_names, runs[0].class_names)
    except RequestError as error:
        cure = ""
        if hasattr(source, "class_names"):
            cure = "; if they are the model's classes, name them alike with data.class_names=[...]"
        raise RequestError(f"data={dataset.name}: {error}{cure}") from None
    _warn(choice, runs, source, dataset, seed)
    if choice.shifts >= min(part.images.shape[1:]):
        height, width = part.images.shape[1:]
        raise RequestError(
            f"--shifts {choice.shifts}: this shifts images of {height} x {width} pixels out of the frame; use less"
        )
    return Scored(choice.split, part, dataset, seed, plots, choice.shifts)


def _resolve(choice: Choice, runs: Sequence[SavedRun]) -> tuple[Source, int, Plots]:
    """Return the source of the images, the seed of its split, and which pictures to draw."""
    if "data" in choice.keys:
        experiment = schema.experiment(compose.compose(choice.overrides))
        run_seed = next((run.seed for run in runs if run.seed is not None), 0)
        return experiment.data, experiment.seed if "seed" in choice.keys else run_seed, experiment.report.plots
    own = _common_data(choice, runs)
    if not choice.overrides:
        return own.source(), own.seed, Plots.core
    cfg = compose.compose([f"data={own.option}", *choice.overrides])
    schema.reject_unknown_keys(cfg)
    changes = {key.removeprefix("data."): OmegaConf.select(cfg, key) for key in choice.keys if key.startswith("data.")}
    seed = whole("seed", cfg.seed, 0, "the seed") if "seed" in choice.keys else own.seed
    return own.source(**changes), seed, cfg.report.plots


def _prepared(way: str, source: Source, run: SavedRun) -> Source:
    """Return a folder of photographs with its pictures prepared as in `mnistlab predict`; other data as it is."""
    if not isinstance(source, OwnSource) or not labelled_pictures.are_pictures(source):
        if way not in ("auto", "raw"):
            raise RequestError(f"--as {way}: only the pictures of data=folder can be prepared; leave it out")
        return source
    style, shape = preprocessing.style_of_run(run, way, several=False), run.network.image_shape
    if way == "raw" or (way == "auto" and style.way is not preprocessing.Way.digit):
        return source
    if way == "auto" and labelled_pictures.are_like_the_dataset(source, shape):
        return source
    return labelled_pictures.prepared(source, style, shape)


def _common_data(choice: Choice, runs: Sequence[SavedRun]) -> OwnData:
    """Return the data on which all runs were trained; settings that affect the images of the set must be equal."""
    own_data_of_runs = [own_data(run) for run in runs]
    first = own_data_of_runs[0]
    ignored = INDIFFERENT.get(choice.split, {"scaling"}) | {key.removeprefix("data.") for key in choice.keys}
    for run, own in zip(runs, own_data_of_runs, strict=True):
        both = f"{runs[0].given} and {run.given}"
        if own.option != first.option:
            raise RequestError(
                f"{both} were trained on different data (data={first.option} and data={own.option});"
                " choose one to evaluate with data=..."
            )
        for key in first.settings | own.settings:
            mine, other = first.settings.get(key), own.settings.get(key)
            if key not in ignored and mine != other:
                raise RequestError(
                    f"{both} were trained on different data (data.{key}={mine} and data.{key}={other});"
                    f" choose one to evaluate with data.{key}=..."
                )
        drawn = choice.split in ("validation", "train") or (choice.split == "all" and own.settings.get("limit"))
        if drawn and own.seed != first.seed and "seed" not in choice.keys:
            raise RequestError(
                f"--split {choice.split}: {both} drew different images (seed={first.seed} and seed={own.seed});"
                " choose one with seed=N, or evaluate --split test"
            )
    return first


def _load(split: str, source: Source, seed: int) -> tuple[Dataset, Split]:
    with schema.prefixed("data"):
        if split == "all":
            return load_all(source, stream(seed, "split"))
        try:
            dataset = load(source, stream(seed, "split"))
        except RequestError as error:
            raise error.extended(_all_would_do(source, seed)) from None
    part: Split = getattr(dataset, split)
    if not len(part):
        raise RequestError(
            f"--split {split}: there is no {split} set (data.validation={source.validation}); choose another"
        )
    return dataset, part


def _all_would_do(source: Source, seed: int) -> str:
    if isinstance(source, NamedSource) and source.root is None and locate(source.name) is None:
        return ""  # its download has failed, and is not tried again
    try:
        _, part = load_all(source, stream(seed, "split"))
    except RequestError:
        return ""
    return f"; --split all scores all {len(part):,} images"


def _check_size(dataset: Dataset, source: Source, run: SavedRun) -> None:
    size, takes = dataset.train.images.shape[1:], run.network.image_shape
    if size == takes:
        return
    cure = "choose images of that size"
    if takes[0] == takes[1]:
        resized = f"data.size={takes[0]}"
        cure = f"set {resized}" if hasattr(source, "size") else f"{cure}; data=folder {resized} resizes image files"
    both = f"the images have {size[0]} x {size[1]} pixels, but {run.given} takes {takes[0]} x {takes[1]}"
    raise RequestError(f"data={dataset.name}: {both}; {cure}")


def _warn(choice: Choice, runs: Sequence[SavedRun], source: Source, dataset: Dataset, seed: int) -> None:
    """Log a warning if a result may be misunderstood, and what was decided about pictures."""
    if choice.way == "auto" and isinstance(source, labelled_pictures.PreparedFolder):
        LOG.info("note    the pictures are prepared as in `mnistlab predict`; --as raw only resizes them")
    digest = dataset.provenance.get("sha256")
    same = [run for run in runs if digest is not None and run.data_sha256 == digest]
    moved = choice.split == "validation" and any(run.seed != seed for run in same)
    if same and (choice.split in ("train", "all") or moved or "data.test" in choice.keys):
        LOG.warning("%s was trained on some of these images, so this is not a test accuracy", same[0].given)
    if "data" in choice.keys:
        if choice.split == "test" and not has_own_test(source):
            LOG.info("note    this data has no test set of its own; its last rows are scored (--split all scores all)")
        return
    for run in runs:
        if run.data_sha256 not in (None, digest):
            LOG.warning("%s: the data has changed since this run was trained", run.given)
