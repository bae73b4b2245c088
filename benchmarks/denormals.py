"""What numbers below 1e-38 cost: optimizer steps on decayed slots, and gradients of networks with such weights.

NumPy has no switch that flushes them to zero. Usage: python benchmarks/denormals.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from mnistlab.nn.architectures import MLP
from mnistlab.nn.initializers import Kaiming
from mnistlab.nn.optimizers import OPTIMIZERS
from mnistlab.nn.regularization import Regularization

SIZE, STEPS, TIMES = 100_000, 10, 15


def best(work: Callable[[], None], prepare: Callable[[], None] = lambda: None) -> float:
    """Return the shortest of some times in milliseconds."""
    times = []
    for _ in range(TIMES):
        prepare()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def optimizers() -> None:
    """Time steps with slots of ordinary size, and with slots of 1e-40."""
    for name, kind in OPTIMIZERS.items():
        theta, grad = np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32)
        optimizer = kind(lr=1e-3)
        optimizer.bind(theta, grad, SIZE)
        if not optimizer.slots:
            continue

        def fill(value: float, optimizer: object = optimizer, grad: np.ndarray = grad) -> None:
            grad[:] = 0
            for slot in optimizer.state:  # type: ignore[attr-defined]
                slot[:] = value

        def walk(optimizer: object = optimizer) -> None:
            for _ in range(STEPS):
                optimizer.step()  # type: ignore[attr-defined]

        ordinary, denormal = best(walk, lambda: fill(0.5)), best(walk, lambda: fill(1e-40))
        print(f"{name:10} {ordinary:6.2f} ms, denormal slots {denormal:6.2f} ms: {denormal / ordinary:.2f} times")


def networks() -> None:
    """Time gradients with weights of ordinary size, and with half of them or all at 1e-40."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (64, 28, 28), dtype=np.uint8), rng.integers(0, 10, 64)
    for what, step in (("ordinary weights", 0), ("every other weight 1e-40", 2), ("all weights 1e-40", 1)):
        made = MLP(hidden=[128, 64]).network((28, 28), 10, Regularization())
        made.initialise(Kaiming(), np.random.default_rng(0))
        if step:
            made.theta[::step] = 1e-40
        print(f"{what:25} {best(lambda: made.gradient(images, labels, None, rng)):6.3f} ms a gradient")  # noqa: B023


if __name__ == "__main__":
    optimizers()
    networks()
