"""Random streams of a training: from a seed, one a purpose, and put back to where they were."""

import numpy as np

from mnistlab.system.random import stream
from mnistlab.training.components import RandomStreams


def test_the_streams_of_a_seed_are_those_of_their_names():
    streams = RandomStreams.from_seed(3)
    for name, rng in vars(streams).items():
        assert rng.random() == stream(3, name).random()


def test_a_stream_that_is_not_there_has_no_state():
    assert list(RandomStreams(stream(0, "order"), stream(0, "dropout")).state()) == ["order", "dropout"]


def test_they_go_back_to_where_they_were():
    streams = RandomStreams.from_seed(0)
    state = streams.state()
    drawn = [rng.random(5) for rng in vars(streams).values()]
    streams.restore(state)
    np.testing.assert_array_equal([rng.random(5) for rng in vars(streams).values()], drawn)
