"""Schedules at written-out steps, and what holds for all of them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mnistlab.nn.schedules import SCHEDULES, Constant, Cosine, Exponential, OneCycle, Plateau, Step
from mnistlab.system.errors import RequestError

HALF = math.sqrt(0.5)  # cos(pi / 4)


def factors(schedule, epochs, steps_per_epoch, losses=None):
    """The factor of every step; ``losses`` are what the schedule hears at the end of each epoch."""
    schedule.start(epochs, steps_per_epoch)
    found = []
    for epoch in range(epochs):
        found += [schedule.factor(epoch * steps_per_epoch + i) for i in range(steps_per_epoch)]
        schedule.end_epoch(losses[epoch] if losses else 1 / (1 + epoch))
    return found


@pytest.mark.parametrize(
    ("schedule", "epochs", "steps_per_epoch", "expected"),
    [
        (Constant(), 2, 2, [1, 1, 1, 1]),
        (Constant(warmup=1), 2, 4, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1, 1]),
        (Constant(warmup=0.5), 2, 4, [1 / 2, 1, 1, 1, 1, 1, 1, 1]),  # half an epoch
        (Step(every=2, gamma=0.5), 5, 2, [1, 1, 1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 4, 1 / 4]),
        (Step(every=1, gamma=0.1, warmup=1), 3, 2, [1 / 2, 1, 1, 1, 0.1, 0.1]),  # its clock starts after the warm-up
        (Exponential(gamma=0.25), 2, 2, [1, 1 / 2, 1 / 4, 1 / 8]),  # 0.25^(1/2) a step
        (Exponential(gamma=0.25, warmup=1), 3, 2, [1 / 2, 1, 1, 1 / 2, 1 / 4, 1 / 8]),
        (Cosine(), 2, 2, [1, (1 + HALF) / 2, 1 / 2, (1 - HALF) / 2]),
        (Cosine(floor=0.2), 2, 2, [1, 0.2 + 0.4 * (1 + HALF), 0.6, 0.2 + 0.4 * (1 - HALF)]),
        (Cosine(warmup=1), 3, 2, [1 / 2, 1, 1, (1 + HALF) / 2, 1 / 2, (1 - HALF) / 2]),
        # four rising steps from 1/4, half way at 5/8; then five falling ones to 1/10 at the last step
        (
            OneCycle(rise=0.4, start_divisor=4, end_divisor=10),
            2,
            5,
            [
                *(5 / 8 - 3 / 8 * math.cos(math.pi * i / 4) for i in range(4)),
                *(11 / 20 + 9 / 20 * math.cos(math.pi * i / 5) for i in range(6)),
            ],
        ),
    ],
    ids=str,
)
def test_factors_by_hand(schedule, epochs, steps_per_epoch, expected):
    assert factors(schedule, epochs, steps_per_epoch) == pytest.approx(expected, rel=1e-12)


def test_one_cycle_starts_low_peaks_once_at_1_and_ends_lowest():
    found = factors(OneCycle(rise=0.3), 4, 25)  # 30 rising steps of 100
    assert found[0] == pytest.approx(1 / 25)
    assert found[30] == pytest.approx(1)
    assert found[-1] == pytest.approx(1e-4)
    assert found[:31] == sorted(found[:31])
    assert found[30:] == sorted(found[30:], reverse=True)


def test_one_cycle_that_never_rises_only_falls():
    found = factors(OneCycle(rise=0.0), 1, 10)
    assert (found[0], found[-1]) == (1, pytest.approx(1e-4))


def test_the_cosine_ends_at_its_floor():
    schedule = Cosine(floor=0.2)
    schedule.start(10, 100)
    assert schedule.factor(1000) == pytest.approx(0.2)
    assert schedule.factor(999) == pytest.approx(0.2, abs=1e-5)


def test_plateau_by_hand():
    schedule = Plateau(patience=2, gamma=0.5, threshold=0.01, floor=0.2)
    losses = [
        1.0,  # the best so far
        0.995,  # not lower by 1 %: waits
        0.98,  # lower than 0.99: the new best
        0.98,  # waits
        0.975,  # not below 0.9702: the second in a row, 1 -> 1/2
        0.972,  # waits again, from the start
        0.5,  # better: the waiting is over
        0.6,
        0.6,  # 1/2 -> 1/4
        0.6,
        0.6,  # 1/8 would be below the floor: 0.2
        0.6,
    ]
    expected = [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2]
    assert factors(schedule, len(losses), 1, losses) == expected
    assert schedule.factor(0) == 0.2  # the whole epoch has the factor that the epochs before it led to
    schedule.start(3, 1)
    assert schedule.factor(0) == 1


def test_a_loss_that_is_not_a_number_is_no_improvement():
    assert factors(Plateau(patience=1, gamma=0.5), 3, 1, [1.0, math.nan, 0.5]) == [1, 1, 0.5]


SOME = {
    "constant": st.builds(dict),
    "step": st.fixed_dictionaries({"every": st.integers(1, 9), "gamma": st.floats(0.01, 1)}),
    "exponential": st.fixed_dictionaries({"gamma": st.floats(0.01, 1)}),
    "cosine": st.fixed_dictionaries({"floor": st.floats(0, 0.99)}),
    "one_cycle": st.fixed_dictionaries(
        {"rise": st.floats(0, 0.99), "start_divisor": st.floats(1, 1e4), "end_divisor": st.floats(1, 1e6)}
    ),
    "plateau": st.fixed_dictionaries(
        {"gamma": st.floats(0.01, 0.99), "patience": st.integers(1, 4), "floor": st.floats(0, 0.99)}
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_every_factor_lies_above_0_and_at_most_at_1(name, data):
    epochs, steps = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    warmup = data.draw(st.sampled_from([0, epochs / 2, epochs * 0.99]))
    losses = data.draw(st.lists(st.floats(0, 10), min_size=epochs, max_size=epochs))
    schedule = SCHEDULES[name](warmup=warmup, **data.draw(SOME[name]))
    assert all(0 < factor <= 1 + 1e-12 for factor in factors(schedule, epochs, steps, losses))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(warmup=-1), "warmup=-1: the warm-up (epochs) must be zero or more"),
        (
            lambda: Cosine(warmup=5).start(5, 10),
            "warmup=5: the warm-up must be shorter than epochs=5",
        ),
        (lambda: Step(every=0), "every=0: the epochs between two steps must be a whole number of 1 or more"),
        (lambda: Step(gamma=1.1), "gamma=1.1: the factor must be above 0 and at most 1"),
        (lambda: Exponential(gamma=0.0), "gamma=0.0: the factor must be above 0 and at most 1"),
        (lambda: Cosine(floor=1.0), "floor=1.0: the final factor must be at least 0 and below 1"),
        (lambda: OneCycle(rise=1.0), "rise=1.0: the share of rising steps must be at least 0 and below 1"),
        (
            lambda: OneCycle(start_divisor=0.5),
            "start_divisor=0.5: the divisor must be 1 or more; lr is the peak",
        ),
        (lambda: OneCycle(end_divisor=0), "end_divisor=0: the divisor must be 1 or more; lr is the peak"),
        (lambda: Plateau(gamma=1.0), "gamma=1.0: the factor must be at least 0 and below 1"),
        (lambda: Plateau(gamma=0.0), "gamma=0.0: the factor must be positive"),
        (lambda: Plateau(patience=0), "patience=0: the patience (epochs) must be a whole number of 1 or more"),
        (lambda: Plateau(threshold=-1e-4), "threshold=-0.0001: the threshold must be zero or more"),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(RequestError) as error:
        make()
    assert str(error.value) == message
