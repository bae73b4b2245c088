"""From a description to layers."""

import numpy as np
import pytest

from mnistlab.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from mnistlab.nn.architectures import LAYERS, MLP, LayerList, OneHidden, layer
from mnistlab.nn.layers import Dense, Dropout, Flatten, layer_name
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError

NONE = Regularization()


@pytest.mark.parametrize(
    ("model", "regularization", "layers"),
    [
        (MLP(hidden=[]), NONE, [Flatten(), Dense(10)]),  # softmax regression
        (MLP(hidden=[8, 4]), NONE, [Flatten(), Dense(8), ReLU(), Dense(4), ReLU(), Dense(10)]),
        (OneHidden(units=7, activation="sigmoid"), NONE, [Flatten(), Dense(7), Sigmoid(), Dense(10)]),
        (
            MLP(hidden=[8, 4], activation=[{"leaky_relu": {"slope": 0.2}}, "tanh"]),
            NONE,
            [Flatten(), Dense(8), LeakyReLU(0.2), Dense(4), Tanh(), Dense(10)],
        ),
        (
            MLP(hidden=[8, 4]),
            Regularization(dropout=[0.1, 0.0, 0.5]),
            [Flatten(), Dropout(0.1), Dense(8), ReLU(), Dense(4), ReLU(), Dropout(0.5), Dense(10)],
        ),
    ],
)
def test_layers_of_a_model(model, regularization, layers):
    assert model.row(10, regularization) == layers


def test_a_network_takes_its_loss_smoothing_scaling_and_precision_from_the_request():
    model = MLP(hidden=[8], output="sigmoid", loss="mean_squared_error")
    network = model.network((3, 5), 4, Regularization(label_smoothing=0.1), shift=2.0, scale=0.5, dtype=np.float64)
    assert (network.loss.name, network.loss.output, network.loss.label_smoothing) == (
        "mean_squared_error",
        "sigmoid",
        0.1,
    )
    assert (network.image_shape, network.shift, network.scale) == ((3, 5), 2.0, 0.5)
    assert network.theta.dtype == np.float64
    assert network.theta.size == 15 * 8 + 8 + 8 * 4 + 4
    assert not network.theta.any()


@pytest.mark.parametrize("name", sorted(LAYERS.keys() - {"dense", "conv"}))
def test_a_layer_is_a_name_or_a_mapping_of_one_name(name):
    assert layer(name) == layer({name: None}) == layer({name: {}}) == LAYERS[name]()
    assert layer(layer(name).spec()) == layer(name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP(hidden=[8, 0]), "hidden=0: the number of hidden units must be a whole number of 1 or more"),
        (lambda: OneHidden(units=0), "units=0: the number of hidden units must be a whole number of 1 or more"),
        (
            lambda: MLP(hidden=[8], activation=["relu", "tanh"]),
            "activation=['relu', 'tanh']: 2 activations for 1 hidden layer(s) [8]; give one name, or one per layer",
        ),
        (lambda: MLP(activation="rellu"), "(did you mean relu?)"),
        (lambda: MLP(hidden=[], activation="rellu"), "(did you mean relu?)"),
        (lambda: MLP(activation="dense"), "activation=dense: choose one of"),
        (lambda: OneHidden(activation={"leaky_relu": {"slop": 0.1}}), "activation.leaky_relu.slop: unknown setting"),
        (lambda: MLP(activation={"leaky_relu": {"slope": 2.0}}), "activation.leaky_relu.slope=2.0: the slope"),
        (lambda: MLP(loss="cross_entropi"), "(did you mean cross_entropy?)"),
        (lambda: MLP(output="sigmoid"), "loss=cross_entropy: not with output=sigmoid"),
        (
            lambda: MLP(hidden=[8]).row(10, Regularization(dropout=[0.1, 0.2, 0.3])),
            "dropout=[0.1, 0.2, 0.3]: 3 rates for 1 hidden layer(s)",
        ),
        (lambda: layer("dropot"), "(did you mean dropout?)"),
        (lambda: layer("dense"), "dense.units: must be set; dense takes units"),
        (
            lambda: layer({"conv": {"filters": 4}}),
            "conv.kernel: must be set; conv takes filters, kernel (and stride=1, padding=valid, unless set)",
        ),
        (lambda: layer({"dense": {"unit": 3}}), "dense.unit: unknown setting; it takes units (did you mean units?)"),
        (lambda: layer({"relu": {"slope": 3}}), "relu.slope: unknown setting; it takes no settings"),
        (
            lambda: layer({"dropout": {"rate": 1.0}}),
            "dropout.rate=1.0: the dropout rate must be at least 0 and below 1",
        ),
        (lambda: layer({"relu": None, "tanh": None}), "must be one name with its settings"),
    ],
)
def test_requests_that_make_no_sense_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def kinds(model, regularization=None):
    return [layer_name(type(one)) for one in model.row(10, regularization or Regularization())]


LENET = ["relu", "flatten", {"dense": {"units": 8}}, "relu", {"dense": {"units": 4}}]


def test_a_list_of_layers_ends_in_the_output_layer_unless_it_has_its_own():
    assert kinds(LayerList(layers=["flatten", "relu"])) == ["flatten", "relu", "dense"]
    assert kinds(LayerList(layers=["flatten", "relu"], output_layer=False)) == ["flatten", "relu"]
    assert LayerList(layers=["flatten"]).row(10, Regularization())[-1] == Dense(10)
    assert kinds(LayerList()) == ["dense"]


def test_regularization_drops_after_each_hidden_dense_layer_of_a_list():
    plain = ["relu", "flatten", "dense", "relu", "dense", "dense"]
    assert kinds(LayerList(layers=LENET)) == plain
    both = ["relu", "flatten", "dense", "relu", "dropout", "dense", "dropout", "dense"]
    assert kinds(LayerList(layers=LENET), Regularization(dropout=0.3)) == both
    first = LayerList(layers=LENET).row(10, Regularization(dropout=[0.1, 0.2, 0.0]))
    assert first[0] == Dropout(0.1)
    assert [one.rate for one in first if isinstance(one, Dropout)] == [0.1, 0.2]


def test_a_list_builds_fresh_layers_every_time():
    model = LayerList(layers=["flatten"])
    assert model.row(10, Regularization())[0] is not model.row(10, Regularization())[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LayerList(layers=["flaten"]), "layers.0=flaten: choose one of "),
        (
            lambda: LayerList(layers=["relu", {"conv": {"filters": 0, "kernel": 3}}]),
            "layers.1.conv.filters=0: the number",
        ),
        (
            lambda: LayerList(layers=[{"conv": {"filters": 3, "kernl": 3}}]),
            "layers.0.conv.kernl: unknown setting; it takes",
        ),
        (
            lambda: LayerList(layers=[{"conv": {"filters": 3}}]),
            "layers.0.conv.kernel: must be set; conv takes filters, kernel (and stride=1,",
        ),
        (
            lambda: LayerList(layers=[{"relu": {}, "tanh": {}}]),
            "layers.0={'relu': {}, 'tanh': {}}: must be one name with its",
        ),
        (lambda: LayerList(layers=[7]), "layers.0=7: must be a name, or a name with settings as in"),
        (
            lambda: LayerList(layers=["flatten", {"dropout": {"rate": 0.2}}]).row(10, Regularization(dropout=[0.1])),
            "dropout=[0.1]: layers has dropout of its own; set one of them",
        ),
        (
            lambda: MLP(hidden=[8, 10**12]).network((28, 28), 10, NONE),
            "hidden: layer 4 dense: up to here they take 9,000,000,006,280 parameters, more than 268,435,456; use",
        ),
        (
            lambda: OneHidden(units=10**9).network((28, 28), 10, NONE),
            "units: layer 2 dense: up to here they take 785,000,000,000 parameters, more than 268,435,456; use",
        ),
        (
            lambda: LayerList(layers=["flatten"], output_layer=False).network((28, 28), 10, NONE),
            "layers: the last one gives 784 outputs for 10 classes; end them with dense: {units: 10}, which "
            "output_layer=true does",
        ),
        (
            lambda: LayerList(layers=["flatten"]).row(10, Regularization(dropout=0.5)),
            "dropout=0.5: this model has no hidden layer; give [0.5] to drop inputs",
        ),
        (
            lambda: OneHidden().check(Regularization(dropout=[0.1, 0.2, 0.3])),
            "dropout=[0.1, 0.2, 0.3]: 3 rates for 1 hidden layer(s)",
        ),
    ],
)
def test_a_list_that_makes_no_network_is_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value).startswith(message)
