"""Metrics against Keras: names, signatures, masks, plain values; test_drawn_metrics.py has the results."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect

import keras
import numpy as np
import pytest

import kerata
from kerata import metrics

pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64")  # Keras asks JAX for it

RNG = np.random.default_rng(11)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


CLOSE = {"rtol": 1e-6, "atol": 2e-7}


def both(name, kwargs):
    return getattr(metrics, name)(**kwargs), getattr(keras.metrics, name)(**kwargs)


GIVEN = {
    "SensitivityAtSpecificity": [0.5], "SpecificityAtSensitivity": [0.5], "PrecisionAtRecall": [0.5],
    "RecallAtPrecision": [0.5], "IoU": [3, [0]], "MeanIoU": [3], "OneHotIoU": [3, [0]], "OneHotMeanIoU": [3],
    "MeanMetricWrapper": [max],
}  # fmt: skip
CLASSES = [name for name, thing in vars(keras.metrics).items() if inspect.isclass(thing) and name != "Metric"]


def test_automatic_names():
    keras.utils.clear_session()
    kerata.core.scopes.reset_names()
    for name in [*CLASSES, *CLASSES]:
        ours, theirs = (getattr(k.metrics, name)(*GIVEN.get(name, [])) for k in (kerata, keras))
        assert ours.name == theirs.name


@pytest.mark.parametrize("name", ["Mean", "Sum"])
@pytest.mark.parametrize("dtype", [None, "float16", "int32"])
def test_values_alone(name, dtype):
    ours, theirs = both(name, {"dtype": dtype})
    for values, weight in [
        (3.0, None), (4.0, 2.0), ([1, 2, 3], None), ([1.0, 2.0], [0.5, 2.0]), (np.ones((2, 3)), None),
        (np.arange(6.0).reshape(2, 3), [1.0, 0.0]), (np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3)),
        (np.arange(4.0).reshape(4, 1), [1.0, 0.0, 2.0, 1.0]), (np.arange(12.0).reshape(2, 3, 2), np.ones((2, 3))),
    ]:  # fmt: skip
        ours.update_state(values, sample_weight=weight)
        theirs.update_state(values, sample_weight=weight)
        np.testing.assert_allclose(np.asarray(ours.result()), np.asarray(theirs.result()), **CLOSE)
        assert str(ours.result().dtype) == str(theirs.result().dtype)


def test_batches_of_several_sizes():
    ours, theirs = both("MeanAbsoluteError", {})
    for size in (3, 1, 5):
        batch = real(size, 2), real(size, 2)
        np.testing.assert_allclose(np.asarray(ours(*batch)), np.asarray(theirs(*batch)), **CLOSE)


@pytest.mark.parametrize("weighted", [False, True])
def test_mask_of_predictions(weighted):
    y_true, y_pred = real(4, 3, 2), real(4, 3, 2)
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    weight = np.arange(1.0, 5.0)[:, None] if weighted else None
    p, q = kerata.ops.convert_to_tensor(y_pred), keras.ops.convert_to_tensor(y_pred)
    kerata.core.scopes.set_mask(p, kerata.ops.convert_to_tensor(mask))
    keras.src.backend.set_keras_mask(q, keras.ops.convert_to_tensor(mask))
    ours, theirs = both("MeanSquaredError", {})
    np.testing.assert_allclose(np.asarray(ours(y_true, p, weight)), np.asarray(theirs(y_true, q, weight)), **CLOSE)


@pytest.mark.parametrize("name", [name for name in dir(keras.metrics) if not name.startswith("_")])
def test_signature(name):
    given = [
        [(p.name, p.default) for p in inspect.signature(getattr(k.metrics, name)).parameters.values()]
        for k in (kerata, keras)
    ]
    assert given[0] == given[1]


@pytest.mark.parametrize(
    "name", ["mse", "MSE", "mean_squared_error", "MeanSquaredError", "bce", "auc", "AUC", "accuracy", "mape"]
)
def test_get_by_name(name):
    keras.utils.clear_session()
    kerata.core.scopes.reset_names()
    theirs = keras.metrics.get(name)
    ours = metrics.get(name)
    assert type(ours).__name__ == type(theirs).__name__ and ours.name == theirs.name
