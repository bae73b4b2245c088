"""Outputs and losses: from logits z (classes, batch) to probabilities, a mean loss and dL/dz.

Every loss takes logits, never probabilities, so that no logarithm ever sees a rounded zero. A target t is one-hot,
or with label smoothing e: t = (1 - e) onehot + e / K (Szegedy et al. 2016). Of a mixed image it is the weighted mean
of the targets of two labels.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from mnistlab.system.errors import RequestError, choice, fraction

OUTPUTS = ("softmax", "sigmoid")
Mixture = tuple[np.ndarray, np.ndarray]  # second labels (batch,), and the share of the first labels' targets (batch,)


def log_sum_exp(z: np.ndarray) -> np.ndarray:
    """Return log(sum_k exp z_k) over axis 0, shifted by the maximum so that it cannot overflow."""
    top = z.max(axis=0)
    return top + np.log(np.exp(z - top).sum(axis=0))


def probabilities(z: np.ndarray, output: str) -> np.ndarray:
    """Return class probabilities (classes, n) in float64 for logits z (classes, n); each column sums to one.

    softmax: p_k = exp z_k / sum_j exp z_j.  sigmoid: s_k = 1 / (1 + exp(-z_k)), divided by their sum.
    """
    z = z.astype(np.float64)
    if output == "sigmoid":
        z = -np.logaddexp(0, -z)  # the logarithm of s_k: its softmax is s_k / sum_j s_j
    return np.exp(z - log_sum_exp(z))


class Loss:
    """A mean loss over the batch. ``forward`` overwrites z and returns (loss, hits); ``backward`` returns dL/dz.

    With ``weights`` w > 0, one a sample, the mean is weighted: sum_i w_i L_i / sum_i w_i. With a ``mixture`` of second
    labels and shares s, the target of a sample is s t + (1 - s) t', with t' that of its second label.

    hits is the number of samples whose largest logit is that of their label; where the largest is shared, the first
    of the equals counts, as in ``argmax``. A sample with NaN among its logits is no hit.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = OUTPUTS

    def __init__(
        self, classes: int, output: str = "softmax", label_smoothing: float = 0.0, dtype: Any = np.float32
    ) -> None:
        choice("output", output, OUTPUTS)
        if output not in self.outputs:
            raise RequestError(
                f"not with output={output}; use loss=binary_cross_entropy or output=softmax",
                key="loss",
                value=self.name,
            )
        self.classes, self.output = classes, output
        self.label_smoothing = fraction("label_smoothing", label_smoothing, "label smoothing")
        eye = np.eye(classes, dtype=dtype)
        self.target_table = (1 - label_smoothing) * eye + np.asarray(label_smoothing / classes, dtype)
        self.dtype = dtype
        self._arrays: dict[int, dict[str, np.ndarray]] = {}

    def forward(
        self,
        z: np.ndarray,
        labels: np.ndarray,
        weights: np.ndarray | None = None,
        mixture: Mixture | None = None,
    ) -> tuple[float, int]:
        """Return the mean loss and the number of hits for logits z (classes, batch) and integer labels (batch,)."""
        batch = z.shape[1]
        self.a = self._arrays.get(batch) or self._allocate(batch)
        self.weights, total = weights, batch if weights is None else float(np.add.reduce(weights))
        np.take(self.target_table, labels, axis=1, out=self.a["t"], mode="clip")
        if mixture is not None:
            self._mix(self.a["t"], *mixture)
        top = self.a["top"]
        np.maximum.reduce(z, axis=0, out=top, keepdims=True)
        hits = self._hits(z, labels)
        self._share = 1 / total
        return self._loss(z, top) / total, hits

    def backward(self) -> np.ndarray:
        """Return dL/dz of the latest ``forward``, (classes, batch)."""
        dz = self.a["dz"]
        self._gradient(dz)
        np.multiply(dz, self._share, out=dz)
        return dz if self.weights is None else np.multiply(dz, self.weights, out=dz)

    def _mix(self, t: np.ndarray, second: np.ndarray, share: np.ndarray) -> None:
        """Make the targets t those of the mixture: t <- s (t - t') + t'."""
        other = np.take(self.target_table, second, axis=1, out=self.a["s"], mode="clip")
        np.subtract(t, other, out=t)
        np.multiply(t, share, out=t)
        np.add(t, other, out=t)

    def _hits(self, z: np.ndarray, labels: np.ndarray) -> int:
        a = self.a
        np.equal(z, a["top"], out=a["largest"])
        np.multiply(labels, z.shape[1], out=a["place"])
        np.add(a["place"], a["column"], out=a["place"])
        np.take(a["largest"].reshape(-1), a["place"], out=a["hit"], mode="clip")
        if np.count_nonzero(a["largest"]) != z.shape[1]:  # a largest logit is shared (or NaN): rare, so it may allocate
            shared = np.flatnonzero(a["largest"].view(np.uint8).sum(axis=0, dtype=np.uint16) > 1)
            a["hit"][shared] &= a["largest"][:, shared].argmax(axis=0) == labels[shared]
        return int(np.count_nonzero(a["hit"]))

    def _loss(self, z: np.ndarray, top: np.ndarray) -> float:
        """Return the loss summed over the batch, weighted; leave in ``self.a`` what `_gradient` needs."""
        raise NotImplementedError

    def _gradient(self, dz: np.ndarray) -> None:
        """Write the derivative of the summed loss by z to dz."""
        raise NotImplementedError

    def _sum(self, x: np.ndarray) -> float:
        """Return the sum over x (rows, batch), each column times the weight of its sample."""
        return float(np.add.reduce(self._weighted(x), axis=None))

    def _dot(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return the sum over x y, each column times the weight of its sample."""
        return float(np.vdot(self._weighted(x), y))

    def _weighted(self, x: np.ndarray) -> np.ndarray:
        return x if self.weights is None else np.multiply(x, self.weights, out=self.a["w"][: len(x)])

    def _softmax(self, z: np.ndarray, top: np.ndarray) -> None:
        """Leave z - max z in z, softmax(z) in ``p`` and the sum of exponentials in ``top``."""
        p = self.a["p"]
        np.subtract(z, top, out=z)
        np.exp(z, out=p)
        np.add.reduce(p, axis=0, out=top, keepdims=True)
        np.divide(p, top, out=p)

    def _sigmoid(self, z: np.ndarray) -> None:
        p = self.a["p"]
        np.multiply(z, 0.5, out=p)
        np.tanh(p, out=p)
        np.multiply(p, 0.5, out=p)
        np.add(p, 0.5, out=p)

    def _allocate(self, batch: int) -> dict[str, np.ndarray]:
        if len(self._arrays) >= 8:
            self._arrays.clear()
        shape = self.classes, batch
        a = {name: np.empty(shape, self.dtype) for name in ("t", "p", "dz", "s", "w")}
        a["top"] = np.empty((1, batch), self.dtype)
        a["largest"] = np.empty(shape, bool)
        a["hit"] = np.empty(batch, bool)
        a["place"] = np.empty(batch, np.int64)
        a["column"] = np.arange(batch)
        self._arrays[batch] = a
        return a


class CrossEntropy(Loss):
    """L = -sum_k t_k log p_k with p = softmax(z), computed as log sum_j exp z_j - sum_k t_k z_k;  dL/dz = p - t."""

    name = "cross_entropy"
    outputs = ("softmax",)

    def _loss(self, z: np.ndarray, top: np.ndarray) -> float:
        self._softmax(z, top)
        right = self._dot(self.a["t"], z)
        np.log(top, out=top)
        return self._sum(top) - right

    def _gradient(self, dz: np.ndarray) -> None:
        np.subtract(self.a["p"], self.a["t"], out=dz)


class BinaryCrossEntropy(Loss):
    """L = -sum_k [t_k log p_k + (1 - t_k) log(1 - p_k)], summed over the outputs (Keras takes their mean).

    With sigmoid outputs: L = sum_k softplus(z_k) - t_k z_k and dL/dz = p - t.
    With softmax outputs: q_k = 1 - p_k is computed as the sum of the *other* probabilities, not as a difference. Since
    the targets sum to one, dL/dz_k = 2 (1 - t_k) p_k - t_k q_k - sum_{j != k} (1 - t_j) p_k p_j / q_j.
    """

    name = "binary_cross_entropy"

    def _loss(self, z: np.ndarray, top: np.ndarray) -> float:
        a = self.a
        if self.output == "sigmoid":
            self._sigmoid(z)
            right = self._dot(a["t"], z)
            np.logaddexp(z, 0, out=a["s"])
            return self._sum(a["s"]) - right
        self._softmax(z, top)
        log_p, log_q, others, row = a["log_p"], a["log_q"], a["s"], a["row"]
        np.log(top, out=top)
        np.subtract(z, top, out=log_p)
        np.subtract(1, a["t"], out=a["u"])
        for k in range(self.classes):
            np.copyto(others, log_p)
            others[k] = -np.inf
            np.maximum.reduce(others, axis=0, keepdims=True, out=top)
            np.subtract(others, top, out=others)
            np.exp(others, out=others)
            np.add.reduce(others, axis=0, keepdims=True, out=row)
            np.log(row, out=row)
            np.add(row, top, out=log_q[k : k + 1])
        return -self._dot(a["t"], log_p) - self._dot(a["u"], log_q)

    def _gradient(self, dz: np.ndarray) -> None:
        a = self.a
        if self.output == "sigmoid":
            np.subtract(a["p"], a["t"], out=dz)
            return
        log_p, log_q, u, terms, row = a["log_p"], a["log_q"], a["u"], a["s"], a["row"]
        np.multiply(u, a["p"], out=u)
        np.multiply(u, 2, out=dz)
        np.exp(log_q, out=terms)
        np.multiply(terms, a["t"], out=terms)
        np.subtract(dz, terms, out=dz)
        for k in range(self.classes):
            # p_k / q_j is at most one for j != k, but both may be zeros: divide as logarithms
            np.subtract(log_p[k], log_q, out=terms)
            terms[k] = -np.inf
            np.exp(terms, out=terms)
            np.multiply(terms, u, out=terms)
            np.add.reduce(terms, axis=0, keepdims=True, out=row)
            np.subtract(dz[k : k + 1], row, out=dz[k : k + 1])

    def _allocate(self, batch: int) -> dict[str, np.ndarray]:
        a = super()._allocate(batch)
        if self.output == "softmax":
            a |= {name: np.empty((self.classes, batch), self.dtype) for name in ("log_p", "log_q", "u")}
            a["row"] = np.empty((1, batch), self.dtype)
        return a


class MeanSquaredError(Loss):
    """L = 1/2 sum_k (p_k - t_k)^2 (Nielsen's quadratic cost; Keras takes the mean over k, without 1/2).

    sigmoid: dL/dz_k = (p_k - t_k) p_k (1 - p_k).  softmax: dL/dz_k = p_k (d_k - sum_j d_j p_j) with d = p - t.
    """

    name = "mean_squared_error"

    def _loss(self, z: np.ndarray, top: np.ndarray) -> float:
        if self.output == "sigmoid":
            self._sigmoid(z)
        else:
            self._softmax(z, top)
        d = np.subtract(self.a["p"], self.a["t"], out=self.a["s"])
        return 0.5 * self._dot(d, d)

    def _gradient(self, dz: np.ndarray) -> None:
        p, d = self.a["p"], self.a["s"]
        if self.output == "sigmoid":
            np.subtract(1, p, out=dz)
            np.multiply(dz, d, out=dz)
        else:
            top = self.a["top"]
            np.multiply(d, p, out=dz)
            np.add.reduce(dz, axis=0, out=top, keepdims=True)
            np.subtract(d, top, out=dz)
        np.multiply(dz, p, out=dz)


LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in (CrossEntropy, BinaryCrossEntropy, MeanSquaredError)}
