"""A network whose training steps and forward passes are computed by kernels.

It stands in for the layers of a `Network`: parameters and gradients stay where they are, in the network's flat vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mnistlab.nn.kernels.jit import Kernel
from mnistlab.nn.kernels.memory import Memory
from mnistlab.nn.kernels.optimizer import RULES, FusedUpdate
from mnistlab.nn.kernels.plan import Plan, Stretch
from mnistlab.nn.kernels.product import product
from mnistlab.nn.losses import Mixture
from mnistlab.nn.optimizers import Optimizer

if TYPE_CHECKING:
    from mnistlab.nn.network import Network

MOST_IMAGES = 1024  # of a chunk
MOST_PLANS = 8  # sizes of a batch that are kept
ELEMENTS = 2**22  # of the largest map of a chunk: more images at once would leave the caches


class Engine:
    """Kernels for the layers of one network, on ``threads`` threads."""

    def __init__(self, network: Network, threads: int) -> None:
        # The network holds its engine. Held by it in turn, neither would be freed before the collector runs
        self.threads, self.layers, self.loss = threads, network.layers, network.loss
        self.shift, self.scale = network.shift, network.scale
        self.vectors = network.theta, network.grad, network.n_weights
        self.shapes = [(1, *network.image_shape), *network.shapes]
        self.first = next((i for i, layer in enumerate(self.layers) if layer.weights() or layer.biases()), 0)
        self.memory = Memory()
        self._plans: dict[tuple[int, bool, bool, bool], Plan] = {}
        largest = max(int(np.prod(shape)) for shape in self.shapes)
        self.chunk = int(min(MOST_IMAGES, max(16, ELEMENTS // largest)))

    def kernels(self, batch: int) -> list[Kernel]:
        """Return the kernels of a training step with batches of this size, and of a forward pass."""
        plans = [self._plan(min(batch, self.chunk), True, True), self._plan(min(batch, self.chunk), False, False)]
        programs = [program for plan in plans for program in plan.programs]
        return list(dict.fromkeys([product, *(kernel for program in programs for kernel, _ in program.calls)]))

    def update(self, optimizer: Optimizer) -> FusedUpdate | None:
        """Return the compiled update of an optimizer that is bound to the network; None where no kernel does it."""
        if type(optimizer) not in RULES:
            return None
        return FusedUpdate(optimizer, *self.vectors, self.threads)

    def gradient(
        self, images: np.ndarray, labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator | None,
        weights: np.ndarray | None, mixture: Mixture | None = None,
    ) -> tuple[float, int]:  # fmt: skip
        """Write the gradient of the mean loss over ``rows``; return the mean loss and the hits.

        The loss of a ``mixture`` is computed by NumPy, since the kernels' targets are those of one label.
        """
        plan = self._plan(len(rows), training=True, dropout=rng is not None, mixed=mixture is not None)
        if plan.drops and rng is not None:
            plan.drops[0].key[0] = rng.integers(-(2**63), 2**63, dtype=np.int64)
        if plan.loss_row is None:
            loss, hits = self.loss.forward(self._ahead(plan, images, rows, rng), labels[rows], weights, mixture)
            self._back(plan, self.loss.backward())
            return loss, hits
        total = len(rows) if weights is None else float(np.add.reduce(weights))
        plan.point_loss_at(labels, rows, weights, 1 / total)
        self._ahead(plan, images, rows, rng)
        loss, hits = plan.result_of_parts()
        if not plan.is_one_program:
            self._back(plan, None)
        return loss / total, hits

    def logits(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the logits (classes, batch) of these images in inference."""
        return self._ahead(self._plan(len(rows), training=False, dropout=False), images, rows, None)

    def _plan(self, images: int, training: bool, dropout: bool, mixed: bool = False) -> Plan:
        key = images, training, dropout, mixed
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            before = self.memory.grown
            loss = None if mixed else self.loss
            plan = Plan(self.layers, self.shapes, loss, self.memory, images, training, dropout)
            if self.memory.grown != before:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _ahead(self, plan: Plan, images: np.ndarray, rows: np.ndarray, rng: np.random.Generator | None) -> Any:
        x: np.ndarray | None = None
        for n, piece in enumerate(plan.pieces):
            if isinstance(piece, Stretch):
                if n == 0:
                    plan.point_at(images, rows, self.shift, self.scale)
                else:
                    plan.write(piece, x)  # type: ignore[arg-type]
                piece.ahead.run(self.threads)
                is_last = n == len(plan.pieces) - 1
                x = None if is_last and plan.loss_row is not None else plan.columns(piece)
            else:
                x = piece.forward(self._pixels(images, rows) if x is None else x, rng)
        return x

    def _back(self, plan: Plan, dz: np.ndarray | None) -> None:
        gradient = dz
        first = self.first
        for n in range(len(plan.pieces) - 1, -1, -1):
            piece = plan.pieces[n]
            if isinstance(piece, Stretch):
                if gradient is not None:
                    plan.write_gradient(piece, gradient)
                piece.back.run(self.threads)
                if n == 0 or piece.groups[0].first <= first:
                    return
                gradient = plan.gradient_columns(piece)
            else:
                i = next(i for i, layer in enumerate(self.layers) if layer is piece)
                if i < first:
                    return
                assert gradient is not None
                gradient = piece.backward(gradient, need_dx=i > first)

    def _pixels(self, images: np.ndarray, rows: np.ndarray) -> np.ndarray:
        x = images[rows].reshape(len(rows), -1).astype(np.float32)
        x = (x - np.float32(self.shift)) * np.float32(self.scale)
        return np.ascontiguousarray(x.T).reshape(*self.shapes[0], len(rows))
