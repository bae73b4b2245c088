import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnistlab.data import splitting

LABELS = st.lists(st.integers(0, 6), min_size=1, max_size=80).map(lambda labels: np.array(labels, np.int64))
RULES = {
    "random": lambda labels, n: splitting.draw(labels, n, True, np.random.default_rng(0)),
    "spread": lambda labels, n: splitting.spread(labels, n, True),
    "last": splitting.last,
}


@pytest.mark.parametrize("rule", RULES)
@given(labels=LABELS, share=st.floats(0, 1))
def test_each_class_gets_its_share(rule, labels, share):
    n = int(share * len(labels))
    rows = RULES[rule](labels, n)
    assert len(rows) == n
    assert (np.diff(rows) > 0).all(), "in order, each once"
    exact = np.bincount(labels) * n / len(labels)
    assert (np.abs(np.bincount(labels[rows], minlength=len(exact)) - exact) < 1).all()


@given(labels=LABELS, share=st.floats(0, 1), stratify=st.booleans())
def test_a_split_is_a_partition(labels, share, stratify):
    rows = splitting.draw(labels, int(share * len(labels)), stratify, np.random.default_rng(1))
    both = np.concatenate([rows, splitting.others(rows, len(labels))])
    assert sorted(both) == list(range(len(labels)))


def test_largest_remainders_by_hand():
    # 10 rows of 7 for classes of 5, 3 and 2: exact shares 3.5, 2.1, 1.4; the one left over goes to 3.5
    np.testing.assert_array_equal(splitting.apportion(np.array([5, 3, 2]), 7), [4, 2, 1])


def test_last_rows_of_each_class():
    np.testing.assert_array_equal(splitting.last(np.array([0, 1, 0, 1, 0, 0, 1, 1]), 4), [4, 5, 6, 7])


def test_spread_rows_without_classes():
    np.testing.assert_array_equal(splitting.spread(np.zeros(6, np.int64), 3, False), [1, 3, 5])


def test_another_seed_is_another_draw():
    labels = np.arange(100) % 10
    draws = [splitting.draw(labels, 20, True, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
