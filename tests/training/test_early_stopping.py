"""The one rule of early stopping, with the parameters of a run and with those of the estimator."""

import math

import numpy as np
import pytest
from helpers.networks import network

from mnistlab.nn.layers import Dense, Flatten
from mnistlab.training.early_stopping import EarlyStopping, Score, StoppingRule

RUN = StoppingRule(patience=2, min_delta=0.25)  # more than min_delta above the last improvement
ESTIMATOR = StoppingRule(patience=2, min_delta=0.25, inclusive=True, from_best=True)  # at least, above the best


def stop(rule, values):
    """The epoch after which training stops, the best one, and the one of the last improvement."""
    stopping = EarlyStopping(rule)
    for epoch, value in enumerate(values, 1):
        stopping.take(epoch, value, None)
        if stopping.stops_after(epoch):
            return epoch, stopping.epoch, stopping.waiting_since
    return None, stopping.epoch, stopping.waiting_since


@pytest.mark.parametrize(
    ("rule", "values", "expected"),
    [
        (RUN, [0.0, 0.25, 0.25, 9], (3, 2, 1)),  # by min_delta exactly: none of a run's improvements
        (ESTIMATOR, [0.0, 0.25, 0.25, 0.25, 9], (4, 2, 2)),  # but one of the estimator's
        (RUN, [0.0, 0.2, 0.4, 0.4, 0.4, 9], (5, 3, 3)),  # small gains add up
        (ESTIMATOR, [0.0, 0.2, 0.4, 9], (3, 3, 1)),  # against the best so far they do not
        (RUN, [1.0, 0.5, 2.0, 0.0], (None, 3, 3)),
        (StoppingRule(None), [3.0, 2.0, 1.0, 0.0], (None, 1, 1)),
        (StoppingRule(1), [0.0, 0.0], (2, 1, 1)),  # equal is no improvement
        (StoppingRule(1, inclusive=True, from_best=True), [0.0, 0.0, -1.0], (3, 1, 2)),  # unless min_delta=0 is enough
    ],
)
def test_when_training_stops(rule, values, expected):
    assert stop(rule, values) == expected


def test_an_undefined_metric_in_the_first_epoch_is_taken_and_later_ones_are_not():
    assert stop(StoppingRule(2), [math.nan, math.nan, math.nan]) == (3, 1, 1)
    assert stop(StoppingRule(3), [0.5, math.nan, 0.6]) == (None, 3, 3)


def test_the_weights_of_the_best_epoch_come_back():
    made = network([Flatten(), Dense(3)])
    stopping = EarlyStopping(RUN)
    for epoch, value in enumerate([0.1, 0.3, 0.2], 1):
        made.theta[:] = epoch
        stopping.take(epoch, value, made)
    stopping.restore_weights(made)
    assert (made.theta == 2).all()


def test_epoch_zero_is_what_was_there_before():
    made = network([Flatten(), Dense(3)])
    made.theta[:] = 7
    stopping = EarlyStopping(ESTIMATOR)
    stopping.take(0, 0.9, made)  # the best of a training before this one
    made.theta[:] = 1
    stopping.take(1, 0.8, made)
    assert not stopping.stops_after(1)
    assert stopping.stops_after(2)
    stopping.restore_weights(made)
    assert (made.theta == 7).all()


def test_a_score_is_higher_the_better():
    made = network([Flatten(), Dense(3)])
    images = np.zeros((4, *made.image_shape), np.uint8)
    assert Score(lambda probabilities: len(probabilities), True).value(made, images) == 4
    assert Score(lambda probabilities: len(probabilities), False).value(made, images) == -4
