"""A joblib process of a sweep."""

import os
from collections.abc import Iterator

import pytest

from mnistlab.sweeps.launchers.joblib import Worker

pytestmark = pytest.mark.slow
KEEP = "import builtins, time; builtins.kept = b'x' * 400_000_000; time.sleep(1.1)"  # loky looks once a second


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def test_it_lives_on_after_a_job_that_keeps_a_dataset(worker):
    pytest.importorskip("psutil", reason="without psutil, loky does not look at the memory of its processes")
    worker.ready.result()
    before = worker.submit(os.getpid).result()
    worker.submit(exec, KEEP).result()
    assert worker.submit(os.getpid).result() == before
