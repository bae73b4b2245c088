"""The rules by hand, on a parabola and on Rosenbrock's valley, and what holds for all of them."""

import math

import numpy as np
import pytest

from mnistlab.nn import optimizers as module
from mnistlab.nn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Momentum, Nesterov, RMSprop
from mnistlab.nn.regularization import Regularization
from mnistlab.system.errors import RequestError

sqrt = math.sqrt


def walk(optimizer, gradients, theta=1.0, factors=None, dtype=np.float64, n_weights=None, penalty=None):
    """theta after each gradient."""
    gradients = np.atleast_2d(np.array(gradients, dtype).T).T
    theta = np.full(gradients.shape[1], theta, dtype) if np.isscalar(theta) else np.array(theta, dtype)
    grad = np.empty_like(theta)
    optimizer.bind(theta, grad, theta.size if n_weights is None else n_weights)
    path = []
    for i, gradient in enumerate(gradients):
        grad[:] = gradient
        optimizer.step(1.0 if factors is None else factors[i], penalty)
        path.append(theta.copy())
    return np.array(path)


# theta = 1, then the gradients 2 and 1, with lr = 0.1; eps is negligible
TWO_STEPS = [
    (SGD(lr=0.1), 1 - 0.1 * 2, 0.8 - 0.1 * 1),
    # v = -0.2;  v = 0.9 (-0.2) - 0.1 = -0.28
    (Momentum(lr=0.1, momentum=0.9), 1 - 0.2, 0.8 - 0.28),
    # v = -0.2, theta + 0.9 v - 0.2 = 0.62;  v = -0.28, 0.62 + 0.9 (-0.28) - 0.1
    (Nesterov(lr=0.1, momentum=0.9), 0.62, 0.62 - 0.252 - 0.1),
    # s = 4;  s = 4 + 1
    (AdaGrad(lr=0.1, eps=1e-30), 1 - 0.1 * 2 / sqrt(4), 0.9 - 0.1 * 1 / sqrt(5)),
    # s = 0.1 . 4 = 0.4;  s = 0.9 . 0.4 + 0.1 . 1 = 0.46
    (RMSprop(lr=0.1, rho=0.9, eps=1e-30), 1 - 0.2 / sqrt(0.4), 1 - 0.2 / sqrt(0.4) - 0.1 / sqrt(0.46)),
    # m^ = 2, v^ = 4;  m = 0.9 . 0.2 + 0.1 = 0.28, m^ = 0.28 / (1 - 0.81),
    # v = 0.999 . 0.004 + 0.001 = 0.004996, v^ = 0.004996 / (1 - 0.998001)
    (Adam(lr=0.1, eps=1e-30), 1 - 0.1 * 2 / sqrt(4), 0.9 - 0.1 * (0.28 / 0.19) / sqrt(0.004996 / 0.001999)),
    # the same, after theta has shrunk by 1 - 0.1 . 0.5
    (
        AdamW(lr=0.1, eps=1e-30, weight_decay=0.5),
        0.95 - 0.1 * 2 / sqrt(4),
        0.95 * 0.85 - 0.1 * (0.28 / 0.19) / sqrt(0.004996 / 0.001999),
    ),
]


@pytest.mark.parametrize(("optimizer", "first", "second"), TWO_STEPS, ids=lambda value: type(value).__name__)
def test_two_steps_by_hand(optimizer, first, second):
    np.testing.assert_allclose(walk(optimizer, [2, 1]).ravel(), [first, second], rtol=1e-13)


def test_every_optimizer_is_worked_out_by_hand():
    assert {type(optimizer) for optimizer, *_ in TWO_STEPS} == set(OPTIMIZERS.values())


# theta = 1, then the gradients 2 and 1, with lr = 0.1 and eps = 1
@pytest.mark.parametrize(
    ("optimizer", "first", "second"),
    [
        (AdaGrad(lr=0.1, eps=1.0), 0.2 / (sqrt(4) + 1), 0.1 / (sqrt(5) + 1)),
        (RMSprop(lr=0.1, rho=0.75, eps=1.0), 0.2 / (sqrt(1) + 1), 0.1 / (sqrt(0.75 * 1 + 0.25 * 1) + 1)),
        # after the bias correction: before it, eps would count 22-fold in the second step
        (Adam(lr=0.1, eps=1.0), 0.2 / (sqrt(4) + 1), 0.1 * (0.28 / 0.19) / (sqrt(0.004996 / 0.001999) + 1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_eps_is_added_outside_the_root(optimizer, first, second):
    np.testing.assert_allclose(walk(optimizer, [2, 1]).ravel(), [1 - first, 1 - first - second], rtol=1e-13)


def test_momentum_holds_the_learning_rate_within_v():
    # v = -0.1 . 2 = -0.2;  v = 0.9 (-0.2) - 0.2 . 1 = -0.38: the new rate does not reach the old gradient
    np.testing.assert_allclose(walk(Momentum(lr=0.1), [2, 1], factors=[1, 2]).ravel(), [0.8, 0.42], rtol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_rate_of_a_step_is_its_own_times_the_factor(name):
    np.testing.assert_array_equal(
        walk(OPTIMIZERS[name](lr=0.5), [2, 1], factors=[0.25, 0.5]),
        walk(OPTIMIZERS[name](lr=1.0), [2, 1], factors=[0.125, 0.25]),
    )
    assert OPTIMIZERS[name](lr=0.5).rate(0.25) == 0.125


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_that_is_restored_goes_on_as_the_one_before(name):
    first, second = OPTIMIZERS[name](lr=0.1), OPTIMIZERS[name](lr=0.1)
    path = walk(first, [2, 1, -3, 0.5])
    walk(first, [2, 1])
    theta, grad = path[1].copy(), np.empty(1)
    second.bind(theta, grad, 1)
    second.restore(first.steps, first.state)
    for gradient, expected in zip([-3, 0.5], path[2:], strict=True):
        grad[:] = gradient
        second.step()
        np.testing.assert_array_equal(theta, expected)


def parabola(theta):
    """1/2 (x - 3)^2 + 5 (y + 2)^2."""
    away = theta - np.array([3.0, -2.0])
    return 0.5 * (away**2 * [1, 10]).sum(), away * [1, 10]


def rosenbrock(theta):
    """(1 - x)^2 + 100 (y - x^2)^2."""
    x, y = theta
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])


# learning rate and steps, on the parabola and on Rosenbrock's valley
DESCENTS = {
    "sgd": ((0.1, 200), (2e-3, 10_000)),
    "momentum": ((0.05, 300), (2e-4, 10_000)),
    "nesterov": ((0.05, 200), (2e-4, 10_000)),
    "adagrad": ((1.0, 300), (0.5, 10_000)),
    "rmsprop": ((0.01, 1_500), (1e-3, 10_000)),
    "adam": ((0.1, 500), (0.02, 5_000)),
    "adamw": ((0.1, 500), (0.02, 5_000)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_descends_the_parabola_and_rosenbrocks_valley(name):
    for function, minimum, (lr, steps) in zip((parabola, rosenbrock), ((3, -2), (1, 1)), DESCENTS[name], strict=True):
        optimizer = OPTIMIZERS[name](lr=lr, **({"weight_decay": 0.0} if name == "adamw" else {}))
        theta, grad = np.array([-1.2, 1.0]), np.empty(2)
        optimizer.bind(theta, grad, 2)
        for _ in range(steps):
            grad[:] = function(theta)[1]
            optimizer.step()
        np.testing.assert_allclose(theta, minimum, atol=2e-3)


def test_adamw_decays_weights_and_never_biases():
    optimizer = AdamW(lr=0.1, weight_decay=0.5)
    path = walk(optimizer, np.zeros((3, 4)), theta=[1.0, -2.0, 1.0, -2.0], n_weights=2)
    np.testing.assert_allclose(path[:, :2], np.outer([0.95, 0.95**2, 0.95**3], [1, -2]), rtol=1e-13)
    np.testing.assert_array_equal(path[:, 2:], [[1, -2]] * 3)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_penalty_reaches_the_weights_and_never_the_biases(name):
    g, theta = [[0.3, -0.2, 0.3, -0.2]], [1.0, -2.0, 1.0, -2.0]
    plain = walk(OPTIMIZERS[name](lr=0.1), g, theta, n_weights=2)
    penalised = walk(OPTIMIZERS[name](lr=0.1), g, theta, n_weights=2, penalty=Regularization(l2=0.5).add_gradient)
    by_hand = walk(OPTIMIZERS[name](lr=0.1), [[0.3 + 0.5 * 1, -0.2 + 0.5 * -2, 0.3, -0.2]], theta, n_weights=2)
    np.testing.assert_allclose(penalised, by_hand, rtol=1e-13)
    np.testing.assert_array_equal(penalised[:, 2:], plain[:, 2:])


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_size_of_the_chunks_changes_nothing(name, chunk, monkeypatch):
    rng = np.random.default_rng(0)
    gradients, theta = rng.standard_normal((5, 50)), rng.standard_normal(50)
    penalty = Regularization(l1=0.1, l2=0.2).add_gradient
    whole = walk(OPTIMIZERS[name](), gradients, theta, n_weights=33, penalty=penalty, dtype=np.float32)
    monkeypatch.setattr(module, "CHUNK", chunk)
    pieces = walk(OPTIMIZERS[name](), gradients, theta, n_weights=33, penalty=penalty, dtype=np.float32)
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("n_weights", [0, 3])
def test_networks_of_only_weights_or_only_biases(n_weights):
    np.testing.assert_allclose(walk(SGD(lr=0.1), [[1, 2, 3]], n_weights=n_weights), [[0.9, 0.8, 0.7]])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_bind_starts_afresh(name):
    optimizer = OPTIMIZERS[name](lr=0.1)
    first = walk(optimizer, [2, 1, -3])
    np.testing.assert_array_equal(walk(optimizer, [2, 1, -3]), first)
    assert optimizer.steps == 3
    assert [slot.size for slot in optimizer.state] == [1] * optimizer.slots


FAST_DECAY = {
    "momentum": {"momentum": 0.5},
    "nesterov": {"momentum": 0.5},
    "rmsprop": {"rho": 0.5},
    "adam": {"beta1": 0.5, "beta2": 0.6},
    "adamw": {"beta1": 0.5, "beta2": 0.6},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_slots_that_have_decayed_to_denormals_are_flushed_without_a_trace_in_theta(name, monkeypatch):
    gradients = [[1e-3, 1.0]] + [[0.0, 1.0]] * (module.FLUSH_EVERY - 1)

    def run():
        optimizer = OPTIMIZERS[name](lr=0.1, **FAST_DECAY.get(name, {}))
        return walk(optimizer, gradients, dtype=np.float32), [slot.copy() for slot in optimizer.state]

    path, slots = run()
    monkeypatch.setattr(module, "FLUSH_EVERY", 10**9)
    unflushed_path, unflushed = run()
    for slot, before in zip(slots, unflushed, strict=True):
        np.testing.assert_array_equal(slot[1], before[1])  # in use: untouched
        if name != "adagrad":  # its sums never decay
            assert 0 < abs(before[0]) < module.TINY
            assert slot[0] == 0
    np.testing.assert_array_equal(path, unflushed_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(lr=0.0), "lr=0.0: the learning rate must be positive"),
        (lambda: Adam(lr=-0.1), "lr=-0.1: the learning rate must be positive"),
        (lambda: SGD(lr=math.nan), "lr=nan: must be a number"),
        (lambda: SGD(lr=math.inf), "lr=inf: must be a number"),
        (lambda: SGD(lr=True), "lr=True: must be a number"),
        (lambda: SGD(lr="0.1"), "lr='0.1': must be a number"),
        (lambda: Momentum(momentum=1.0), "momentum=1.0: the momentum must be at least 0 and below 1"),
        (lambda: Nesterov(momentum=-0.1), "momentum=-0.1: the momentum must be at least 0 and below 1"),
        (lambda: RMSprop(rho=1.0), "rho=1.0: rho must be at least 0 and below 1"),
        (lambda: Adam(beta1=1.0), "beta1=1.0: beta1 must be at least 0 and below 1"),
        (lambda: Adam(beta2=1.5), "beta2=1.5: beta2 must be at least 0 and below 1"),
        (lambda: AdaGrad(eps=0.0), "eps=0.0: eps must be positive"),
        (lambda: RMSprop(eps=0.0), "eps=0.0: eps must be positive"),
        (lambda: Adam(eps=-1e-8), "eps=-1e-08: eps must be positive"),
        (lambda: AdamW(weight_decay=-0.1), "weight_decay=-0.1: the weight decay must be zero or more"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
