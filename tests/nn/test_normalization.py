"""Batch normalisation: what it computes in training and in inference, and that its statistics travel with the model."""

import numpy as np
import pytest
from helpers.networks import images_and_labels, network, scaled_batch

from mnistlab.models.model_file import load_model, save_model
from mnistlab.nn import network as network_module
from mnistlab.nn.activations import ReLU
from mnistlab.nn.conv import Conv2D
from mnistlab.nn.initializers import Normal
from mnistlab.nn.layers import Dense, Flatten
from mnistlab.nn.normalization import BatchNorm
from mnistlab.nn.optimizers import SGD
from mnistlab.nn.pooling import MaxPool2D
from mnistlab.system.errors import RequestError
from mnistlab.training.components import Components, RandomStreams
from mnistlab.training.config import TrainerConfig
from mnistlab.training.early_stopping import Select
from mnistlab.training.loop import fit

TRAINING = np.random.default_rng(0)  # any generator: its presence says that this is training


def norm(shape, **settings):
    layer = BatchNorm(**settings)
    layer.dtype = np.float64
    layer.build(shape)
    for kind, store in (
        (layer.biases(), layer.params),
        (layer.biases(), layer.grads),
        (layer.statistics(), layer.buffers),
    ):
        for name, size in kind.items():
            store[name] = np.full(size, layer.constants.get(name, 0.0))
    return layer


def test_a_unit_is_normalised_over_the_batch():
    layer = norm((2,), eps=1e-12)
    y = layer.forward(np.array([[1.0, 3.0], [10.0, 30.0]]), TRAINING)
    np.testing.assert_allclose(y, [[-1, 1], [-1, 1]])
    layer.params["gamma"][:], layer.params["beta"][:] = [2, 3], [5, 7]
    np.testing.assert_allclose(layer.forward(np.array([[1.0, 3.0], [10.0, 30.0]]), TRAINING), [[3, 7], [4, 10]])


def test_a_channel_is_normalised_over_its_pixels_too():
    x = np.random.default_rng(1).standard_normal((3, 4, 5, 6)) * 7 + 2
    y = norm((3, 4, 5), eps=1e-12).forward(x, TRAINING)
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axis=(1, 2, 3)), 1)


def test_running_statistics_move_towards_those_of_the_batch_with_the_unbiased_variance():
    layer = norm((1,), momentum=0.75)
    layer.forward(np.array([[1.0, 2.0, 6.0]]), TRAINING)  # mean 3, variance 14/3, unbiased 7
    np.testing.assert_allclose(layer.buffers["mean"], [0.25 * 3])
    np.testing.assert_allclose(layer.buffers["variance"], [0.75 * 1 + 0.25 * 7])


def test_inference_uses_the_running_statistics_and_leaves_them_alone():
    layer = norm((1,), eps=0.25)
    layer.buffers["mean"][:], layer.buffers["variance"][:] = 10, 3.75
    np.testing.assert_allclose(layer.forward(np.array([[10.0, 14.0]])), [[0, 2]])
    assert (layer.buffers["mean"], layer.buffers["variance"]) == (10, 3.75)


def test_a_batch_of_one_gives_beta_and_stays_finite():
    layer = norm((2,))
    np.testing.assert_array_equal(layer.forward(np.array([[3.0], [4.0]]), TRAINING), [[0], [0]])
    np.testing.assert_array_equal(layer.backward(np.ones((2, 1))), [[0], [0]])
    np.testing.assert_array_equal([layer.grads["gamma"], layer.grads["beta"]], [[0, 0], [1, 1]])


@pytest.mark.parametrize(("shape", "batch", "moves"), [((3,), 1, False), ((3, 1, 1), 1, False), ((3, 1, 2), 1, True)])
def test_one_value_a_channel_has_no_variance_and_leaves_the_running_statistics(shape, batch, moves):
    layer = norm(shape)
    layer.buffers["mean"][:], layer.buffers["variance"][:] = 2, 3
    layer.forward(np.random.default_rng(0).standard_normal((*shape, batch)), TRAINING)
    assert ((layer.buffers["mean"] != 2) == moves).all()
    assert ((layer.buffers["variance"] != 3) == moves).all()


@pytest.mark.parametrize(
    ("layers", "batch", "named"),
    [
        ([Flatten(), Dense(4), BatchNorm(), Dense(3)], 1, "layer 3 batchnorm"),
        ([Flatten(), Dense(4), BatchNorm(), Dense(3)], 2, None),
        ([Conv2D(2, 4), BatchNorm(), Flatten(), Dense(3)], 1, "layer 2 batchnorm"),  # a map of 1 x 1
        ([Conv2D(2, 3), BatchNorm(), Flatten(), Dense(3)], 1, None),  # of 2 x 2: four values a channel
        ([Flatten(), Dense(3)], 1, None),
    ],
)
def test_batches_of_one_value_a_channel_are_refused(layers, batch, named):
    class Split:
        images, labels = images_and_labels(shape=(4, 4))

    made = network(layers, (4, 4))
    assert made.too_small_for(batch) == named
    trainer = TrainerConfig(epochs=1, batch_size=batch)
    if named:
        with pytest.raises(RequestError, match=f"^batch_size=1: {named} would normalise one value per channel"):
            fit(made, Split, Split, Components(SGD(), trainer=trainer), RandomStreams.from_seed(0))
    else:
        trainer.check_network(made, 12)


def test_images_that_go_through_one_by_one_are_batches_of_one(monkeypatch):
    made = network([Flatten(), Dense(4), BatchNorm(), Dense(3)])
    monkeypatch.setattr(network_module, "CHUNK", 1)  # as with very large images
    assert made.too_small_for(64) == "layer 3 batchnorm"


def test_its_parameters_are_not_weights_and_start_at_one_and_zero():
    made = network([Conv2D(2, 2), BatchNorm(), ReLU(), Flatten(), Dense(3)], (4, 4))
    made.initialise(Normal(0.1), np.random.default_rng(0))
    tensors = made.tensors()
    np.testing.assert_array_equal(tensors["2.batchnorm.gamma"], [1, 1])
    np.testing.assert_array_equal(tensors["2.batchnorm.variance"], [1, 1])
    for name in ("2.batchnorm.beta", "2.batchnorm.mean", "1.conv.b"):
        assert not tensors[name].any()
    assert [block.name for block in made.blocks if block.is_weight] == ["W", "W"]
    assert made.theta.size == 2 * 4 + 18 * 3 + 2 + 2 + 2 + 3  # the statistics are not parameters
    assert made.buffers.size == 4


def test_the_statistics_are_saved_with_the_model(tmp_path):
    made = network([Flatten(), Dense(4), BatchNorm(), Dense(3)], dtype=np.float32)
    images, labels = images_and_labels()
    for _ in range(5):
        made.gradient(images, labels, rng=TRAINING)
    save_model(tmp_path / "model.safetensors", made, ("a", "b", "c"))
    loaded, _ = load_model(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.buffers, made.buffers)
    np.testing.assert_array_equal(loaded.predict(images), made.predict(images))


def test_the_best_epoch_comes_back_with_its_statistics():
    class Split:
        images, labels = images_and_labels(20)

    seen = {}

    def fitted(select, epochs):
        made = network([Flatten(), Dense(4), BatchNorm(), Dense(3)], dtype=np.float32)
        made.initialise(Normal(0.5), np.random.default_rng(3))
        history = fit(
            *(made, Split, Split),
            Components(SGD(5.0), trainer=TrainerConfig(epochs, 4, select=select)),
            RandomStreams.from_seed(0),
            on_epoch=lambda history: seen.__setitem__(len(history.epochs), (made.theta.copy(), made.buffers.copy())),
        )
        return made, history

    made, history = fitted(Select.best, 6)
    assert history.kept_epoch < 6  # or this test shows nothing
    theta, buffers = seen[history.kept_epoch]
    np.testing.assert_array_equal(made.theta, theta)
    np.testing.assert_array_equal(made.buffers, buffers)


def test_a_map_on_its_way_to_pooling_is_normalised_over_all_of_its_pixels():
    for size, even in ((9, True), (8, False)):  # 8 x 8 and 7 x 7 maps: an odd edge counts in the statistics
        made = network([Conv2D(2, 2), BatchNorm(), MaxPool2D(2), Flatten(), Dense(3)], (size, size))
        x, _ = scaled_batch((size, size))
        made.forward(x.copy(), TRAINING)
        whole = made.layers[0].whole_map(x)
        np.testing.assert_allclose(
            made.buffers[:2], 0.1 * whole.mean(axis=(1, 2, 3)) + 0.9 * 0, rtol=1e-9, err_msg=str(size)
        )
        assert made.layers[0].even is even


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"momentum": 1.0}, "momentum=1.0: the momentum of the running"), ({"eps": 0}, "eps=0: eps must be")],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(RequestError) as error:
        BatchNorm(**settings)
    assert str(error.value).startswith(message)


def test_pytorch_agrees_in_training_and_inference():
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle, is not installed: `make .venv/.bench`")
    rng = np.random.default_rng(2)
    ours, theirs = norm((3, 4, 5)), torch.nn.BatchNorm2d(3, dtype=torch.float64)
    ours.params["gamma"][:], ours.params["beta"][:] = rng.standard_normal((2, 3))
    with torch.no_grad():
        theirs.weight[:], theirs.bias[:] = torch.tensor(ours.params["gamma"]), torch.tensor(ours.params["beta"])
    for _ in range(3):
        x, dy = rng.standard_normal((2, 3, 4, 5, 6))
        image = torch.tensor(x.transpose(3, 0, 1, 2).copy(), requires_grad=True)
        theirs.zero_grad()
        out = theirs(image)
        out.backward(torch.tensor(dy.transpose(3, 0, 1, 2).copy()))
        y = ours.forward(x.copy(), TRAINING)
        np.testing.assert_allclose(y, out.detach().numpy().transpose(1, 2, 3, 0), rtol=1e-9, atol=1e-12)
        dx = ours.backward(dy.copy())
        np.testing.assert_allclose(dx, image.grad.numpy().transpose(1, 2, 3, 0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.grads["gamma"], theirs.weight.grad.numpy())
        np.testing.assert_allclose(ours.grads["beta"], theirs.bias.grad.numpy())
    theirs.eval()
    out = theirs(torch.tensor(x.transpose(3, 0, 1, 2).copy())).detach().numpy()
    np.testing.assert_allclose(ours.forward(x.copy()), out.transpose(1, 2, 3, 0), rtol=1e-9, atol=1e-12)
