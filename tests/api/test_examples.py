"""The examples in the docstrings of the public functions run."""

from __future__ import annotations

import doctest

import pytest

import mnistlab
from mnistlab.api import commands


@pytest.mark.parametrize("name", ["train", "runs"])
def test_an_example_runs(name: str) -> None:
    mnistlab.train("experiment=smoke", "trainer.epochs=1", quiet=True)  # so that there are runs
    (example,) = doctest.DocTestFinder(recurse=False).find(getattr(commands, name), name, globs={"mnistlab": mnistlab})
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    runner.run(example)
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0
