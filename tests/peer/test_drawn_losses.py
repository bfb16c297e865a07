"""Losses against Keras over drawn arguments, data, weights and masks: all of keras.losses has its row."""

import keras
import numpy as np
import pytest
from drawing import distributions, drawn, generator, logits, public_names, real, rows, shares, yes_no

import kerata
from kerata import losses

B, T, C = 6, 4, 5
DRAWS = 4
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

LEVELS = ["real", "real (B, T, D)", "column"]
CHANCES = ["yes-no", "yes-no column", "yes-no (B, T, D)"]
DATA = {
    "real": lambda rng: (real(rng, B, 3), real(rng, B, 3)),
    "real (B, T, D)": lambda rng: (real(rng, B, T, 3), real(rng, B, T, 3)),
    "column": lambda rng: (real(rng, B), real(rng, B, 1)),
    "positive": lambda rng: (shares(rng, B, 3) * 50, shares(rng, B, 3) * 50),
    "counts": lambda rng: (rng.integers(0, 9, (B, T, 3)), shares(rng, B, T, 3) * 9),
    "yes-no": lambda rng: (yes_no(rng, B, 3), shares(rng, B, 3)),
    "yes-no column": lambda rng: (yes_no(rng, B), shares(rng, B, 1)),
    "yes-no (B, T, D)": lambda rng: (yes_no(rng, B, T, 3), shares(rng, B, T, 3)),
    "yes-no logits": lambda rng: (yes_no(rng, B, T, 3), logits(rng, B, T, 3)),
    "signs": lambda rng: (rng.choice([-1.0, 1.0], (B, T, 3)).astype("float32"), real(rng, B, T, 3)),
    "one-hot": lambda rng: (rows(rng, B, C), distributions(rng, B, C)),
    "one-hot (B, T, C)": lambda rng: (rows(rng, B, T, C), distributions(rng, B, T, C)),
    "one-hot (B, C, T)": lambda rng: (rows(rng, B, C, T, axis=1), distributions(rng, B, C, T, axis=1)),
    "one-hot logits": lambda rng: (rows(rng, B, T, C), logits(rng, B, T, C)),
    "numbers": lambda rng: (rng.integers(0, C, B), distributions(rng, B, C)),
    "numbers (B, T)": lambda rng: (rng.integers(0, C, (B, T)), distributions(rng, B, T, C)),
    "numbers logits": lambda rng: (rng.integers(0, C, (B, T, 1)), logits(rng, B, T, C)),
    "distributions": lambda rng: (distributions(rng, B, T, C), distributions(rng, B, T, C)),
    "image": lambda rng: (yes_no(rng, B, 4, 4, 1), shares(rng, B, 4, 4, 1)),
    "embeddings": lambda rng: (rng.integers(0, 3, B), unit(rng.normal(size=(B, 4)))),
    "sequences": lambda rng: (np.array([[1, 2, 3, 0], [2, 2, 0, 0], [4, 1, 4, 3]]), 5 * rng.normal(size=(3, 9, C))),
}  # fmt: skip


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("float32")


SMOOTHING = {"label_smoothing": (0.0, 0.4)}
FOCUS = {"alpha": (0.1, 0.9), "gamma": (0.5, 4.0)}
LOGITS = {"from_logits!": [True]}

# class (its function in brackets) -> the kinds of data, each with the ranges of arguments
TABLE = {
    "MeanSquaredError (mean_squared_error)": [(kind, {}) for kind in LEVELS],
    "MeanAbsoluteError (mean_absolute_error)": [(kind, {}) for kind in LEVELS],
    "MeanAbsolutePercentageError (mean_absolute_percentage_error)": [(kind, {}) for kind in LEVELS],
    "MeanSquaredLogarithmicError (mean_squared_logarithmic_error)": [(kind, {}) for kind in ["positive", *LEVELS[:2]]],
    "Huber (huber)": [(kind, {"delta": (0.1, 3.0)}) for kind in LEVELS],
    "LogCosh (log_cosh)": [(kind, {}) for kind in LEVELS],
    "CosineSimilarity (cosine_similarity)": [("real", {}), ("real (B, T, D)", {"axis": [1, 2]})],
    "BinaryCrossentropy (binary_crossentropy)": [
        *[(kind, SMOOTHING) for kind in CHANCES],
        ("image", {**SMOOTHING, "axis": [1, 2, -1]}),
        ("yes-no logits", {**SMOOTHING, **LOGITS}),
    ],
    "BinaryFocalCrossentropy (binary_focal_crossentropy)": [
        *[(kind, {**SMOOTHING, **FOCUS, "apply_class_balancing": [False, True]}) for kind in CHANCES],
        ("yes-no logits", {**SMOOTHING, **FOCUS, **LOGITS, "axis": [1, 2]}),
    ],
    "CategoricalCrossentropy (categorical_crossentropy)": [
        ("one-hot", SMOOTHING), ("one-hot (B, T, C)", SMOOTHING), ("distributions", SMOOTHING),
        ("one-hot (B, C, T)", {"axis!": [1]}), ("one-hot logits", {**SMOOTHING, **LOGITS}),
    ],
    "CategoricalFocalCrossentropy (categorical_focal_crossentropy)": [
        ("one-hot", {**SMOOTHING, **FOCUS}), ("one-hot (B, T, C)", {**SMOOTHING, **FOCUS}),
        ("one-hot (B, C, T)", {**FOCUS, "axis!": [1]}), ("one-hot logits", {**SMOOTHING, **FOCUS, **LOGITS}),
    ],
    "SparseCategoricalCrossentropy (sparse_categorical_crossentropy)": [
        *[(kind, {"ignore_class": [None, 0, 3]}) for kind in ("numbers", "numbers (B, T)")],
        ("numbers logits", {"ignore_class": [0, 3], **LOGITS}),
    ],
    "CategoricalGeneralizedCrossEntropy (categorical_generalized_cross_entropy)": [
        (kind, {"q!": (0.1, 0.9)}) for kind in ("numbers", "numbers (B, T)")
    ],
    "KLDivergence (kl_divergence)": [("distributions", {}), ("one-hot", {})],
    "Poisson (poisson)": [("positive", {}), ("counts", {})],
    "Hinge (hinge)": [("signs", {}), ("yes-no", {})],
    "SquaredHinge (squared_hinge)": [("signs", {}), ("yes-no", {})],
    "CategoricalHinge (categorical_hinge)": [("one-hot", {}), ("one-hot (B, T, C)", {})],
    "Dice (dice)": [("image", {"axis": [None, (1, 2, 3), (1, 2)]})],
    "Tversky (tversky)": [("image", {"alpha": (0.1, 0.9), "beta": (0.1, 0.9), "axis": [None, (1, 2, 3)]})],
    "Circle (circle)": [("embeddings", {"gamma": (1.0, 90.0), "margin": (0.1, 0.6), "remove_diagonal": [False, True]})],
    "CTC (ctc)": [("sequences", {})],
}  # fmt: skip

AROUND = {"reduction": ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]}
NOT_A_LOSS = {"Loss", "get", "serialize", "deserialize"}  # test_losses.py has these



def binary_focal(y, z, apply_class_balancing=False, alpha=0.25, gamma=2.0, label_smoothing=0.0, axis=-1, **_):
    y, z = y * (1 - label_smoothing) + label_smoothing / 2, z.astype("float64")
    wrong = np.where(y > 0.5, -z, z)
    p = 1 / (1 + np.exp(-np.clip(z, -700, 700)))
    entropy = np.maximum(wrong, 0) + np.log1p(np.exp(-abs(z))) + abs(z) * np.minimum(y, 1 - y) * np.sign(-wrong)
    balance = y * alpha + (1 - y) * (1 - alpha) if apply_class_balancing else 1
    return np.mean(balance * (1 - y * p - (1 - y) * (1 - p)) ** gamma * entropy, axis)


def categorical_focal(y, z, alpha=0.25, gamma=2.0, label_smoothing=0.0, **_):
    y, z = y * (1 - label_smoothing) + label_smoothing / C, z.astype("float64")
    log_p = z - z.max(-1, keepdims=True)
    log_p = log_p - np.log(np.sum(np.exp(log_p), -1, keepdims=True))
    return -np.sum(alpha * (1 - np.exp(log_p)) ** gamma * y * log_p, -1)


# With `from_logits` Keras's focal losses make probabilities and take the logarithm of these: the first then rounds
# 1 - p, the second clips p at 1e-7. Kerata takes the logarithm of the logits; so the formulas above, in float64, stand
# for Keras there.
TRUTH = {"BinaryFocalCrossentropy": binary_focal, "CategoricalFocalCrossentropy": categorical_focal}


def test_nothing_is_forgotten():
    named = {word.strip("()") for row in TABLE for word in row.split()}
    assert named | NOT_A_LOSS == public_names(keras.losses)


def weights_for(rng, shape):
    """Return sample weights for loss values of `shape`, as kerata and as Keras take them."""
    kinds = ["none", "number"] if not shape else ["none", "number", "(B,)", "(B, 1)", "zeros", "integers", "values"]
    kind = kinds[rng.integers(len(kinds))]
    if kind in ("none", "number"):
        weight = None if kind == "none" else float(rng.uniform(0, 2))
        return weight, weight
    weight = np.round(rng.uniform(0, 2, shape if kind == "values" else shape[:1]), 2).astype("float32")
    weight *= rng.random(weight.shape) < 0.8
    if kind == "zeros":
        weight *= 0
    if kind == "integers":
        weight = np.ceil(weight).astype("int32")
    if kind == "values":
        return weight, weight
    wide = weight.reshape(-1, *[1] * max(len(shape) - 1, kind == "(B, 1)"))
    # Keras lines weights (B,) up with the last axis of values (B, T) and fails; here they are one for each sample.
    return weight[:, None] if kind == "(B, 1)" else weight, wide


def masked(x, mask):
    ours, theirs = kerata.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(x)
    if mask is not None:
        kerata.core.scopes.set_mask(ours, kerata.ops.convert_to_tensor(mask))
        keras.src.backend.set_keras_mask(theirs, keras.ops.convert_to_tensor(mask))
    return ours, theirs


def expected_values(name, function, y_true, y_pred, kwargs):
    """Return the loss values by Keras's function, or by the truth where Keras is wrong."""
    if name in TRUTH and "from_logits" in kwargs:
        return TRUTH[name](y_true, y_pred, **kwargs).astype("float32")
    if y_true.ndim == 1 and y_pred.shape == (B, 1):
        y_true = y_true[:, None]  # some of Keras's functions leave that to the class
    return np.asarray(getattr(keras.losses, function)(y_true, y_pred, **kwargs))


def check_configs(name, kwargs, ours, theirs):
    """Raise unless each makes the other's loss anew, with and without its class's name."""
    expected = theirs.get_config()
    unlisted = {"Huber": {"delta"}, "CosineSimilarity": {"axis"}}.get(name, set())  # ours keeps what Keras forgets
    own = {**expected, **{k: v for k, v in kwargs.items() if k in unlisted}, "name": ours.name}
    assert ours.get_config() == type(ours).from_config(ours.get_config()).get_config() == own
    data = losses.serialize(ours)
    assert (data["module"], data["class_name"]) == ("keras.losses", name)
    assert keras.saving.deserialize_keras_object(data).get_config() == {**expected, "name": ours.name}
    again = losses.deserialize(keras.losses.serialize(theirs))
    assert type(again) is type(ours) and again.get_config() == expected


@pytest.mark.parametrize("row", TABLE)
def test_drawn(row):
    name, function = row.replace("(", "").replace(")", "").split()
    for kind, ranges in TABLE[row]:
        for i in range(DRAWS):
            rng = generator(name, kind, i)
            kwargs, (y_true, y_pred) = drawn(rng, ranges), DATA[kind](rng)
            note = f"{name}({kwargs}) on {kind}, draw {i}"
            values = expected_values(name, function, y_true, y_pred, kwargs)
            own = getattr(losses, function)(y_true, y_pred, **kwargs)
            np.testing.assert_allclose(np.asarray(own), values, **CLOSE, err_msg=note)

            around = drawn(rng, AROUND)
            weight, as_keras = weights_for(rng, values.shape)
            mask = rng.random(values.shape) < 0.7 if values.ndim and rng.random() < 0.4 else None
            note += f", {around}, weight {weight}, mask {mask}"
            p, q = masked(y_pred, mask)
            ours, theirs = (getattr(k.losses, name)(**kwargs, **around) for k in (kerata, keras))
            if name in TRUTH and "from_logits" in kwargs:
                theirs.call = lambda y_true, y_pred, values=values: values
            check_configs(name, kwargs, ours, theirs)
            got, expected = ours(y_true, p, weight), theirs(y_true, q, as_keras)
            assert str(got.dtype) == str(expected.dtype)
            np.testing.assert_allclose(np.asarray(got), np.asarray(expected), **CLOSE, err_msg=note)


@pytest.mark.parametrize("row", TABLE)
def test_nothing_and_16_bits(row):
    name = row.partition(" ")[0]
    kind, ranges = TABLE[row][0]
    rng = generator(name)
    kwargs, (y_true, y_pred) = drawn(rng, ranges), DATA[kind](rng)
    ours, theirs = (getattr(k.losses, name)(**kwargs) for k in (kerata, keras))
    np.testing.assert_allclose(ours(y_true[:0], y_pred[:0]), theirs(y_true[:0], y_pred[:0]), err_msg=name)
    ours, theirs = (getattr(k.losses, name)(**kwargs, dtype="bfloat16") for k in (kerata, keras))
    got, expected = ours(y_true, y_pred), theirs(y_true, y_pred)
    assert str(got.dtype) == str(expected.dtype) == "bfloat16"
    np.testing.assert_allclose(np.float32(got), np.float32(expected), rtol=0.03, atol=0.03, err_msg=name)
