"""Losses against Keras: gradients, reductions, masks, names, signatures; test_drawn_losses.py has the values."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import inspect

import jax
import keras
import numpy as np
import pytest

import kerata
from kerata import losses
from kerata.core import lifting

RNG = np.random.default_rng(7)
B, C = 6, 5


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def rows(*shape, axis=-1):
    """One-hot rows of `shape`, the classes on `axis`."""
    classes = shape[axis]
    numbers = RNG.integers(0, classes, shape[:axis] if axis == -1 else shape[:axis] + shape[axis + 1 :])
    return np.moveaxis(np.eye(classes, dtype="float32")[numbers], -1, axis)


def real(*shape):
    return RNG.normal(size=shape).astype("float32")


def share(*shape):
    return RNG.uniform(0.02, 0.98, shape).astype("float32")


def embeddings():
    x = real(8, 4)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


# name -> (y_true, y_pred)
DATA = {
    "real": (real(B, 3), real(B, 3)),
    "real (B,) to (B, 1)": (real(B), real(B, 1)),
    "real (B, T, D)": (real(B, 4, 3), real(B, 4, 3)),
    "positive": (share(B, 3) * 5, share(B, 3) * 5),
    "integers to real": (RNG.integers(0, 9, (B, 3)), real(B, 3)),
    "yes-no": (RNG.integers(0, 2, (B, 3)), share(B, 3)),
    "yes-no (B,) to (B, 1)": (RNG.integers(0, 2, B), share(B, 1)),
    "yes-no logits": (RNG.integers(0, 2, (B, 3)), real(B, 3) * 4),
    "yes-no certain": (np.array([[0, 1, 1, 0]] * B), np.array([[0, 1, 0, 1]] * B, "float32")),
    "signs": (RNG.choice([-1.0, 1.0], (B, 3)).astype("float32"), real(B, 3)),
    "one-hot": (rows(B, C), softmax(real(B, C))),
    "one-hot logits": (rows(B, C), real(B, C) * 4),
    "one-hot (B, T, C)": (rows(B, 4, C), softmax(real(B, 4, C))),
    "one-hot (B, C, T)": (rows(B, C, 4, axis=1), softmax(real(B, C, 4), 1)),
    "numbers": (RNG.integers(0, C, B), softmax(real(B, C))),
    "numbers (B, 1)": (RNG.integers(0, C, (B, 1)), softmax(real(B, C))),
    "numbers logits": (RNG.integers(0, C, B), real(B, C) * 4),
    "numbers (B, T)": (RNG.integers(0, C, (B, 4)), softmax(real(B, 4, C))),
    "numbers some -1": (np.array([0, -1, 2, 3, -1, 1]), softmax(real(B, C))),
    "numbers some 4": (np.array([[0, 4, 2, 3], [4, 4, 1, 1]] * 3), real(B, 4, C)),
    "distributions": (softmax(real(B, C)), softmax(real(B, C))),
    "image": (RNG.integers(0, 2, (B, 4, 4, 1)), share(B, 4, 4, 1)),
    "embeddings": (np.array([0, 1, 0, 2, 1, 0, 2, 2]), embeddings()),
    "sequences": (np.array([[1, 2, 3, 0], [2, 2, 0, 0], [4, 1, 4, 3]]), real(3, 9, 5)),
}

TABLE = [
    ("MeanSquaredError", {}, "real"),
    ("MeanSquaredError", {}, "real (B,) to (B, 1)"),
    ("MeanSquaredError", {}, "real (B, T, D)"),
    ("MeanSquaredError", {}, "integers to real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsoluteError", {}, "real (B,) to (B, 1)"),
    ("MeanAbsolutePercentageError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "positive"),
    ("MeanSquaredLogarithmicError", {}, "real"),
    ("Huber", {}, "real"),
    ("Huber", {"delta": 0.3}, "real"),
    ("LogCosh", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real (B, T, D)"),
    ("BinaryCrossentropy", {}, "yes-no"),
    ("BinaryCrossentropy", {}, "yes-no certain"),
    ("BinaryCrossentropy", {}, "yes-no (B,) to (B, 1)"),
    ("BinaryCrossentropy", {"from_logits": True}, "yes-no logits"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2, "axis": 1}, "image"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "yes-no logits"),
    ("BinaryFocalCrossentropy", {}, "yes-no"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 3.0}, "yes-no"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "yes-no logits"),
    ("CategoricalCrossentropy", {}, "one-hot"),
    ("CategoricalCrossentropy", {}, "one-hot (B, T, C)"),
    ("CategoricalCrossentropy", {"axis": 1}, "one-hot (B, C, T)"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot logits"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.3}, "one-hot logits"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"alpha": 0.6, "gamma": 1.5, "label_smoothing": 0.1}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True}, "one-hot logits"),
    ("CategoricalFocalCrossentropy", {"axis": 1}, "one-hot (B, C, T)"),
    ("SparseCategoricalCrossentropy", {}, "numbers"),
    ("SparseCategoricalCrossentropy", {}, "numbers (B, 1)"),
    ("SparseCategoricalCrossentropy", {}, "numbers (B, T)"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "numbers logits"),
    ("SparseCategoricalCrossentropy", {"ignore_class": -1}, "numbers some -1"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 4, "from_logits": True}, "numbers some 4"),
    ("CategoricalGeneralizedCrossEntropy", {}, "numbers"),
    ("CategoricalGeneralizedCrossEntropy", {"q": 0.8}, "numbers"),
    ("KLDivergence", {}, "distributions"),
    ("KLDivergence", {}, "one-hot"),
    ("Poisson", {}, "positive"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "yes-no"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "yes-no"),
    ("CategoricalHinge", {}, "one-hot"),
    ("CategoricalHinge", {}, "one-hot (B, T, C)"),
    ("Dice", {}, "image"),
    ("Dice", {"axis": (1, 2, 3)}, "image"),
    ("Tversky", {}, "image"),
    ("Tversky", {"alpha": 0.3, "beta": 0.7, "axis": (1, 2, 3)}, "image"),
    ("Circle", {}, "embeddings"),
    ("Circle", {"gamma": 8.0, "margin": 0.2, "remove_diagonal": False}, "embeddings"),
    ("CTC", {}, "sequences"),
]

IDS = [f"{name} {kwargs or ''} on {data}" for name, kwargs, data in TABLE]
CLOSE = {"rtol": 1e-6, "atol": 2e-7}


def close(name, kwargs):
    """Keras turns logits into probabilities and so rounds 1 - p; ours takes the logarithm of the logits directly."""
    return {"rtol": 2e-5, "atol": 1e-6} if name == "BinaryFocalCrossentropy" and "from_logits" in kwargs else CLOSE


def both(name, kwargs):
    return getattr(losses, name)(**kwargs), getattr(keras.losses, name)(**kwargs)


REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]
WEIGHTS = [None, 0.5, [0, 1, 0, 2, 1, 3], np.linspace(0, 2, B), np.linspace(0, 2, B)[:, None], np.zeros(B)]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("data", ["real", "real (B,) to (B, 1)", "real (B, T, D)"])
def test_reduction_and_weights(reduction, data):
    y_true, y_pred = DATA[data]
    ours, theirs = both("MeanSquaredError", {"reduction": reduction})
    several = data == "real (B, T, D)"
    for weight in WEIGHTS + [RNG.uniform(0, 2, (B, 4)).astype("float32")] * several:
        # Keras lines weights (B,) up with the last axis of values (B, T) and fails; here they are one a sample.
        fit = np.asarray(weight)[:, None] if several and np.ndim(weight) == 1 else weight
        np.testing.assert_allclose(
            np.asarray(ours(y_true, y_pred, sample_weight=weight)),
            np.asarray(theirs(y_true, y_pred, sample_weight=fit)),
            **CLOSE, err_msg=f"weight {weight}",
        )  # fmt: skip


@pytest.mark.parametrize("name, kwargs, data", TABLE, ids=IDS)
def test_gradient(name, kwargs, data):
    y_true, y_pred = DATA[data]
    ours, theirs = both(name, kwargs)
    expected = jax.grad(lambda p: theirs(y_true, p))(y_pred)
    got = lifting.grad(lambda p: ours(y_true, p))(y_pred)
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), **close(name, kwargs))
    assert np.isfinite(np.asarray(got)).all()


# Arguments that the classes do not have.
FUNCTIONS = [
    ("cosine_similarity", {"axis": 0}, "real"),
    ("categorical_focal_crossentropy", {"alpha": [0.1, 0.2, 0.3, 0.4, 0.5]}, "one-hot"),
    ("sparse_categorical_crossentropy", {"ignore_class": -1}, "numbers some -1"),
    (
        "circle",
        {"ref_labels": np.array([0, 1, 2]), "ref_embeddings": embeddings()[:3], "remove_diagonal": False}, "embeddings",
    ),
]  # fmt: skip


@pytest.mark.parametrize("name, kwargs, data", FUNCTIONS, ids=[f"{n} on {d}" for n, _, d in FUNCTIONS])
def test_function(name, kwargs, data):
    y_true, y_pred = DATA[data]
    ours = getattr(losses, name)(y_true, y_pred, **kwargs)
    theirs = getattr(keras.losses, name)(y_true, y_pred, **kwargs)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), **CLOSE)


PUBLIC = [name for name in dir(keras.losses) if not name.startswith("_")]


@pytest.mark.parametrize("name", PUBLIC)
def test_signature(name):
    ours, theirs = getattr(losses, name), getattr(keras.losses, name)
    plain = [
        [(p.name, p.default) for p in inspect.signature(x).parameters.values()] for x in (ours, theirs)
    ]  # fmt: skip
    assert plain[0] == plain[1]


@pytest.mark.parametrize(
    "name", ["mse", "MSE", "mean_squared_error", "MeanSquaredError", "bce", "KLD", "huber", "LogCosh", "mape", "MSLE"]
)
def test_get_by_name(name):
    ours, theirs = losses.get(name), keras.losses.get(name)
    if isinstance(theirs, keras.losses.Loss):
        assert ours.get_config() == theirs.get_config() and type(ours).__name__ == type(theirs).__name__
    else:
        assert ours.__name__ == theirs.__name__
        assert losses.serialize(ours) == keras.losses.serialize(theirs)
        assert losses.deserialize(keras.losses.serialize(theirs)) is ours


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("weights", [None, (4,), (4, 1), (4, 3)])
def test_mask(reduction, weights):
    y_true, y_pred = real(4, 3, 2), real(4, 3, 2)
    mask = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]], bool)
    weight = None if weights is None else np.arange(1, np.prod(weights) + 1, dtype="float32").reshape(weights)
    p, q = kerata.ops.convert_to_tensor(y_pred), keras.ops.convert_to_tensor(y_pred)
    kerata.core.scopes.set_mask(p, kerata.ops.convert_to_tensor(mask))
    keras.src.backend.set_keras_mask(q, keras.ops.convert_to_tensor(mask))
    if weights == (4,):  # Keras lines these up with the last axis and fails; here they are one for each sample
        theirs = keras.losses.MeanSquaredError(reduction=reduction)(y_true, q, weight[:, None])
    else:
        theirs = keras.losses.MeanSquaredError(reduction=reduction)(y_true, q, weight)
    ours = losses.MeanSquaredError(reduction=reduction)(y_true, p, weight)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), **CLOSE)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "mixed_bfloat16"])
def test_dtype(dtype):
    y_true, y_pred = DATA["real"]
    policy = dtype if "mixed" not in dtype else keras.DTypePolicy(dtype)
    own = dtype if "mixed" not in dtype else kerata.dtype_policies.DTypePolicy(dtype)
    theirs = keras.losses.MeanSquaredError(dtype=policy)(y_true, y_pred)
    ours = losses.MeanSquaredError(dtype=own)(y_true, y_pred)
    assert str(ours.dtype) == str(theirs.dtype) == losses.MeanSquaredError(dtype=own).dtype
    np.testing.assert_allclose(np.float32(ours), np.float32(theirs), rtol=1e-2)
