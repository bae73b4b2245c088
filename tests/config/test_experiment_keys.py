"""An option on the command line replaces an experiment's one, with what the experiment sets for it."""

import logging
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from mnistlab.config import experiment_keys
from mnistlab.config.compose import compose
from mnistlab.system.errors import RequestError

FAST = "experiment=fast_99"  # chooses optimizer=adam and model=lenet_dropout, and sets betas and layers


@pytest.fixture(autouse=True)
def unsaid(monkeypatch):
    monkeypatch.setattr(experiment_keys, "_said", set())


def test_keys_that_the_new_option_does_not_have_are_left_out_and_named(caplog):
    with caplog.at_level(logging.WARNING):
        config = compose([FAST, "optimizer=sgd"])
    assert dict(config.optimizer) == {"lr": 0.01}
    assert caplog.messages == [
        "optimizer.beta1 and optimizer.beta2 of experiment=fast_99 are left out: not of optimizer=sgd"
    ]


def test_the_layers_are_those_of_the_chosen_model(caplog):
    with caplog.at_level(logging.WARNING):
        config = compose([FAST, "model=lenet5"])
    assert config.model.layers[0].conv.filters == 6
    assert caplog.messages == ["model.layers of experiment=fast_99 is left out: not of model=lenet5"]


def test_a_list_of_augmentations_replaces_one(caplog):
    config = compose(["experiment=fast_995", "augment=[elastic,erasing]"])
    assert list(config.augment.parts) == ["elastic", "erasing"]


@pytest.mark.parametrize("words", [[], ["optimizer=adam"], ["optimizer=sgd,adam"]])
def test_the_experiments_own_option_keeps_its_keys(words, caplog):
    config = compose([FAST, *(word for word in words if "," not in word)])
    assert config.optimizer.beta1 == 0.7
    assert caplog.messages == []


def test_what_both_options_have_keeps_the_experiments_value():
    config = compose([FAST, "data=fashion_mnist"])
    assert config.data.validation == 0


def test_a_key_that_only_has_the_same_name_is_the_new_options_own(caplog):
    with caplog.at_level(logging.WARNING):
        config = compose(["experiment=best_cnn", "augment=mixup"])  # whose augment.alpha is a distortion in pixels
    assert config.augment.alpha == 0.2
    assert caplog.messages == ["augment.alpha of experiment=best_cnn is left out: augment=mixup has its own"]
    assert compose(["experiment=best_cnn", "augment=mixup", "augment.alpha=1"]).augment.alpha == 1


def test_a_key_that_both_options_inherit_keeps_the_experiments_value(tmp_path):
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /augment: elastic\naugment:\n  rotation: 3\n  alpha: 4\n"
    )
    config = compose([f"hydra.searchpath=[{tmp_path}]", "experiment=mine", "augment=stroke_width"])
    assert config.augment.rotation == 3


def test_a_key_of_no_option_is_still_refused(tmp_path):
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /augment: elastic\naugment:\n  alpah: 3\n"
    )
    with pytest.raises(RequestError, match=r"augment\.alpah: unknown key"):
        compose([f"hydra.searchpath=[{tmp_path}]", "experiment=mine", "augment=shift"])


@pytest.mark.slow
def test_each_job_of_a_sweep_has_the_keys_of_its_own_option(command):
    tiny = ["data=mnist5k", "data.limit=200", "data.test_limit=100", "trainer.kernels=numpy", "report.plots=none"]
    sweep = ["hydra/launcher=basic", "hydra.sweep.dir=s", "optimizer=adam,sgd,nesterov"]
    assert command("train", "-m", FAST, *tiny, *sweep).status == 0
    settings = [OmegaConf.load(path).optimizer for path in sorted(Path("s").glob("*/.hydra/config.yaml"))]
    assert [sorted(keys) for keys in settings] == [["beta1", "beta2", "eps", "lr"], ["lr"], ["lr", "momentum"]]
