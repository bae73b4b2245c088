"""The points of a sweep are composed as single runs are, but files that they share are read once."""

from collections.abc import Iterator

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mnistlab.config import hydra_guard
from mnistlab.config.composed_once import composed_once
from mnistlab.config.hydra_guard import ConfigLoaderImpl
from mnistlab.sweeps.grid import loader
from mnistlab.system.errors import RequestError

POINTS = [
    ["seed=1"],
    ["seed=2", "optimizer.lr=0.5"],
    ["optimizer=sgd", "optimizer.lr=0.1"],
    ["optimizer=sgd", "optimizer.lr=0.2", "+model.hidden=[3]"],
    ["model=lenet5", "augment=[flip,shift]"],
    ["model=lenet5", "augment=[flip,shift]", "seed=4", "augment.parts.1={shift:{pixels:3}}"],
    ["experiment=fast_99", "seed=3"],
    ["experiment=fast_99", "seed=4", "optimizer=sgd"],
    ["experiment=oxford/svm_final", "seed=7"],
    ["hydra/launcher=basic", "hydra.sweep.dir=somewhere"],
]


@pytest.fixture
def composer() -> Iterator[ConfigLoaderImpl]:
    yield loader(None)
    GlobalHydra.instance().clear()


def compose(composer: ConfigLoaderImpl, point: list[str]) -> DictConfig:
    return composer.load_configuration("config", point, RunMode.RUN)


def test_a_point_is_what_it_is_alone(composer):
    alone = [compose(composer, point) for point in POINTS]
    with composed_once():
        twice = [[compose(composer, point) for point in POINTS] for _ in range(2)]
    for together in twice:
        for one, other in zip(alone, together, strict=True):
            assert OmegaConf.to_yaml(one) == OmegaConf.to_yaml(other)
            assert OmegaConf.get_type(one.model) is OmegaConf.get_type(other.model)
            assert OmegaConf.is_struct(other)


def test_files_are_read_once_for_each_choice_of_options(composer, monkeypatch):
    read = []
    repository = hydra_guard.ConfigRepository
    original = repository.load_config
    monkeypatch.setattr(
        repository, "load_config", lambda self, config_path: read.append(config_path) or original(self, config_path)
    )
    with composed_once():
        compose(composer, ["optimizer=sgd", "seed=1"])
        first = len(read)
        for seed in range(2, 5):
            compose(composer, ["optimizer=sgd", f"seed={seed}"])
        assert {*read[first:]} <= {"config"}  # which says where the files are
        compose(composer, ["optimizer=adam", "seed=1"])
        assert "optimizer/adam" in read[first:]


def test_points_share_nothing_that_can_be_changed(composer):
    with composed_once():
        one, other = (compose(composer, [f"seed={seed}"]) for seed in (1, 2))
    OmegaConf.update(one, "optimizer.lr", 7.0)
    one.model.hidden.append(9)
    assert other.optimizer.lr != 7.0
    assert 9 not in other.model.hidden


def test_another_search_path_is_another_choice(composer, tmp_path):
    for name, lr in (("a", 0.25), ("b", 0.75)):
        (tmp_path / name / "experiment").mkdir(parents=True)
        (tmp_path / name / "experiment" / "own.yaml").write_text(f"# @package _global_\noptimizer:\n  lr: {lr}\n")
    with composed_once():
        rates = [
            compose(composer, [f"hydra.searchpath=[file://{tmp_path / name}]", "experiment=own"]).optimizer.lr
            for name in ("a", "b")
        ]
    assert rates == [0.25, 0.75]


def test_outside_of_it_hydra_reads_the_files_each_time(composer, tmp_path):
    (tmp_path / "experiment").mkdir()
    own = tmp_path / "experiment" / "own.yaml"
    rates = []
    for lr in (0.25, 0.75):
        own.write_text(f"# @package _global_\noptimizer:\n  lr: {lr}\n")
        with composed_once():
            pass
        with pytest.raises(RequestError), composed_once():
            raise RequestError("a point that does not compose")
        rates.append(compose(composer, [f"hydra.searchpath=[file://{tmp_path}]", "experiment=own"]).optimizer.lr)
    assert rates == [0.25, 0.75]
