"""Threads do every part of a call once, call by call, even if they come late or are fewer than expected."""

import threading
import time

import numba
import numpy as np
import pytest

from mnistlab.nn.kernels import sharing
from mnistlab.nn.kernels.jit import PARTS, ints_at, kernel
from mnistlab.nn.kernels.memory import address
from mnistlab.nn.kernels.program import YIELD_CORE, Program, runner

RUNS = 300


@kernel
def count(arguments, part):
    """Add 1 to the count of the part."""
    counts = ints_at(arguments[0])
    counts[8 * part] += 1


@kernel
def add_up(arguments, part):
    """Write the sum of all counts as this part sees them."""
    counts, sums, total = ints_at(arguments[0]), ints_at(arguments[1]), 0
    for i in range(PARTS):
        total += counts[8 * i]
    sums[8 * part] = total


@pytest.fixture
def counted():
    """A program that counts its parts and then adds the counts up, with both."""
    counts, sums = np.zeros((PARTS, 8), np.int64), np.zeros((PARTS, 8), np.int64)
    program = Program()
    program.add(count, address(counts))
    program.add(add_up, address(counts), address(sums))
    return program, counts[:, 0], sums[:, 0]


@pytest.mark.parametrize("threads", [1, 2, 3, PARTS, 64])
def test_every_part_is_done_once_a_run_and_seen_by_the_next_call(counted, threads):
    program, counts, sums = counted
    for run in range(1, RUNS + 1):
        program.run(threads)
        assert list(counts) == [run] * PARTS
        assert list(sums) == [run * PARTS] * PARTS


def test_one_thread_alone_does_the_parts_of_all(counted):
    program, counts, sums = counted
    run = runner(True)
    calls = len(program.table)
    numba.set_num_threads(1)
    for turn in range(1, 4):
        run(program._first, calls, PARTS, address(program.boards), turn, YIELD_CORE)
    assert list(counts) == [3] * PARTS
    assert list(sums) == [3 * PARTS] * PARTS


def test_a_run_that_is_interrupted_before_it_begins_is_no_turn(counted, monkeypatch):
    program, counts, _ = counted
    program.run(2)
    with monkeypatch.context() as patch:
        patch.setattr("mnistlab.nn.kernels.program.address", lambda _array: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            program.run(2)
    program.run(2)
    assert list(counts) == [2] * PARTS


def test_a_part_is_claimed_once_in_a_turn():
    board = np.zeros(sharing.STRIDE, np.int64)
    assert sharing.claim(address(board), 1, 1)
    assert not sharing.claim(address(board), 1, 1)
    assert sharing.claim(address(board), 2, 1)
    assert sharing.claim(address(board), 1, 2)


@pytest.mark.parametrize("yield_core", [YIELD_CORE, 0], ids=["yielding", "spinning"])
def test_who_waits_goes_on_when_the_last_part_is_done(yield_core):
    board = np.zeros(sharing.STRIDE, np.int64)

    @numba.njit(nogil=True)
    def wait(board, yield_core):
        sharing.wait(board, 1, yield_core)

    board[sharing.DONE] = PARTS
    wait(address(board), yield_core)  # compiled, and back at once
    board[sharing.DONE] = 0
    waiting = threading.Thread(target=wait, args=(address(board), yield_core))
    waiting.start()
    for _ in range(PARTS):
        time.sleep(0.01)
        assert waiting.is_alive()
        sharing.finish(address(board))
    waiting.join(timeout=10)
    assert not waiting.is_alive()
