"""Metrics against Keras over drawn arguments, data and weights: all of keras.metrics has its row."""

import keras
import numpy as np
import pytest
from drawing import distributions, drawn, generator, logits, public_names, real, rows, shares, yes_no

import kerata
from kerata import metrics

pytestmark = [
    pytest.mark.filterwarnings("ignore:More independent predictors"),  # of Keras, after a reset
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64"),  # Keras asks JAX for it
    pytest.mark.filterwarnings("ignore:You are passing weight as `float`"),
]

BATCHES, B, T, C, L = 3, 4, 3, 5, 3
N = BATCHES * B
DRAWS = 3
CLOSE = {"rtol": 1e-5, "atol": 1e-5}

DATA = {
    "real": lambda rng: (real(rng, N, L), real(rng, N, L)),
    "plain": lambda rng: (rng.normal(size=(N, L)).astype("float32"), rng.normal(size=(N, L)).astype("float32")),
    "plain (N, T, D)": lambda rng: tuple(rng.normal(size=(2, N, T, 4)).astype("float32")),
    "real (N, T, D)": lambda rng: (real(rng, N, T, L), real(rng, N, T, L)),
    "positive": lambda rng: (shares(rng, N, L) * 50, shares(rng, N, L) * 50),
    "yes-no": lambda rng: (yes_no(rng, N, L), shares(rng, N, L)),
    "yes-no (N,)": lambda rng: (yes_no(rng, N), shares(rng, N)),
    "yes-no column": lambda rng: (yes_no(rng, N), shares(rng, N, 1)),
    "yes-no (N, T, L)": lambda rng: (yes_no(rng, N, T, L), shares(rng, N, T, L)),
    "yes-no tenths": lambda rng: (yes_no(rng, N, L), (rng.integers(0, 11, (N, L)) / 10).astype("float32")),
    "yes-no logits": lambda rng: (yes_no(rng, N, L), logits(rng, N, L)),
    "signs": lambda rng: (rng.choice([-1.0, 1.0], (N, L)).astype("float32"), real(rng, N, L)),
    "one-hot": lambda rng: (rows(rng, N, C), distributions(rng, N, C)),
    "one-hot (N, T, C)": lambda rng: (rows(rng, N, T, C), distributions(rng, N, T, C)),
    "one-hot (N, C, T)": lambda rng: (rows(rng, N, C, T, axis=1), distributions(rng, N, C, T, axis=1)),
    "one-hot logits": lambda rng: (rows(rng, N, C), logits(rng, N, C)),
    "numbers": lambda rng: (rng.integers(0, C, N), distributions(rng, N, C)),
    "numbers column": lambda rng: (rng.integers(0, C, (N, 1)), distributions(rng, N, C)),
    "numbers (N, T)": lambda rng: (rng.integers(0, C, (N, T)), distributions(rng, N, T, C)),
    "numbers logits": lambda rng: (rng.integers(0, C, (N, T)), logits(rng, N, T, C)),
    "ranked": lambda rng: (rng.integers(0, C, N), np.argsort(rng.normal(size=(N, C))).astype("int32")),
    "numbers to numbers": lambda rng: (rng.integers(-1, C, (N, T)), rng.integers(0, C, (N, T))),
    "values": lambda rng: (real(rng, N, L),),
}
LEVELS, ANSWERS = ["real", "real (N, T, D)"], ["yes-no", "yes-no (N,)", "yes-no column", "yes-no (N, T, L)"]
LOGITS = {"from_logits!": [True]}
SMOOTHING = {"label_smoothing": (0.0, 0.4)}
THRESHOLDS = {"thresholds": [0.5, 0.35, [0.1, 0.4, 0.85], [0.0, 0.5, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0]]}
AREA = {
    "num_thresholds": [2, 3, 11, 50, 200], "curve": ["ROC", "PR", "PRGAIN"],
    "summation_method": ["interpolation", "minoring", "majoring"],
}  # fmt: skip
AT = {"num_thresholds": [1, 3, 11, 200]}
CLASSES = {"num_classes!": [C], "ignore_class": [None, -1, 2]}
SOME = {"target_class_ids!": [[0], [1, 3], [0, 1, 2, 3, 4]]}


def each(kinds, ranges):
    return [(kind, ranges) for kind in kinds]


# class (its function in brackets) -> the kinds of data, each with the ranges of arguments
TABLE = {
    "Mean": each(["values"], {}),
    "Sum": each(["values"], {}),
    "MeanMetricWrapper (huber)": each(LEVELS, {"delta": (0.1, 3.0)}),
    "MeanSquaredError (mean_squared_error)": each(LEVELS, {}),
    "MeanAbsoluteError (mean_absolute_error)": each(LEVELS, {}),
    "MeanAbsolutePercentageError (mean_absolute_percentage_error)": each(LEVELS, {}),
    "MeanSquaredLogarithmicError (mean_squared_logarithmic_error)": each(["positive", "real"], {}),
    "RootMeanSquaredError": each(LEVELS, {}),
    "LogCoshError (log_cosh)": each(LEVELS, {}),
    "CosineSimilarity": [("real", {}), ("real (N, T, D)", {"axis": [1, 2]})],
    "PearsonCorrelation (pearson_correlation)": each(["plain (N, T, D)"], {"axis": [-1, 1]}),
    "ConcordanceCorrelation (concordance_correlation)": each(["plain (N, T, D)"], {"axis": [-1, 1]}),
    "R2Score": each(
        ["plain"],
        {
            "class_aggregation": [None, "uniform_average", "variance_weighted_average"],
            "num_regressors": [0, 1],
        },
    ),
    "KLDivergence (kl_divergence)": each(["one-hot"], {}),
    "Poisson (poisson)": each(["positive"], {}),
    "Hinge (hinge)": each(["signs", "yes-no"], {}),
    "SquaredHinge (squared_hinge)": each(["signs", "yes-no"], {}),
    "CategoricalHinge (categorical_hinge)": each(["one-hot"], {}),
    "BinaryCrossentropy (binary_crossentropy)": [
        *each(["yes-no", "yes-no (N, T, L)"], SMOOTHING), ("yes-no logits", {**LOGITS, **SMOOTHING}),
    ],
    "(binary_focal_crossentropy)": each(["yes-no"], {**SMOOTHING, "gamma": (0.5, 4.0)}),
    "CategoricalCrossentropy (categorical_crossentropy)": [
        *each(["one-hot", "one-hot (N, T, C)"], SMOOTHING), ("one-hot logits", {**LOGITS, **SMOOTHING}),
        ("one-hot (N, C, T)", {"axis!": [1]}),
    ],
    "(categorical_focal_crossentropy)": each(["one-hot"], {**SMOOTHING, "gamma": (0.5, 4.0)}),
    "SparseCategoricalCrossentropy (sparse_categorical_crossentropy)": [
        *each(["numbers", "numbers (N, T)"], {"ignore_class": [None, 2]}), ("numbers logits", LOGITS),
    ],
    "Accuracy": each(["numbers to numbers"], {}),
    "BinaryAccuracy (binary_accuracy)": each([*ANSWERS[:1], *ANSWERS[2:], "yes-no tenths"], {"threshold": (0.1, 0.9)}),
    "CategoricalAccuracy (categorical_accuracy)": each(["one-hot", "one-hot (N, T, C)"], {}),
    "SparseCategoricalAccuracy (sparse_categorical_accuracy)": each(
        ["numbers", "numbers column", "numbers (N, T)"], {}
    ),
    "TopKCategoricalAccuracy (top_k_categorical_accuracy)": each(
        ["one-hot logits", "one-hot (N, T, C)"], {"k!": [1, 2, 3]}
    ),
    "SparseTopKCategoricalAccuracy (sparse_top_k_categorical_accuracy)": [
        *each(["numbers", "numbers (N, T)"], {"k!": [1, 2, 3]}), ("ranked", {"k!": [1, 3], "from_sorted_ids!": [True]}),
    ],
    "TruePositives": each(ANSWERS, THRESHOLDS),
    "TrueNegatives": each(ANSWERS, THRESHOLDS),
    "FalsePositives": each(ANSWERS, THRESHOLDS),
    "FalseNegatives": each(ANSWERS, THRESHOLDS),
    "Precision": [*each(ANSWERS, THRESHOLDS), ("one-hot", {"top_k!": [1, 2, 4], "class_id": [0, 3]})],
    "Recall": [*each(ANSWERS, THRESHOLDS), ("one-hot", {"top_k": [1, 2, 4], "class_id!": [0, 3], **THRESHOLDS})],
    "SensitivityAtSpecificity": each(["yes-no", "yes-no tenths"], {"specificity!": (0, 1), **AT, "class_id": [0, 2]}),
    "SpecificityAtSensitivity": each(["yes-no", "yes-no tenths"], {"sensitivity!": (0, 1), **AT, "class_id": [0, 2]}),
    "PrecisionAtRecall": each(["yes-no", "yes-no tenths"], {"recall!": (0, 1), **AT, "class_id": [0, 2]}),
    "RecallAtPrecision": each(["yes-no", "yes-no tenths"], {"precision!": (0, 1), **AT, "class_id": [0, 2]}),
    "AUC": [
        *each(["yes-no", "yes-no (N,)"], AREA), ("yes-no tenths", {**AREA, "thresholds!": [[0.3], [0.1, 0.8, 0.4]]}),
        ("yes-no logits", {**AREA, **LOGITS}),
        ("yes-no", {**AREA, "multi_label!": [True], "num_labels": [L], "label_weights": [[1.0, 0.0, 2.5]]}),
        ("yes-no", {**AREA, "label_weights!": [[1.0, 0.0, 2.5]]}),
    ],
    "F1Score": each(["one-hot", "yes-no"], {"average": [None, "micro", "macro", "weighted"], "threshold": (0.1, 0.9)}),
    "FBetaScore": each(
        ["one-hot", "yes-no"],
        {"average": [None, "micro", "macro", "weighted"], "beta": (0.3, 3.0), "threshold": (0.1, 0.9)},
    ),
    "IoU": [
        ("numbers to numbers", {**CLASSES, **SOME}),
        ("numbers (N, T)", {**CLASSES, **SOME, "sparse_y_pred!": [False]}),
    ],
    "MeanIoU": [("numbers to numbers", CLASSES), ("numbers (N, T)", {**CLASSES, "sparse_y_pred!": [False]})],
    "OneHotIoU": each(["one-hot", "one-hot (N, T, C)"], {**CLASSES, **SOME, "sparse_y_pred": [False], "axis": [-1]}),
    "OneHotMeanIoU": each(["one-hot", "one-hot (N, T, C)"], CLASSES),
    "BinaryIoU": each(
        ["yes-no", "yes-no (N, T, L)"], {"threshold": (0.1, 0.9), "target_class_ids": [[0], [1]], "dtype": ["float32"]}
    ),
}  # fmt: skip

# What is no row of its own: bases, words, and functions that test_drawn_losses.py has as losses.
ELSEWHERE = {"Metric", "get", "serialize", "deserialize"}


def test_nothing_is_forgotten():
    named = {word.strip("()") for row in TABLE for word in row.split()}
    assert named | ELSEWHERE == public_names(keras.metrics)


def both(name, kwargs):
    if name == "MeanMetricWrapper":
        return [k.metrics.MeanMetricWrapper(k.losses.huber, name="mine", **kwargs) for k in (kerata, keras)]
    return [getattr(k.metrics, name)(**kwargs, name="mine") for k in (kerata, keras)]


def weights_for(rng, name, shape, class_id=None):
    """Return sample weights for values of `shape`, as kerata and as Keras take them."""
    kind = rng.choice(["none", "(N,)", "(N, 1)", "zeros", "values"])
    if kind == "none":
        return None, None
    weight = rng.integers(0, 4, shape if kind == "values" else shape[:1]) / (1 if "IoU" in name else 2)
    weight = (weight * (kind != "zeros")).astype("int32" if "IoU" in name else "float32")
    if kind == "values":  # Keras weighs the chosen class, and fails on weights for every class
        return weight, weight if class_id is None else weight[..., class_id]
    wide = weight.reshape(-1, *[1] * (len(shape) - 1))
    if "IoU" in name:  # Keras wants one for each value here
        wide = np.broadcast_to(wide, shape)
    elif name in ("F1Score", "FBetaScore"):  # and (N,) here
        wide = weight
    elif name in CONFUSION:  # and a last axis of its own making here
        wide = wide[..., 0] if len(shape) > 1 else weight
    return weight[:, None] if kind == "(N, 1)" and len(shape) > 1 else weight, wide


CONFUSION = [
    "TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives", "Precision", "Recall", "AUC",
    "SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision",
]  # fmt: skip
# The shape of what is weighed: all values, or without the axis that the function sums up.
WHOLE = {"RootMeanSquaredError", "Accuracy", "BinaryAccuracy", *CONFUSION, "BinaryIoU", "Mean", "Sum"}


def weighed_shape(name, kwargs, data):
    y = data[-1]
    if "IoU" in name:
        return data[0].shape if name in ("IoU", "MeanIoU", "BinaryIoU") else data[0].shape[:-1]
    if name in WHOLE:
        return y.shape
    if name in ("F1Score", "FBetaScore", "R2Score"):
        return y.shape[:1]
    axis = kwargs.get("axis", -1) % y.ndim
    return y.shape[:axis] + y.shape[axis + 1 :]


def plain(config):
    return {k: np.asarray(v).tolist() if hasattr(v, "__array__") else v for k, v in config.items()}


def check_configs(name, kwargs, ours, theirs):
    """Raise unless each makes the other's metric anew, with and without its class's name."""
    expected = plain(theirs.get_config())
    forgotten = {"axis": kwargs["axis"]} if name == "CosineSimilarity" and "axis" in kwargs else {}  # by Keras
    assert plain(ours.get_config()) == {**expected, **forgotten}
    assert type(ours).from_config(ours.get_config()).get_config() == ours.get_config()
    assert plain(type(theirs).from_config(ours.get_config()).get_config()) == expected
    data = metrics.serialize(ours)
    assert plain(keras.saving.deserialize_keras_object(data).get_config()) == expected
    if name != "MeanMetricWrapper":
        assert (data["module"], data["class_name"]) == ("keras.metrics", name)
        again = metrics.deserialize(keras.metrics.serialize(theirs))
        assert type(again) is type(ours) and plain(again.get_config()) == expected
    assert getattr(ours, "_direction", None) == getattr(theirs, "_direction", None)


def cut(x, i):
    return None if x is None else x[i * B : (i + 1) * B]


def compare(a, b, note):
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), **CLOSE, err_msg=note)


@pytest.mark.parametrize("row", [row for row in TABLE if not row.startswith("(")])
def test_drawn(row):
    name = row.partition(" ")[0]
    for place, (kind, ranges) in enumerate(TABLE[row]):
        for draw in range(DRAWS):
            rng = generator(name, kind, place, draw)
            kwargs, data = drawn(rng, ranges), DATA[kind](rng)
            ours, theirs = both(name, kwargs)
            weight, as_keras = weights_for(rng, name, weighed_shape(name, kwargs, data), kwargs.get("class_id"))
            note = f"{name}({kwargs}) on {kind}, draw {draw}, weights {getattr(weight, 'shape', None)}"
            for i in range(BATCHES):
                batch = [cut(x, i) for x in data]
                got = ours(*batch, sample_weight=cut(weight, i))
                compare(got, theirs(*batch, sample_weight=cut(as_keras, i)), f"{note}, after batch {i}")
            assert [(v.path, v.shape) for v in ours.variables] == [(v.path, v.shape) for v in theirs.variables]
            for mine, its in zip(ours.variables, theirs.variables):
                compare(mine, its, note)
            check_configs(name, kwargs, ours, theirs)
            if not draw:  # and the same as a pure function, compiled, from the first state on
                update = kerata.jit(ours.stateless_update_state)
                state = ours.stateless_reset_state()
                before = [v.numpy() for v in ours.variables]
                for i in range(BATCHES):
                    extra = {} if weight is None else {"sample_weight": cut(weight, i)}
                    state = update(state, *[cut(x, i) for x in data], **extra)
                for pure, variable, old in zip(state, ours.variables, before, strict=True):
                    compare(pure, variable, f"{note}, pure")
                    assert (variable.numpy() == old).all()
                compare(ours.stateless_result(state), theirs.result(), f"{note}, pure")
            ours.reset_state()
            theirs.reset_state()
            compare(ours.result(), theirs.result(), f"{note}, after reset")


@pytest.mark.parametrize("row", [row for row in TABLE if "(" in row])
def test_function(row):
    function = row[row.index("(") + 1 : -1]
    if function in public_names(keras.losses):  # test_drawn_losses.py draws for these
        assert getattr(metrics, function) is getattr(kerata.losses, function)
        return
    for kind, ranges in TABLE[row]:
        rng = generator(function, kind)
        kwargs, data = drawn(rng, ranges), DATA[kind](rng)
        got, expected = (getattr(k.metrics, function)(*data, **kwargs) for k in (kerata, keras))
        compare(got, expected, f"{function}({kwargs}) on {kind}")


@pytest.mark.parametrize("size", [3, 50])
def test_counts_are_exact(size):
    """Scores at each even threshold and the next floats beside it; Keras may put these one threshold too high."""
    thresholds = np.float32([i / (size - 1) for i in range(size)])
    beside = [np.nextafter(thresholds, np.float32(end)) for end in (0, 1)]
    scores = np.concatenate([*beside, thresholds, np.float32([np.nan, np.nan])])  # which is above no threshold
    labels = np.arange(len(scores)) % 2
    above = scores > thresholds[:, None]
    ours = metrics.SensitivityAtSpecificity(0.5, num_thresholds=size)
    area = metrics.AUC(num_thresholds=size)
    for metric in (ours, area):
        metric.update_state(labels, scores)
        within = slice(1, -1)  # the outermost thresholds of an AUC lie a little outside
        assert (metric.true_positives.numpy() == (above & (labels == 1)).sum(1))[within].all()
        assert (metric.false_positives.numpy() == (above & (labels == 0)).sum(1))[within].all()
    scores = np.nan_to_num(scores)
    low, high = (metrics.AUC(num_thresholds=size, summation_method=m)(labels, scores) for m in ("minoring", "majoring"))
    order = scores[labels == 1][:, None] - scores[labels == 0]
    assert low <= np.mean((order > 0) + 0.5 * (order == 0)) <= high  # the share of pairs in the right order
