"""What the tests of kernels share: they are skipped where kernels cannot be used."""

import pytest

from mnistlab.nn import kernels


@pytest.fixture(autouse=True)
def available() -> None:
    if reason := kernels.unavailable():
        pytest.skip(reason)
