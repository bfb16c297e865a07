"""Metrics against Keras: the same batches give the same result after each, the same config, the same fresh start."""

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
SIZE, C = 4, 5
N = 3 * SIZE


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def rows(*shape, axis=-1):
    """One-hot rows of `shape`, the classes on `axis`."""
    numbers = RNG.integers(0, shape[axis], [d for i, d in enumerate(shape) if i != axis % len(shape)])
    return np.moveaxis(np.eye(shape[axis], dtype="float32")[numbers], -1, axis)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


def share(*shape):
    return RNG.uniform(0.0, 1.0, shape).astype("float32")


def ordered(*shape):
    """Class numbers, best first."""
    return np.argsort(real(*shape), axis=-1).astype("int32")


# name -> (y_true, y_pred), cut into batches
DATA = {
    "real": (real(N, 3), real(N, 3)),
    "real (N,) to (N, 1)": (real(N), real(N, 1)),
    "real (N, T, D)": (real(N, 4, 3), real(N, 4, 3)),
    "positive": (share(N, 3) * 5, share(N, 3) * 5),
    "equal or not": (RNG.integers(0, 3, (N, 1)), RNG.integers(0, 3, (N, 1))),
    "yes-no (N,)": (RNG.integers(0, 2, N), share(N)),
    "yes-no (N,) to (N, 1)": (RNG.integers(0, 2, N), share(N, 1)),
    "yes-no (N, L)": (RNG.integers(0, 2, (N, 3)), share(N, 3)),
    "yes-no logits": (RNG.integers(0, 2, (N, 3)), real(N, 3) * 3),
    "yes-no round": (RNG.integers(0, 2, N), np.linspace(0, 1, N).astype("float32")),
    "yes-no certain": (RNG.integers(0, 2, (N, 1)), RNG.integers(0, 2, (N, 1)).astype("float32")),
    "signs": (RNG.choice([-1.0, 1.0], (N, 3)).astype("float32"), real(N, 3)),
    "one-hot": (rows(N, C), softmax(real(N, C))),
    "one-hot logits": (rows(N, C), real(N, C)),
    "one-hot (N, T, C)": (rows(N, 4, C), softmax(real(N, 4, C))),
    "one-hot (N, C, T)": (rows(N, C, 4, axis=1), softmax(real(N, C, 4), 1)),
    "numbers": (RNG.integers(0, C, N), softmax(real(N, C))),
    "numbers (N, 1)": (RNG.integers(0, C, (N, 1)), softmax(real(N, C))),
    "numbers (N, T)": (RNG.integers(0, C, (N, 4)), softmax(real(N, 4, C))),
    "numbers logits": (RNG.integers(0, C, N), real(N, C)),
    "numbers some -1": (RNG.integers(-1, 3, N), softmax(real(N, C))),
    "numbers to sorted": (RNG.integers(0, C, N), ordered(N, C)),
    "numbers to numbers": (RNG.integers(0, C, (N, 4)), RNG.integers(0, C, (N, 4))),
    "distributions": (softmax(real(N, C)), softmax(real(N, C))),
}

TABLE = [
    ("MeanSquaredError", {}, "real"),
    ("MeanSquaredError", {}, "real (N,) to (N, 1)"),
    ("MeanSquaredError", {}, "real (N, T, D)"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("RootMeanSquaredError", {}, "real"),
    ("RootMeanSquaredError", {}, "real (N,) to (N, 1)"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real (N, T, D)"),
    ("LogCoshError", {}, "real"),
    ("PearsonCorrelation", {}, "real"),
    ("ConcordanceCorrelation", {}, "real"),
    ("R2Score", {}, "real"),
    ("R2Score", {"class_aggregation": None}, "real"),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, "real"),
    ("R2Score", {"num_regressors": 1}, "real"),
    ("KLDivergence", {}, "distributions"),
    ("Poisson", {}, "positive"),
    ("BinaryCrossentropy", {}, "yes-no (N, L)"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "yes-no logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2, "from_logits": True}, "one-hot logits"),
    ("CategoricalCrossentropy", {"axis": 1}, "one-hot (N, C, T)"),
    ("SparseCategoricalCrossentropy", {}, "numbers"),
    ("SparseCategoricalCrossentropy", {}, "numbers (N, T)"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "numbers logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, "numbers some -1"),
    ("Hinge", {}, "signs"),
    ("SquaredHinge", {}, "signs"),
    ("CategoricalHinge", {}, "one-hot"),
    ("Accuracy", {}, "equal or not"),
    ("Accuracy", {}, "numbers to numbers"),
    ("BinaryAccuracy", {}, "yes-no (N,)"),
    ("BinaryAccuracy", {}, "yes-no (N,) to (N, 1)"),
    ("BinaryAccuracy", {"threshold": 0.7}, "yes-no (N, L)"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("CategoricalAccuracy", {}, "one-hot (N, T, C)"),
    ("SparseCategoricalAccuracy", {}, "numbers"),
    ("SparseCategoricalAccuracy", {}, "numbers (N, 1)"),
    ("SparseCategoricalAccuracy", {}, "numbers (N, T)"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("TopKCategoricalAccuracy", {"k": 3}, "one-hot (N, T, C)"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "numbers"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "numbers (N, T)"),
    ("SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True}, "numbers to sorted"),
    ("TruePositives", {}, "yes-no (N,)"),
    ("TrueNegatives", {"thresholds": 0.3}, "yes-no (N, L)"),
    ("FalsePositives", {"thresholds": [0.1, 0.35, 0.8]}, "yes-no (N,) to (N, 1)"),
    ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, "yes-no certain"),
    ("Precision", {}, "yes-no (N,)"),
    ("Precision", {"thresholds": [0.2, 0.6]}, "yes-no (N, L)"),
    ("Precision", {"top_k": 2}, "one-hot"),
    ("Precision", {"top_k": 2, "class_id": 1}, "one-hot"),
    ("Recall", {}, "yes-no (N,)"),
    ("Recall", {"class_id": 2, "thresholds": 0.1}, "one-hot"),
    ("Recall", {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, "yes-no round"),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, "yes-no (N,)"),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "num_thresholds": 1}, "yes-no (N,)"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.9}, "yes-no round"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.3, "num_thresholds": 11}, "yes-no certain"),
    ("PrecisionAtRecall", {"recall": 0.6, "class_id": 1}, "yes-no (N, L)"),
    ("RecallAtPrecision", {"precision": 0.5}, "yes-no (N,)"),
    ("AUC", {}, "yes-no (N,)"),
    ("AUC", {"num_thresholds": 12}, "yes-no round"),
    ("AUC", {"curve": "PR"}, "yes-no (N,)"),
    ("AUC", {"curve": "PRGAIN", "summation_method": "minoring"}, "yes-no (N,)"),
    ("AUC", {"curve": "PR", "summation_method": "majoring"}, "yes-no (N, L)"),
    ("AUC", {"thresholds": [0.1, 0.6, 0.4]}, "yes-no (N,) to (N, 1)"),
    ("AUC", {"multi_label": True, "num_thresholds": 20}, "yes-no (N, L)"),
    ("AUC", {"multi_label": True, "num_labels": 3, "label_weights": [1.0, 2.0, 0.5], "curve": "PR"}, "yes-no (N, L)"),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5]}, "yes-no (N, L)"),
    ("AUC", {"multi_label": True, "thresholds": [0.2, 0.3]}, "yes-no (N, L)"),
    ("AUC", {"from_logits": True}, "yes-no logits"),
    ("F1Score", {}, "one-hot"),
    ("F1Score", {"average": "macro", "threshold": 0.3}, "yes-no (N, L)"),
    ("FBetaScore", {"average": "micro", "beta": 2.0}, "one-hot"),
    ("FBetaScore", {"average": "weighted", "beta": 0.5}, "one-hot"),
    ("IoU", {"num_classes": C, "target_class_ids": [0, 3]}, "numbers to numbers"),
    ("IoU", {"num_classes": C, "target_class_ids": [1], "sparse_y_pred": False}, "numbers (N, T)"),
    (
        "IoU", {"num_classes": C, "target_class_ids":
        [1, 2], "ignore_class": -1, "sparse_y_pred": False}, "numbers some -1",
    ),
    ("BinaryIoU", {"threshold": 0.3}, "yes-no (N, L)"),
    ("BinaryIoU", {"target_class_ids": [1], "dtype": "float32"}, "yes-no (N,)"),
    ("MeanIoU", {"num_classes": C}, "numbers to numbers"),
    ("MeanIoU", {"num_classes": 3, "ignore_class": 1}, "numbers to numbers"),
    ("OneHotIoU", {"num_classes": C, "target_class_ids": [0, 2]}, "one-hot"),
    ("OneHotMeanIoU", {"num_classes": C, "axis": -1}, "one-hot (N, T, C)"),
]  # fmt: skip

IDS = [f"{name} {kwargs or ''} on {data}" for name, kwargs, data in TABLE]
TABLED = pytest.mark.parametrize("name, kwargs, data", TABLE, ids=IDS)
CLOSE = {"rtol": 1e-6, "atol": 2e-7}
# Differences of nearly equal sums, which another order of summing moves a little.
LOOSER = {"R2Score": {"rtol": 1e-5, "atol": 1e-6}}


def both(name, kwargs):
    return getattr(metrics, name)(**kwargs), getattr(keras.metrics, name)(**kwargs)


def batches(*arrays):
    """Yield three batches of arrays that belong together; None stays None."""
    for start in range(0, N, SIZE):
        yield tuple(None if x is None else x[start : start + SIZE] for x in arrays)


def weight_for(name, data):
    """One whole number for each sample where the metric counts in integers, and for flat ones for each value."""
    weight = RNG.integers(1, 4, N)
    if "IoU" in name:
        shape = DATA[data][0].shape
        shape = shape[:-1] if "one-hot" in data else shape
        return np.broadcast_to(weight.reshape(-1, *[1] * (len(shape) - 1)), shape).astype("int32")
    return weight.astype("float32") / 2


@TABLED
def test_three_batches(name, kwargs, data):
    ours, theirs = both(name, kwargs)
    close = LOOSER.get(name, CLOSE)
    for i, (y_true, y_pred, weight) in enumerate(batches(*DATA[data], weight_for(name, data))):
        for metric in (ours, theirs):
            metric.update_state(y_true, y_pred, sample_weight=weight if i else None)
        np.testing.assert_allclose(np.asarray(ours.result()), np.asarray(theirs.result()), **close)
    state = [np.asarray(v) for v in theirs.variables]
    assert [v.shape for v in ours.variables] == [v.shape for v in state]
    for v, w in zip(ours.variables, state):
        np.testing.assert_allclose(v.numpy(), w, rtol=1e-5, atol=1e-6, err_msg=v.path)
    assert [v.path for v in ours.variables] == [v.path for v in theirs.variables]

    ours.reset_state()
    theirs.reset_state()
    assert not any(v.numpy().any() for v in ours.variables)
    first = next(batches(*DATA[data]))
    np.testing.assert_allclose(np.asarray(ours(*first)), np.asarray(theirs(*first)), **close)


def plain(config):
    return {k: np.asarray(v).tolist() if hasattr(v, "__array__") else v for k, v in config.items()}


@TABLED
def test_config(name, kwargs, data):
    ours, theirs = both(name, {**kwargs, "name": "mine"})
    forgotten = {"CosineSimilarity": {"axis"}}.get(name, set())  # ours keeps what Keras forgets
    expected = {**plain(theirs.get_config()), **{k: v for k, v in kwargs.items() if k in forgotten}}
    assert ours.get_config() == expected
    assert type(ours).from_config(ours.get_config()).get_config() == expected
    serialized = metrics.serialize(ours)
    assert serialized["module"] == "keras.metrics" and serialized["class_name"] == name
    assert plain(keras.saving.deserialize_keras_object(serialized).get_config()) == plain(theirs.get_config())
    again = metrics.deserialize(serialized)
    assert type(again) is type(ours) and again.get_config() == expected
    assert getattr(ours, "_direction", None) == getattr(theirs, "_direction", None)


@TABLED
def test_automatic_name(name, kwargs, data):
    keras.utils.clear_session()
    kerata.core.scopes.reset_names()
    for _ in range(2):
        ours, theirs = both(name, kwargs)
        assert ours.name == theirs.name


FUNCTIONS = [
    ("binary_accuracy", {}, "yes-no (N, L)"),
    ("binary_accuracy", {"threshold": 0.2}, "yes-no (N,) to (N, 1)"),
    ("categorical_accuracy", {}, "one-hot (N, T, C)"),
    ("sparse_categorical_accuracy", {}, "numbers"),
    ("sparse_categorical_accuracy", {}, "numbers (N, 1)"),
    ("sparse_categorical_accuracy", {}, "numbers (N, T)"),
    ("top_k_categorical_accuracy", {"k": 3}, "one-hot (N, T, C)"),
    ("sparse_top_k_categorical_accuracy", {"k": 1}, "numbers (N, T)"),
    ("sparse_top_k_categorical_accuracy", {"k": 3, "from_sorted_ids": True}, "numbers to sorted"),
    ("pearson_correlation", {"axis": 0}, "real"),
    ("concordance_correlation", {"axis": 0}, "real"),
    ("mean_squared_error", {}, "real"),
    ("huber", {"delta": 0.4}, "real"),
    ("binary_focal_crossentropy", {}, "yes-no (N, L)"),
]


@pytest.mark.parametrize("name, kwargs, data", FUNCTIONS)
def test_function(name, kwargs, data):
    ours = np.asarray(getattr(metrics, name)(*DATA[data], **kwargs))
    theirs = np.asarray(getattr(keras.metrics, name)(*DATA[data], **kwargs))
    np.testing.assert_allclose(ours, theirs, **CLOSE)


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


def test_wrapper():
    ours, theirs = (k.metrics.MeanMetricWrapper(k.losses.huber, name="h", delta=0.5) for k in (kerata, keras))
    for y_true, y_pred in batches(*DATA["real"]):
        np.testing.assert_allclose(np.asarray(ours(y_true, y_pred)), np.asarray(theirs(y_true, y_pred)), **CLOSE)
    assert ours.get_config() == theirs.get_config()
    assert type(ours).from_config(ours.get_config()).get_config() == theirs.get_config()
    assert ours._direction == theirs._direction == "down"


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
