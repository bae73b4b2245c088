"""An estimator that version 0.1 pickled, under the module names of then: it loads, predicts the same and learns on.

estimator_0_1.pickle was written by version 0.1:

    X, y = np.arange(24.0).reshape(8, 3) % 5, np.array(["a", "b"])[np.arange(8) % 2]
    model = NetworkClassifier(
        (2,), optimizer=Nesterov(momentum=0.8), learning_rate_init=0.05, schedule=Constant(), init=Xavier(),
        dropout=0.2, batch_size=3, max_iter=2, tol=None, random_state=0,
    )
    pickle.dumps(model.fit(X, y))
"""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnistlab import NetworkClassifier
from mnistlab.models.estimator_state import EstimatorState
from mnistlab.nn.initializers import Xavier
from mnistlab.nn.optimizers import Nesterov

PICKLE = Path(__file__).with_name("estimator_0_1.pickle")
X, LABELS = np.arange(24.0).reshape(8, 3) % 5, np.array(["a", "b"])[np.arange(8) % 2]
# what version 0.1 gave: probabilities of "a" for the first five rows (the others repeat), before and after partial_fit
BEFORE = [0.48932151783832967, 0.46487224698358975, 0.43672300575586176, 0.461100095450888, 0.43672300575586176]
AFTER = [0.4358989986434518, 0.4543187752324235, 0.4358989986434518, 0.44631905323389104, 0.4358989986434518]
LOSSES = [0.9422040042206766, 0.8300916452165854, 0.7080685862167659]


@pytest.fixture
def model():
    return pickle.loads(PICKLE.read_bytes())  # noqa: S301


def test_it_is_an_estimator_of_today(model):
    assert type(model) is NetworkClassifier
    assert type(model._training) is EstimatorState
    assert (type(model.optimizer), type(model.init)) == (Nesterov, Xavier)
    assert b"mnistlab.estimator" not in pickle.dumps(model)


def test_it_predicts_as_it_did(model):
    np.testing.assert_allclose(model.predict_proba(X)[:5, 0], BEFORE, rtol=1e-12)
    assert model.loss_curve_ == LOSSES[:2]


@pytest.mark.parametrize("again", [False, True])
def test_it_learns_on_as_it_would_have(model, again):
    if again:
        model = pickle.loads(pickle.dumps(model))  # noqa: S301
    model.partial_fit(X, LABELS)
    np.testing.assert_allclose(model.predict_proba(X)[:5, 0], AFTER, rtol=1e-12)
    np.testing.assert_allclose(model.loss_curve_, LOSSES, rtol=1e-12)


def test_a_fresh_process_loads_it_with_nothing_imported_before():
    code = f"import pickle; print(pickle.load(open({str(PICKLE)!r}, 'rb')).n_iter_)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "2\n"


def test_other_names_are_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'mnistlab.estimators'"):
        __import__("mnistlab.estimators")
