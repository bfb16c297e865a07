"""Metrics: known answers, state inside compiled functions, configs, and what is said about mistakes."""

import doctest
import importlib
import pickle

import numpy as np
import pytest

import kerata
from kerata import errors, losses, metrics
from kerata.core import lifting, registry
from kerata.training.compiled import CompiledLoss, CompiledMetrics

YES_NO = ([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
ROWS = (np.array([[1, 0], [0, 1], [1, 0]]), np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], "float32"))

# name, arguments, y_true, y_pred, sample_weight, result
KNOWN = [
    ("Accuracy", {}, [[1], [2], [3], [4]], [[0], [2], [3], [4]], None, 0.75),
    ("Accuracy", {}, [[1], [2], [3], [4]], [[0], [2], [3], [4]], [1, 1, 0, 0], 0.5),
    ("BinaryAccuracy", {}, [[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], None, 0.75),
    ("BinaryAccuracy", {}, [[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]], [1, 0, 0, 1], 0.5),
    ("CategoricalAccuracy", {}, *ROWS, None, 2 / 3),
    ("CategoricalAccuracy", {}, *ROWS, [1.0, 4.0, 3.0], 0.5),
    ("SparseCategoricalAccuracy", {}, [0, 1, 0], ROWS[1], None, 2 / 3),
    ("SparseCategoricalAccuracy", {}, [[0], [1], [0]], ROWS[1], [1.0, 4.0, 3.0], 0.5),
    ("TopKCategoricalAccuracy", {"k": 1}, [[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]], None, 0.5),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, [2, 1], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]], None, 1.0),
    ("MeanSquaredError", {}, [[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]], None, 0.25),
    ("MeanSquaredError", {}, [[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]], [1, 0], 0.5),
    ("RootMeanSquaredError", {}, [[0.0], [0.0]], [[3.0], [4.0]], None, 12.5**0.5),
    ("CosineSimilarity", {}, [[0, 1], [1, 1]], [[1, 0], [1, 1]], None, 0.5),
    ("PearsonCorrelation", {}, [[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]], None, 1.0),
    ("ConcordanceCorrelation", {}, [[1.0, 2.0, 3.0]], [[2.0, 3.0, 4.0]], None, 4 / 7),
    ("R2Score", {}, [[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]], None, 1 - 2 / (14 / 3)),
    ("R2Score", {"num_regressors": 1}, [[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]], None, 1 - 2 * 2 / (14 / 3)),
    ("R2Score", {"num_regressors": 2}, [[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]], None, 1 - 2 / (14 / 3)),
    ("TruePositives", {}, *YES_NO, None, 1.0),
    ("TrueNegatives", {"thresholds": [0.0, 0.5]}, *YES_NO, None, [1.0, 2.0]),
    ("TrueNegatives", {"thresholds": [0.0, 0.5, 1.0]}, *YES_NO, None, [1.0, 2.0, 2.0]),
    ("FalsePositives", {"thresholds": 0.4}, *YES_NO, [1, 2, 3, 4], 2.0),
    ("FalseNegatives", {}, *YES_NO, [1, 2, 3, 4], 3.0),
    ("Precision", {"thresholds": 0.2}, *YES_NO, None, 2 / 3),
    ("Precision", {"top_k": 2}, [0, 0, 1, 1], [1, 0, 1, 1], None, 0.5),
    ("Recall", {}, *YES_NO, None, 0.5),
    ("AUC", {"num_thresholds": 3}, *YES_NO, None, 0.75),
    ("AUC", {"num_thresholds": 3}, *YES_NO, [1, 0, 0, 1], 1.0),
    ("SensitivityAtSpecificity", {"specificity": 0.5}, [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5}, [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 2 / 3),
    ("PrecisionAtRecall", {"recall": 0.5}, [0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8], None, 0.5),
    ("RecallAtPrecision", {"precision": 0.8}, [0, 0, 1, 1], [0, 0.5, 0.3, 0.9], None, 0.5),
    ("RecallAtPrecision", {"precision": 1.0}, [0, 1], [0.9, 0.1], None, 0.0),
    ("FBetaScore", {"beta": 2.0, "threshold": 0.5}, [[1, 0], [1, 1]], [[0.9, 0.1], [0.2, 0.8]], None, [5 / 9, 1.0]),
    ("F1Score", {"average": "macro"}, np.eye(2), np.eye(2), None, 1.0),
    ("IoU", {"num_classes": 2, "target_class_ids": [0]}, [0, 0, 1, 1], [0, 1, 0, 1], None, 1 / 3),
    ("MeanIoU", {"num_classes": 2}, [0, 0, 1, 1], [0, 1, 0, 1], [3, 3, 3, 1], (3 / 9 + 1 / 7) / 2),
    ("MeanIoU", {"num_classes": 2, "ignore_class": 9}, [0, 9, 1, 1], [0, 1, 0, 1], None, 0.5),
    ("BinaryIoU", {}, [0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7], None, (2 / 3 + 1 / 2) / 2),
    ("OneHotMeanIoU", {"num_classes": 2}, *ROWS, None, 1 / 3),
]


@pytest.mark.parametrize("name, arguments, y_true, y_pred, weight, expected", KNOWN)
def test_known_answer(name, arguments, y_true, y_pred, weight, expected):
    metric = getattr(metrics, name)(**arguments)
    for _ in range(2):  # the second round shows that a reset forgets the first
        metric.update_state(y_true, y_pred, sample_weight=weight)
        np.testing.assert_allclose(np.asarray(metric.result()), expected, rtol=1e-5)
        metric.reset_state()


# A metric of each kind, for what all must do.
KINDS = [
    ("MeanSquaredError", {}, np.eye(3), np.full((3, 3), 0.4, "float32")),
    ("RootMeanSquaredError", {}, np.eye(3), np.full((3, 3), 0.4, "float32")),
    ("SparseCategoricalAccuracy", {}, np.array([0, 1, 1]), np.eye(3, dtype="float32")),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, np.array([0, 1, 1]), np.eye(3, dtype="float32")),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, np.array([0, 1, 1]), np.eye(3, dtype="float32")),
    ("AUC", {"num_thresholds": 7}, np.array([0, 1, 1]), np.array([0.2, 0.4, 0.9], "float32")),
    ("AUC", {"multi_label": True, "num_thresholds": 5}, np.eye(3), np.full((3, 3), 0.4, "float32")),
    ("Precision", {"top_k": 1}, np.eye(3), np.eye(3, dtype="float32")[::-1]),
    ("Recall", {"thresholds": [0.1, 0.5]}, np.eye(3), np.full((3, 3), 0.4, "float32")),
    ("F1Score", {}, np.eye(3), np.eye(3, dtype="float32")[::-1]),
    ("R2Score", {}, np.eye(3), np.full((3, 3), 0.4, "float32")),
    ("MeanIoU", {"num_classes": 3}, np.array([0, 1, 2]), np.array([0, 1, 1])),
]
OF_EACH_KIND = pytest.mark.parametrize("name, arguments, y_true, y_pred", KINDS, ids=[k[0] for k in KINDS])


@OF_EACH_KIND
def test_compiled_counts_as_eager_does(name, arguments, y_true, y_pred):
    """The state may even be made inside the compiled function, when the first batch shows its shape."""
    eager, compiled = (getattr(metrics, name)(**arguments) for _ in range(2))

    @lifting.jit
    def step(y_true, y_pred):
        compiled.update_state(y_true, y_pred)
        return compiled.result()

    for _ in range(2):
        expected = eager(y_true, y_pred)
        np.testing.assert_allclose(np.asarray(step(y_true, y_pred)), np.asarray(expected), rtol=1e-6)
    for ours, theirs in zip(compiled.variables, eager.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


@OF_EACH_KIND
def test_stateless(name, arguments, y_true, y_pred):
    metric = getattr(metrics, name)(**arguments)
    expected = np.asarray(metric(y_true, y_pred))
    start = metric.stateless_reset_state()
    assert not any(np.asarray(v).any() for v in start)
    state = metric.stateless_update_state(start, y_true, y_pred)
    np.testing.assert_allclose(np.asarray(metric.stateless_result(state)), expected, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(metric.result()), expected, rtol=1e-6)  # nothing was assigned
    with pytest.raises(errors.InvalidArgument, match="one value is needed for each"):
        metric.stateless_result(state[1:])


@OF_EACH_KIND
def test_config_makes_it_anew(name, arguments, y_true, y_pred):
    metric = getattr(metrics, name)(**arguments, name="mine")
    again = metrics.deserialize(metrics.serialize(metric))
    assert again.get_config() == metric.get_config()
    assert {"name": "mine", **arguments}.items() <= again.get_config().items()
    np.testing.assert_allclose(np.asarray(again(y_true, y_pred)), np.asarray(metric(y_true, y_pred)), rtol=1e-6)


def test_mean_and_sum_of_values():
    mean, total = metrics.Mean(), metrics.Sum()
    for values, weight in [([1, 3, 5, 7], None), ([1.0, 3.0], [1, 0]), (4.0, 3.0), (np.ones((2, 2)), None)]:
        mean.update_state(values, weight)
        total.update_state(values, weight)
    assert float(mean.result()) == pytest.approx((16 + 1 + 12 + 2) / (4 + 1 + 3 + 2))
    assert float(total.result()) == 16 + 1 + 12 + 4
    mean.reset_state()
    assert float(mean.result()) == 0.0


def test_a_scalar_counts_for_each_weight():
    metric = metrics.Mean()
    metric.update_state(5.0, [1.0, 2.0])
    assert (float(metric.total.value), float(metric.count.value)) == (15.0, 3.0)


def test_a_loss_object_may_be_averaged():
    metric = metrics.MeanMetricWrapper(losses.MeanSquaredError(), name="mse")
    metric.update_state(np.zeros((2, 2)), np.full((2, 2), 2.0), sample_weight=[1.0, 1.0])
    assert float(metric.result()) == 4.0


def test_counting_in_16_bits_is_the_users_choice():
    assert metrics.Mean(dtype="bfloat16").total.dtype == metrics.Mean(dtype="mixed_bfloat16").total.dtype == "bfloat16"
    with kerata.core.scopes.autocast("bfloat16"):  # a layer's compute dtype is no metric's
        metric = metrics.Mean()
        metric.update_state([257.0])
        assert float(metric.result()) == 257.0


@registry.register_keras_serializable("test")
class Largest(metrics.Metric):
    """What a user writes: no `get_config`."""

    def __init__(self, start=0.0, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.value = self.add_weight(name="value")
        self.inner = metrics.Mean(name="inner")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(kerata.ops.maximum(self.value, kerata.ops.max(y_pred)))
        self.inner.update_state(y_pred)

    def result(self):
        return {"largest": self.value + self.start, "mean": self.inner.result()}


def test_a_users_metric():
    metric = Largest(start=1.0, name="big")
    assert [v.path for v in metric.variables] == ["big/value", "inner/total", "inner/count"]
    result = metric([0], np.array([2.0, 4.0], "float32"))
    assert {k: float(v) for k, v in result.items()} == {"largest": 5.0, "mean": 3.0}
    again = metrics.deserialize(metrics.serialize(metric))
    assert (again.name, again.start, again.dtype) == ("big", 1.0, "float32")
    metric.reset_state()
    assert float(metric.result()["mean"]) == 0.0
    restored = pickle.loads(pickle.dumps(metric.get_config()))
    assert Largest.from_config(restored).get_config() == metric.get_config()


@pytest.mark.parametrize("module", ["accuracy", "auc", "averages", "base", "confusion", "iou", "reduction", "scores"])
def test_examples(module):
    """Every example of the documentation is true."""
    found = importlib.import_module(f"kerata.metrics.{module}")
    assert doctest.testmod(found, extraglobs={"kerata": kerata, "numpy": np}).failed == 0


NAMES = [
    ("mse", metrics.MeanSquaredError, "mean_squared_error"),
    ("MAE", metrics.MeanAbsoluteError, "mean_absolute_error"),
    ("mean_squared_error", metrics.MeanSquaredError, "mean_squared_error"),
    ("acc", metrics.Accuracy, "accuracy"),
    ("AUC", metrics.AUC, None),
    ("F1Score", metrics.F1Score, "f1_score"),
    (metrics.Recall, metrics.Recall, None),
    ({"class_name": "Precision", "config": {"top_k": 2, "name": "p"}}, metrics.Precision, "p"),
]


@pytest.mark.parametrize("identifier, kind, name", NAMES)
def test_get(identifier, kind, name):
    metric = metrics.get(identifier)
    assert type(metric) is kind and (name is None or metric.name == name)


def test_get_hands_functions_and_objects_on():
    metric = metrics.Mean()
    assert metrics.get(metric) is metric and metrics.get(losses.huber) is losses.huber and metrics.get(None) is None
    assert metrics.MSE is metrics.mse is losses.mean_squared_error


# In `compile` ---------------------------------------------------------------------------------------------------

SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], "float32")

CHOICES = [
    ("accuracy", np.array([0, 1, 1]), SCORES, "SparseCategoricalAccuracy", 2 / 3),
    ("acc", np.array([[0], [1], [1]]), SCORES, "SparseCategoricalAccuracy", 2 / 3),
    ("accuracy", np.eye(2)[[0, 1, 1]], SCORES, "CategoricalAccuracy", 2 / 3),
    ("accuracy", np.array([0, 1, 1]), SCORES[:, 1:], "BinaryAccuracy", 2 / 3),
    ("crossentropy", np.array([0, 1, 1]), SCORES, "SparseCategoricalCrossentropy", -np.log([0.9, 0.2, 0.6]).mean()),
    ("ce", np.array([0, 0, 1]), SCORES[:, 1:], "BinaryCrossentropy", -np.log([0.9, 0.8, 0.6]).mean()),
    ("mse", np.zeros((3, 2)), SCORES, "MeanSquaredError", (SCORES**2).mean()),
    ("mean_squared_error", np.zeros((3, 2)), SCORES, "MeanSquaredError", (SCORES**2).mean()),
    ("huber", np.zeros((3, 2)), SCORES, "MeanMetricWrapper", (SCORES**2).mean() / 2),
]


@pytest.mark.parametrize("identifier, y_true, y_pred, kind, expected", CHOICES)
def test_compiled_metrics_choose_by_shapes(identifier, y_true, y_pred, kind, expected):
    compiled = CompiledMetrics([identifier], None)
    compiled.update_state(y_true, y_pred)
    assert type(compiled.metrics[0]).__name__ == kind
    np.testing.assert_allclose(np.asarray(compiled.result()[identifier]), expected, rtol=1e-6)


def test_compiled_metrics_weigh_only_the_weighted():
    compiled = CompiledMetrics(["mse"], ["mse"])
    step = lifting.jit(lambda y, p, w: compiled.update_state(y, p, w))
    compiled.build(np.zeros((2, 1)), np.zeros((2, 1)))
    step(np.zeros((2, 1)), np.array([[1.0], [3.0]], "float32"), np.array([3.0, 1.0], "float32"))
    assert {k: float(v) for k, v in compiled.result().items()} == {"mse": 5.0, "weighted_mse": 3.0}
    compiled.reset_state()
    assert float(compiled.result()["mse"]) == 0.0


def test_compiled_loss():
    loss = CompiledLoss({"a": "mse", "b": losses.MeanAbsoluteError()}, {"b": 10.0}, ["a", "b"])
    y, p = {"a": np.zeros((2, 1)), "b": np.zeros((2, 1))}, {"a": np.full((2, 1), 2.0), "b": np.full((2, 1), 3.0)}
    p = {k: kerata.ops.convert_to_tensor(v) for k, v in p.items()}
    assert float(loss(y, p)) == 4.0 + 30.0
    assert {m.name: float(m.result()) for m in loss.metrics} == {"a_loss": 4.0, "b_loss": 3.0}


def test_compiled_loss_tells_the_output_of_a_mistake():
    with pytest.raises(errors.ShapeMismatch, match="to_categorical") as caught:
        CompiledLoss("categorical_crossentropy", names=["digit"])(np.array([0, 1]), np.ones((2, 3), "float32"))
    assert "in the loss of output 'digit'" in caught.value.__notes__


# Mistakes -------------------------------------------------------------------------------------------------------

ROW = np.full((4, 3), 1 / 3, "float32")
NUMBERS = np.array([0, 1, 2, 1])


def updated(name, y_true, y_pred, **arguments):
    return lambda: getattr(metrics, name)(**arguments).update_state(y_true, y_pred)


MISTAKES = [
    (
        "numbers for rows", updated("CategoricalAccuracy", NUMBERS, ROW),
        ["sparse_categorical_accuracy", "to_categorical"],
    ),
    ("rows for numbers", updated("SparseCategoricalAccuracy", ROW, ROW), ["'categorical_accuracy'", "(4,)"]),
    ("rows for numbers, top", updated("SparseTopKCategoricalAccuracy", ROW, ROW), ["'top_k_categorical_accuracy'"]),
    (
        "numbers for rows, loss", updated("CategoricalCrossentropy", NUMBERS, ROW),
        ["sparse_categorical_crossentropy", "to_categorical"],
    ),
    ("yes-no of classes", updated("Precision", NUMBERS, ROW), ["to_categorical", "(4, 3)", "(4,)"]),
    ("yes-no accuracy of classes", updated("BinaryAccuracy", NUMBERS, ROW), ["(4, 3)", "(4,)"]),
    ("columns", updated("MeanSquaredError", ROW[:, :2], ROW), ["(4, 2)", "(4, 3)"]),
    ("no rows", updated("F1Score", NUMBERS, ROW), ["(B, D)", "(4,)", "to_categorical"]),
    ("no rows, R2", updated("R2Score", np.zeros((2, 2, 2)), np.zeros((2, 2, 2))), ["(B, D)"]),
    ("class_id of flat", updated("Recall", [0, 1], [0.1, 0.2], class_id=1), ["`class_id`", "(B, C)"]),
    ("multi_label of flat", updated("AUC", [0, 1], [0.1, 0.2], multi_label=True), ["(B, L)"]),
    ("weights", lambda: metrics.MeanSquaredError().update_state(ROW, ROW, sample_weight=[1.0, 2.0]), ["(4,)", "(2,)"]),
    ("threshold", lambda: metrics.Precision(thresholds=[0.5, 1.5]), ["between 0 and 1", "1.5"]),
    ("curve", lambda: metrics.AUC(curve="RIC"), ["'RIC'", "'ROC'"]),
    ("num_thresholds", lambda: metrics.AUC(num_thresholds=1), ["`num_thresholds`"]),
    ("num_labels", lambda: metrics.AUC(num_labels=2), ["`num_labels`", "multi_label"]),
    ("specificity", lambda: metrics.SensitivityAtSpecificity(1.5), ["`specificity`", "1.5"]),
    ("average", lambda: metrics.F1Score(average="mikro"), ["did you mean", "'micro'"]),
    ("beta", lambda: metrics.FBetaScore(beta=1), ["`beta`"]),
    ("aggregation", lambda: metrics.R2Score(class_aggregation="mean"), ["uniform_average"]),
    ("target class", lambda: metrics.IoU(2, [2]), ["0 to 1", "2"]),
    ("name", lambda: metrics.get("acuracy"), ["did you mean", "'accuracy'"]),
    ("no name", lambda: metrics.get(3), ["this is no metric"]),
    (
        "no super", lambda: type("Bare", (metrics.Metric,), {"__init__": lambda self: None})().variables,
        ["super().__init__"],
    ),
    ("no verbs", lambda: metrics.Metric().result(), ["no `result`"]),
]  # fmt: skip


@pytest.mark.parametrize("call, words", [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_mistake(call, words):
    with pytest.raises(errors.KerataError) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_fractions_of_weights_are_not_lost_in_silence():
    with pytest.warns(UserWarning, match="dtype='float32'"):
        metrics.MeanIoU(2).update_state([0, 1], [0, 1], sample_weight=np.array([0.5, 0.5]))
