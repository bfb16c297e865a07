"""Losses: known answers, what a class does around its formula, and what is said about wrong labels."""

import doctest
import importlib
import math
import pickle
import warnings

import numpy as np
import pytest

import kerata
from kerata import errors, losses
from kerata.core import lifting, registry

HALF = [[0.5, 0.5]]
LOG2 = math.log(2)

# name, y_true, y_pred, arguments, value for each sample
KNOWN = [
    ("mean_squared_error", [[0, 1], [0, 0]], [[1, 1], [1, 0]], {}, [0.5, 0.5]),
    ("mean_absolute_error", [[0, 1], [0, 0]], [[1, 1], [3, 0]], {}, [0.5, 1.5]),
    ("mean_absolute_percentage_error", [[2, 4]], [[1, 4]], {}, [25.0]),
    ("mean_squared_logarithmic_error", [[math.e - 1]], [[0.0]], {}, [1.0]),
    ("huber", [[0, 0]], [[1, 3]], {}, [(0.5 + 2.5) / 2]),
    ("huber", [[0.0]], [[3.0]], {"delta": 2.0}, [4.0]),
    ("log_cosh", [[0.0]], [[1.0]], {}, [math.log(math.cosh(1))]),
    ("log_cosh", [[0.0]], [[500.0]], {}, [500 - LOG2]),
    ("cosine_similarity", [[0, 1], [1, 1]], [[0, 2], [1, 0]], {}, [-1.0, -(0.5**0.5)]),
    ("binary_crossentropy", [[0, 1]], HALF, {}, [LOG2]),
    ("binary_crossentropy", [[1]], [[-100.0]], {"from_logits": True}, [100.0]),
    (
        "binary_crossentropy", [[1.0]], [[0.75]], {"label_smoothing": 0.5},
        [-0.75 * math.log(0.75) - 0.25 * math.log(0.25)],
    ),
    ("binary_focal_crossentropy", [[0, 1]], HALF, {}, [LOG2 / 4]),
    ("binary_focal_crossentropy", [[1]], [[-100.0]], {"from_logits": True}, [100.0]),
    ("categorical_crossentropy", [[0, 1]], HALF, {}, [LOG2]),
    ("categorical_crossentropy", [[0, 1]], [[1.0, 3.0]], {}, [-math.log(0.75)]),
    ("categorical_crossentropy", [[0, 1]], [[100.0, 0.0]], {"from_logits": True}, [100.0]),
    ("categorical_crossentropy", [[0, 1, 0, 0]], [[0.25] * 4], {"label_smoothing": 0.4}, [2 * LOG2]),
    # Smoothing spreads over the classes, wherever their axis is.
    ("categorical_crossentropy", [[[1.0], [0.0]]], [[[0.5], [0.5]]], {"axis": 1, "label_smoothing": 0.5}, [[LOG2]]),
    ("categorical_focal_crossentropy", [[0, 1]], HALF, {}, [LOG2 / 16]),
    ("categorical_focal_crossentropy", [[0, 1]], [[100.0, 0.0]], {"from_logits": True, "alpha": 1.0}, [100.0]),
    ("categorical_focal_crossentropy", [[0, 1]], HALF, {"alpha": [0.0, 1.0], "gamma": 0.0}, [LOG2]),
    ("sparse_categorical_crossentropy", [1, 0], [[0.5, 0.5], [0.25, 0.75]], {}, [LOG2, 2 * LOG2]),
    ("sparse_categorical_crossentropy", [[1]], HALF, {}, [LOG2]),
    ("sparse_categorical_crossentropy", [1, 255], HALF * 2, {"ignore_class": 255}, [LOG2, 0.0]),
    ("sparse_categorical_crossentropy", [[1, 0]], [[[0.5, 0.25], [0.5, 0.75]]], {"axis": 1}, [[LOG2, 2 * LOG2]]),
    ("sparse_categorical_crossentropy", [0, 2, -1], HALF * 3, {}, [LOG2, 0.0, 0.0]),  # two are no class
    ("categorical_generalized_cross_entropy", [1], [[0.75, 0.25]], {"q": 0.5}, [1.0]),
    ("kl_divergence", [[0.5, 0.5]], [[0.25, 0.75]], {}, [LOG2 / 2 + math.log(2 / 3) / 2]),
    ("poisson", [[0.0, 2.0]], [[1.0, 1.0]], {}, [1.0]),
    ("hinge", [[1, -1]], [[0.5, -2.0]], {}, [0.25]),
    ("hinge", [[1, 0]], [[0.5, -2.0]], {}, [0.25]),
    ("squared_hinge", [[1, -1]], [[0.5, -2.0]], {}, [0.125]),
    ("categorical_hinge", [[0, 1]], [[0.5, 0.75]], {}, [0.75]),
    ("dice", [[[1.0], [0.0]]], [[[1.0], [1.0]]], {}, 1 / 3),
    ("tversky", [[[1.0], [0.0]]], [[[1.0], [1.0]]], {"alpha": 0.5, "beta": 1.0}, 0.5),
    ("circle", [0, 1], [[1.0, 0.0], [0.0, 1.0]], {}, [0.0, 0.0]),
    ("ctc", [[1, 0]], np.zeros((1, 2, 3)), {}, [math.log(3)]),  # "1", "-1", "11" … are 3 of 9 equal paths
]  # fmt: skip


@pytest.mark.parametrize("name, y_true, y_pred, arguments, expected", KNOWN)
def test_known_answer(name, y_true, y_pred, arguments, expected):
    value = getattr(losses, name)(y_true, np.asarray(y_pred, "float32"), **arguments)
    np.testing.assert_allclose(np.asarray(value), expected, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize("name", ["BinaryFocalCrossentropy", "BinaryCrossentropy"])
def test_a_confident_wrong_answer_keeps_its_gradient(name):
    loss = getattr(losses, name)(from_logits=True)
    gradient = lifting.grad(lambda logits: loss([[1.0]], logits))(np.array([[-60.0]], "float32"))
    np.testing.assert_allclose(np.asarray(gradient), [[-1.0]], rtol=1e-5)


def test_circle_has_a_gradient_where_a_class_stands_alone():
    y_true, y_pred = np.array([0, 0, 1]), np.eye(3, dtype="float32")
    gradient = lifting.grad(lambda p: losses.Circle()(y_true, p))(y_pred)
    assert np.isfinite(np.asarray(gradient)).all() and np.asarray(gradient).any()


# What the class does around the formula -------------------------------------------------------------------------

ERRORS = np.array([[1.0, 3.0], [2.0, 4.0]], "float32")  # squared and averaged: 5 and 10

REDUCED = [
    ("sum_over_batch_size", None, 7.5),
    ("mean", None, 7.5),
    ("sum", None, 15.0),
    ("none", None, [5.0, 10.0]),
    (None, None, [5.0, 10.0]),
    ("mean_with_sample_weight", None, 7.5),
    ("sum_over_batch_size", [1.0, 3.0], 17.5),
    ("sum", [1.0, 3.0], 35.0),
    ("none", [1.0, 3.0], [5.0, 30.0]),
    ("none", [[1.0], [3.0]], [[5.0], [30.0]]),
    ("mean_with_sample_weight", [1.0, 3.0], 8.75),
    ("mean_with_sample_weight", [0.0, 0.0], 0.0),
    ("sum_over_batch_size", 2.0, 15.0),
]


@pytest.mark.parametrize("reduction, weight, expected", REDUCED)
def test_reduction(reduction, weight, expected):
    loss = losses.MeanSquaredError(reduction=reduction)
    np.testing.assert_allclose(np.asarray(loss(np.zeros((2, 2)), ERRORS, weight)), expected, rtol=1e-6)


MASKED = [
    ("sum_over_batch_size", None, 5.0),  # the mean of what is kept
    ("sum", None, 5.0),
    ("none", None, [5.0, 0.0]),
    ("mean_with_sample_weight", None, 5.0),
    ("mean_with_sample_weight", [3.0, 1.0], 5.0),
    ("sum", [3.0, 1.0], 15.0),
]


@pytest.mark.parametrize("reduction, weight, expected", MASKED)
@pytest.mark.parametrize("compiled", [False, True])
def test_masked_predictions_count_for_nothing(reduction, weight, expected, compiled):
    loss = losses.MeanSquaredError(reduction=reduction)

    def masked(y_pred, mask):
        y_pred = y_pred * 1.0
        kerata.core.scopes.set_mask(y_pred, mask)
        return loss(np.zeros((2, 2)), y_pred, weight)

    masked = lifting.jit(masked) if compiled else masked
    value = masked(kerata.ops.convert_to_tensor(ERRORS), kerata.ops.convert_to_tensor([True, False]))
    np.testing.assert_allclose(np.asarray(value), expected, rtol=1e-6)


def test_a_mask_that_takes_all_out_gives_zero():
    y_pred = kerata.ops.convert_to_tensor(ERRORS)
    kerata.core.scopes.set_mask(y_pred, kerata.ops.convert_to_tensor([False, False]))
    assert float(losses.MeanSquaredError()(np.zeros((2, 2)), y_pred)) == 0.0


@pytest.mark.parametrize("compiled", [False, True])
def test_ignored_classes_are_not_in_the_mean(compiled):
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    loss = lifting.jit(loss) if compiled else loss
    assert float(loss(np.array([1, -1, -1, 0]), np.full((4, 2), 0.5, "float32"))) == pytest.approx(LOG2)


def test_weights_of_one_for_each_sample_meet_the_first_axis():
    y_pred = np.arange(12, dtype="float32").reshape(2, 2, 3)
    values = np.asarray(losses.MeanSquaredError(reduction="none")(np.zeros_like(y_pred), y_pred))
    weighted = losses.MeanSquaredError(reduction="none")(np.zeros_like(y_pred), y_pred, [1.0, 2.0])
    np.testing.assert_allclose(np.asarray(weighted), values * [[1.0], [2.0]], rtol=1e-6)


def test_class_numbers_survive_16_bits():
    """bfloat16 has no 257."""
    y_pred = np.full((1, 300), 1e-3, "float32")
    y_pred[0, 257] = 0.701
    for dtype in ("bfloat16", "float16", "mixed_bfloat16"):
        loss = losses.SparseCategoricalCrossentropy(dtype=dtype)(np.array([257]), y_pred)
        assert str(loss.dtype) == dtype.removeprefix("mixed_") and float(loss) == pytest.approx(0.355, rel=0.02)


def test_the_mean_of_much_stays_in_16_bits():
    loss = losses.MeanAbsoluteError(dtype="float16")
    assert float(loss(np.zeros((1000, 1)), np.full((1000, 1), 100.0))) == 100.0  # the sum is beyond float16


def test_compiled_gives_the_same_as_eager():
    y_true, y_pred = np.array([[0.0, 1.0, 1.0]]), np.array([[0.2, 0.7, 0.4]], "float32")
    weight = np.array([2.0])
    for loss in (losses.BinaryCrossentropy(label_smoothing=0.1), losses.Huber(0.3, reduction="sum"), losses.Hinge()):
        np.testing.assert_allclose(
            np.asarray(lifting.jit(loss)(y_true, y_pred, weight)), np.asarray(loss(y_true, y_pred, weight)), rtol=1e-6
        )


@pytest.mark.parametrize("module", ["base", "checks", "classes", "margin", "probabilistic", "regression", "structured"])
def test_examples(module):
    """Every example of the documentation is true."""
    found = importlib.import_module(f"kerata.losses.{module}")
    assert doctest.testmod(found, extraglobs={"kerata": kerata, "numpy": np}).failed == 0


# Names and configs ----------------------------------------------------------------------------------------------

NAMES = [
    ("mse", losses.mean_squared_error),
    ("MSE", losses.mean_squared_error),
    ("mean_squared_error", losses.mean_squared_error),
    ("MeanSquaredError", losses.MeanSquaredError),
    ("logcosh", losses.log_cosh),
    ("kullback_leibler_divergence", losses.kl_divergence),
    ("KLD", losses.kl_divergence),
    ("sparse_categorical_crossentropy", losses.sparse_categorical_crossentropy),
    ("SparseCategoricalCrossentropy", losses.SparseCategoricalCrossentropy),
    (losses.Huber, losses.Huber),
    ({"class_name": "Huber", "config": {"delta": 2.0}}, losses.Huber),
    (math.hypot, math.hypot),
    (None, None),
]


@pytest.mark.parametrize("identifier, expected", NAMES)
def test_get(identifier, expected):
    found = losses.get(identifier)
    assert type(found) is expected if isinstance(expected, type) else found is expected


def test_old_names_are_attributes():
    assert losses.mse is losses.MSE is losses.mean_squared_error
    with pytest.raises(AttributeError, match="no attribute 'MSX'"):
        losses.MSX


@registry.register_keras_serializable("test")
class Scaled(losses.Loss):
    """What a user writes: no `get_config`."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * kerata.ops.mean(y_pred - y_true, axis=-1)


class NoArguments(losses.Loss):
    def __init__(self):
        super().__init__(name="fixed", reduction="sum")


def test_a_users_loss_has_a_config():
    loss = losses.deserialize(losses.serialize(Scaled(3.0, reduction="sum", dtype="float16")))
    assert (loss.factor, loss.reduction, loss.name, loss.dtype) == (3.0, "sum", "scaled", "float16")
    assert float(loss([[0.0]], [[2.0]])) == 6.0
    assert NoArguments.from_config(NoArguments().get_config()).name == "fixed"


@pytest.mark.parametrize(
    "loss", [losses.Huber(0.5, dtype="float16"), losses.Dice(axis=(1, 2)), losses.CosineSimilarity(axis=0)]
)
def test_config_keeps_what_was_given(loss):
    for again in (type(loss).from_config(loss.get_config()), pickle.loads(pickle.dumps(loss))):
        assert again.get_config() == loss.get_config() and again.dtype == loss.dtype


def test_wrapper_round_trip():
    loss = losses.base.LossFunctionWrapper(losses.huber, delta=2.0, name="h")
    again = type(loss).from_config(loss.get_config())
    assert again.fn is losses.huber and float(again([[0.0]], [[3.0]])) == 4.0


# Mistakes -------------------------------------------------------------------------------------------------------

ROW, ROWS = np.full((4, 3), 1 / 3, "float32"), np.full((4, 5, 3), 1 / 3, "float32")
NUMBERS = np.array([0, 1, 2, 1])
SPARSE = ["sparse_categorical_crossentropy", "to_categorical(y, num_classes=3)"]

# what, the call, the class of the error, what its message must hold
MISTAKES = [
    ("numbers for rows", lambda: losses.CategoricalCrossentropy()(NUMBERS, ROW), errors.ShapeMismatch, SPARSE),
    (
        "a column of numbers", lambda: losses.get("categorical_crossentropy")(NUMBERS[:, None], ROW),
        errors.ShapeMismatch, SPARSE,
    ),
    (
        "numbers in time", lambda: losses.CategoricalFocalCrossentropy()(np.zeros((4, 5)), ROWS),
        errors.ShapeMismatch, SPARSE,
    ),
    (
        "rows for numbers", lambda: losses.SparseCategoricalCrossentropy()(np.eye(3)[NUMBERS], ROW),
        errors.ShapeMismatch, ["one-hot rows", "loss='categorical_crossentropy'", "numpy.argmax(y, axis=-1)"],
    ),
    (
        "rows of too many", lambda: losses.CategoricalCrossentropy()(np.eye(4), ROW),
        errors.ShapeMismatch, ["4 classes", "give the last layer 4 units"],
    ),
    (
        "another length", lambda: losses.SparseCategoricalCrossentropy()(np.zeros(7), ROW),
        errors.ShapeMismatch, ["(4,)", "(7,)"],
    ),
    (
        "columns", lambda: losses.MeanSquaredError()(np.zeros((4, 2)), ROW),
        errors.ShapeMismatch, ["(4, 2)", "(4, 3)", "2 units"],
    ),
    (
        "one target, several outputs", lambda: losses.MeanSquaredError()(np.zeros(4), ROW),
        errors.ShapeMismatch, ["mean_squared_error", "(4,)", "(4, 3)"],
    ),
    (
        "square", lambda: losses.MeanSquaredError()(np.zeros(3), np.zeros((3, 3))),
        errors.ShapeMismatch, ["(3,)", "(3, 3)"],
    ),
    (
        "classes for yes-no", lambda: losses.BinaryCrossentropy()(NUMBERS, ROW),
        errors.ShapeMismatch, ["Dense(1)", "sparse_categorical_crossentropy"],
    ),
    (
        "weights", lambda: losses.MeanSquaredError()(ROW, ROW, [1.0, 2.0]),
        errors.ShapeMismatch, ["sample_weight", "(4,)", "(2,)"],
    ),
    ("name", lambda: losses.get("mean_squared_eror"), errors.UnknownName, ["did you mean", "'mean_squared_error'"]),
    ("short name", lambda: losses.get("mes"), errors.UnknownName, ["'mse'"]),
    ("no name", lambda: losses.get(3), errors.InvalidType, ["this is no loss", "3"]),
    (
        "class in a config", lambda: losses.deserialize({"class_name": "Hubert", "config": {}}),
        errors.UnknownName, ["Hubert"],
    ),
    (
        "reduction", lambda: losses.MeanSquaredError(reduction="average"),
        errors.UnknownName, ["mean_squared_error", "'average'", "known names"],
    ),
    (
        "smoothing", lambda: losses.CategoricalCrossentropy(label_smoothing=2)(ROW, ROW),
        errors.InvalidArgument, ["label_smoothing", "from 0 to 1"],
    ),
    ("axis", lambda: losses.categorical_crossentropy(ROW, ROW, axis=True), errors.InvalidArgument, ["`axis`", "True"]),
    ("q", lambda: losses.CategoricalGeneralizedCrossEntropy(q=1.0), errors.InvalidArgument, ["`q`", "1.0"]),
    ("embeddings", lambda: losses.Circle()(NUMBERS, ROWS), errors.ShapeMismatch, ["(B, D)", "(4, 5, 3)"]),
    ("sequences", lambda: losses.CTC()(NUMBERS, ROWS), errors.ShapeMismatch, ["(B, L)", "(4,)"]),
    ("no call", lambda: losses.Loss()(ROW, ROW), NotImplementedError, ["no `call`"]),
    ("argument", lambda: losses.Huber(dleta=1.0), TypeError, ["dleta"]),
]  # fmt: skip


@pytest.mark.parametrize("call, kind, words", [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_mistake(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


def test_a_mistake_is_told_while_a_step_is_traced():
    with pytest.raises(errors.ShapeMismatch, match="to_categorical"):
        lifting.jit(losses.CategoricalCrossentropy())(NUMBERS, ROW)


# labels, arguments, words of the message; None where the labels are right
LABELS = [
    (NUMBERS, {}, None),
    (NUMBERS.astype("uint8"), {}, None),
    (NUMBERS.astype("float32")[:, None], {}, None),
    (np.array([], "int32"), {}, None),
    (np.array([True, False]), {}, None),
    (np.array([0, -1]), {"ignore_class": -1}, None),
    ([0, 2, 3], {}, ["1 of 3", "integers from 0 to 2", "3 at [2]", "give the last layer 4 units"]),
    ([[0, 1], [7, 2]], {}, ["7 at [1, 0]"]),
    ([1, 2, 3], {}, ["count from 1", "subtract 1"]),
    ([0, -1, 2], {}, ["-1 at [1]", "ignore_class=-1"]),
    ([0.5, 1.0], {}, ["mean_squared_error"]),
    ([0.0, np.nan], {}, ["NaN"]),
    (np.array(["cat", "dog"]), {}, ["numpy.unique", "cat"]),
]


@pytest.mark.parametrize("labels, arguments, words", LABELS)
def test_check_labels(labels, arguments, words):
    if words is None:
        losses.check_labels(labels, 3, **arguments)
        return
    with pytest.raises(errors.KerataError) as caught:
        losses.check_labels(labels, 3, **arguments)
    for word in words:
        assert word in str(caught.value)


def test_check_labels_lets_traced_labels_through():
    lifting.jit(lambda y: (losses.check_labels(y, 3), y)[1])(np.array([9]))


COLUMN, WIDE = np.ones((2, 1), "float32"), np.ones((2, 7), "float32")

WARNED = [
    ("one class", lambda: losses.CategoricalCrossentropy()(COLUMN, COLUMN), "binary_crossentropy"),
    ("a repeated column", lambda: losses.MeanAbsoluteError()(COLUMN, WIDE), "repeated"),
]


@pytest.mark.parametrize("call, words", [w[1:] for w in WARNED], ids=[w[0] for w in WARNED])
def test_a_likely_mistake_is_warned_of_once(call, words):
    with pytest.warns(UserWarning, match=words):
        call()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()


def test_fit_looks_at_the_labels_first():
    layers = kerata.layers
    model = kerata.Sequential([layers.Input((2,)), layers.Dense(3, activation="softmax")])
    x, y = np.ones((4, 2), "float32"), np.array([0, 1, 2, -1])
    model.compile(optimizer="sgd", loss=losses.SparseCategoricalCrossentropy(ignore_class=-1))
    model.fit(x, y, verbose=0)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    with pytest.raises(errors.InvalidArgument, match="-1 at \\[3\\]"):
        model.fit(x, y, verbose=0)
