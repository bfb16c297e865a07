"""Layers on their own: what they refuse and how they say it, old spellings, draws, masks, and what Keras gets wrong.

That they compute what Keras computes is tested in tests/peer/test_layers.py.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import kerata
from kerata import errors, layers, ops
from kerata.core import scopes

X = np.random.default_rng(0).normal(size=(2, 6, 5, 4)).astype("float32")
SEQUENCE = X[:, :, :, 0]  # (2, 6, 5)
VECTORS = X[:, 0, 0]  # (2, 4)


def after(layer, *first):
    """Return the layer, called on the inputs that build it."""
    layer(*first)
    return layer


# What is refused ------------------------------------------------------------------------------------------------

# What is done, the error, and words of its message: the layer's path, what was expected and what came.
REFUSED = {
    # Arguments
    "units of 0": (lambda: layers.Dense(0), errors.InvalidArgument, ["Dense", "units=0", "positive int"]),
    "units of a float": (lambda: layers.Dense(2.5), errors.InvalidArgument, ["units=2.5"]),
    "unknown argument": (lambda: layers.Dense(3, activaton="relu"), errors.InvalidType, ["activaton", "activation"]),
    "unknown activation": (lambda: layers.Dense(3, activation="rleu"), errors.UnknownName, ["rleu", "relu"]),
    "unknown padding": (lambda: layers.Conv2D(3, 3, padding="sam"), errors.InvalidArgument, ["Conv2D", "sam", "same"]),
    "causal in 2D": (lambda: layers.Conv2D(3, 3, padding="causal"), errors.InvalidArgument, ["causal", "valid"]),
    "unknown data format": (lambda: layers.MaxPooling2D(2, data_format="last"), errors.InvalidArgument, ["last"]),
    "three sizes in 2D": (lambda: layers.Conv2D(3, (3, 3, 3)), errors.InvalidArgument, ["kernel_size", "2 ints"]),
    "strides and dilation": (
        lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), errors.InvalidArgument, ["strides=(2, 2)"],
    ),
    "filters and groups": (lambda: layers.Conv2D(3, 3, groups=2), errors.InvalidArgument, ["filters=3", "groups=2"]),
    "output padding": (
        lambda: layers.Conv2DTranspose(3, 3, output_padding=1), errors.InvalidArgument, ["output_padding"],
    ),
    "rate of 2": (lambda: layers.Dropout(2), errors.InvalidArgument, ["rate=2", "0 <= rate <= 1"]),
    "rate of 1 with noise": (lambda: layers.GaussianDropout(1.0), errors.InvalidArgument, ["rate < 1"]),
    "stddev below 0": (lambda: layers.GaussianNoise(-1.0), errors.InvalidArgument, ["stddev=-1.0"]),
    "noise shape": (lambda: layers.Dropout(0.5, noise_shape="x"), errors.InvalidArgument, ["noise_shape='x'"]),
    "two unknown sizes": (lambda: layers.Reshape((-1, -1)), errors.InvalidArgument, ["(-1, -1)"]),
    "permuted batch": (lambda: layers.Permute((0, 1)), errors.InvalidArgument, ["dims=(0, 1)", "batch"]),
    "axis of words": (lambda: layers.LayerNormalization("last"), errors.InvalidType, ["axis='last'"]),
    "mean without variance": (lambda: layers.Normalization(mean=1.0), errors.InvalidArgument, ["both or neither"]),
    "clipping": (
        lambda: layers.BatchNormalization(renorm=True, renorm_clipping={"max": 1}), errors.InvalidArgument, ["rmax"],
    ),
    "a class to wrap": (lambda: layers.Wrapper(layers.Dense), errors.InvalidType, ["Dense() makes one"]),
    "name with a slash": (lambda: layers.Dense(3, name="a/b"), errors.InvalidArgument, ["a/b"]),
    "equation": (lambda: layers.EinsumDense("ab->ab", 3), errors.InvalidArgument, ["ab->ab", "ab,bc->ac"]),
    "no shape": (lambda: layers.Input(), errors.InvalidArgument, ["shape="]),
    "negative shape": (lambda: layers.Input((-1, 3)), errors.InvalidArgument, ["(-1, 3)"]),
    # Ranks and sizes
    "image as vector": (
        lambda: layers.Conv2D(3, 3, name="c")(VECTORS), errors.ShapeMismatch, ["'c'", "4 axes", "shape (2, 4)"],
    ),
    "image without channels": (lambda: layers.Conv2D(3, 3)(SEQUENCE), errors.ShapeMismatch, ["x[..., None]"]),
    "one sample": (lambda: layers.Dense(3)(VECTORS[0]), errors.ShapeMismatch, ["at least 2 axes", "x[None]"]),
    "other features": (
        lambda: after(layers.Dense(3, name="d"), VECTORS)(SEQUENCE), errors.ShapeMismatch, ["'d'", "4 along axis -1"],
    ),
    "other channels": (
        lambda: after(layers.Conv2D(3, 3), X)(X[..., :2]), errors.ShapeMismatch, ["4 along axis -1", "(2, 6, 5, 2)"],
    ),
    "other channels in front": (
        lambda: after(layers.BatchNormalization(axis=1), X)(X[:, :2]), errors.ShapeMismatch, ["6 along axis 1"],
    ),
    "unknown features": (
        lambda: layers.Dense(3)(layers.Input((None,))), errors.ShapeMismatch, ["(None, None)", "Input(shape)"],
    ),
    "channels and groups": (
        lambda: layers.Conv2D(3, 3, groups=3)(X), errors.ShapeMismatch, ["multiple of 3", "4 channels"],
    ),
    "channels and normalized groups": (
        lambda: layers.GroupNormalization(3)(X), errors.ShapeMismatch, ["multiple of 3", "4 channels"],
    ),
    "axis out of range": (lambda: layers.LayerNormalization(axis=4)(X), errors.ShapeMismatch, ["axis=4"]),
    # Nothing would come out
    "window of a convolution": (
        lambda: layers.Conv2D(3, 7, name="big")(X), errors.ShapeMismatch, ["'big'", "(7, 7)", 'padding="same"'],
    ),
    "dilated window": (lambda: layers.Conv1D(3, 3, dilation_rate=3)(SEQUENCE), errors.ShapeMismatch, ["(7,)"]),
    "window of a model": (
        lambda: layers.Conv2D(3, 7)(layers.Input((6, 5, 4))), errors.ShapeMismatch, ["(None, 6, 5, 4)"],
    ),
    "window of a pooling": (lambda: layers.MaxPooling2D(6)(X), errors.ShapeMismatch, ["(6, 6)", "(2, 6, 5, 4)"]),
    "all cropped": (lambda: layers.Cropping2D(3)(X), errors.ShapeMismatch, ["nothing is left", "((3, 3), (3, 3))"]),
    # Several inputs
    "one to add": (lambda: layers.Add()(X), errors.InvalidArgument, ["a list of tensors", "Add()([x, y])"]),
    "three to subtract": (lambda: layers.Subtract()([X, X, X]), errors.InvalidArgument, ["2 tensors", "3 of them"]),
    "different sizes": (lambda: layers.Add()([X, X[..., :3]]), errors.ShapeMismatch, ["(2, 6, 5, 3)"]),
    "different batches": (lambda: layers.Add()([X, X[:1]]), errors.ShapeMismatch, ["batch", "(1, 6, 5, 4)"]),
    "different heights": (
        lambda: layers.Concatenate()([X, X[:, :3]]), errors.ShapeMismatch, ["axis 1 does", "(2, 3, 5, 4)"],
    ),
    "different lengths": (lambda: layers.Dot(1)([VECTORS, SEQUENCE]), errors.ShapeMismatch, ["axes 1", "(2, 6, 5)"]),
    "product over batches": (lambda: layers.Dot(0), errors.InvalidArgument, ["axes=0"]),
    # Values
    "number not in the table": (
        lambda: layers.Embedding(10, 3)(np.array([[3, 10]])), errors.InvalidArgument, ["0 to 9", "3 to 10", "plus one"],
    ),
    "fraction to look up": (lambda: layers.Embedding(10, 3)(VECTORS), errors.InvalidArgument, ["whole numbers"]),
    "values and shape": (
        lambda: layers.Reshape((7, 2))(VECTORS), errors.ShapeMismatch, ["14 values", "4 values", "batch"],
    ),
    "noise shape and input": (
        lambda: layers.Dropout(0.5, noise_shape=(None, 3))(VECTORS, training=True), errors.ShapeMismatch, ["(2, 4)"],
    ),
    "mask of a softmax": (
        lambda: layers.Softmax()(VECTORS, mask=np.ones((2, 3), bool)), errors.ShapeMismatch, ["(2, 3)", "(2, 4)"],
    ),
    "mask of a batch": (
        lambda: layers.BatchNormalization()(SEQUENCE, training=True, mask=np.ones(2, bool)),
        errors.ShapeMismatch, ["2 axes", "mask of shape (2,)"],
    ),
    "adapting what is given": (
        lambda: layers.Normalization(mean=0.0, variance=1.0).adapt(VECTORS), errors.StateError, ["were given"],
    ),
    "adapting to other features": (
        lambda: after(layers.Normalization(), VECTORS).adapt(SEQUENCE), errors.ShapeMismatch, ["{-1: 4}", "(2, 6, 5)"],
    ),
    "adapting to nothing": (lambda: layers.Normalization().adapt([]), errors.InvalidArgument, ["no data"]),
    # Data
    "a loss for a layer": (
        lambda: layers.deserialize(kerata.saving.serialize_keras_object(kerata.losses.Huber())),
        errors.InvalidType, ["no layer"],
    ),
    "unknown class": (
        lambda: layers.deserialize({"class_name": "Dens", "config": {}, "module": "keras.layers"}),
        errors.UnknownName, ["Dens", "Dense"],
    ),
    "code in data": (
        lambda: layers.deserialize(layers.serialize(layers.Lambda(lambda x: x + 1))),
        errors.InvalidArgument, ["lambda", "custom_objects"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str):
    do, error, words = REFUSED[name]
    with pytest.raises(error) as raised:
        do()
    message = str(raised.value)
    assert [w for w in words if w not in message] == [], message


def spec_of(**expected):
    """Return a function that gives inputs to a layer with this input spec."""

    def call(*inputs):
        layer = layers.Identity()
        layer.input_spec = layers.InputSpec(**expected) if expected else [layers.InputSpec(ndim=2)] * 2
        return layer(list(inputs) if len(inputs) > 1 else inputs[0])

    return call


# What a layer expects, and shapes that it takes and refuses.
EXPECTED = [
    ({"ndim": 2}, (3, 4), (3,)),
    ({"ndim": 2}, (3, 4), (3, 4, 5)),
    ({"min_ndim": 2}, (3, 4, 5), (3,)),
    ({"max_ndim": 2}, (3,), (3, 4, 5)),
    ({"axes": {-1: 4}}, (3, 4), (4, 3)),
    ({"axes": {2: 5}}, (3, 4, 5), (3, 4)),
    ({"shape": (None, 4)}, (3, 4), (3, 5)),
    ({"shape": (3, 1), "allow_last_axis_squeeze": True}, (3,), (4,)),
    ({"shape": (3,), "allow_last_axis_squeeze": True}, (3, 1), (3, 2)),
]


@pytest.mark.parametrize("expected, taken, refused", EXPECTED, ids=str)
def test_input_spec(expected: dict, taken: tuple, refused: tuple):
    spec_of(**expected)(np.ones(taken))
    with pytest.raises(errors.ShapeMismatch, match="layer 'identity"):
        spec_of(**expected)(np.ones(refused))
    again = layers.InputSpec.from_config(layers.InputSpec(**expected).get_config())
    assert (again.ndim, again.axes, again.shape) == (lambda s: (s.ndim, s.axes, s.shape))(layers.InputSpec(**expected))


def test_input_spec_of_a_dtype_and_of_several():
    with pytest.raises(errors.InvalidType, match="wrong dtype"):
        spec_of(dtype="int32")(np.ones((2, 3)))
    spec_of()(np.ones((2, 3)), np.ones((2, 1)))
    with pytest.raises(errors.ShapeMismatch, match="2 tensor"):
        spec_of()(np.ones((2, 3)))


# Old spellings --------------------------------------------------------------------------------------------------

# An old way to write it, and today's, which it means.
SPELLINGS = [
    (lambda: layers.LeakyReLU(alpha=0.2), lambda: layers.LeakyReLU(negative_slope=0.2)),
    (lambda: layers.Embedding(10, 3, input_length=5), lambda: layers.Embedding(10, 3)),
    (lambda: layers.BatchNormalization(axis=[3]), lambda: layers.BatchNormalization(axis=3)),
    (lambda: layers.Dense(3, input_dim=4), lambda: layers.Dense(3)),
    (lambda: layers.Dense(3, input_shape=(4,)), lambda: layers.Dense(3)),
    (lambda: layers.Dense(3, batch_input_shape=(None, 4)), lambda: layers.Dense(3)),
    (lambda: layers.InputLayer(input_shape=(4,)), lambda: layers.InputLayer(shape=(4,))),
    (lambda: layers.InputLayer(batch_input_shape=(2, 4)), lambda: layers.InputLayer(batch_shape=(2, 4))),
    (lambda: layers.Convolution2D(3, 2), lambda: layers.Conv2D(3, 2)),
    (lambda: layers.SeparableConvolution1D(3, 2), lambda: layers.SeparableConv1D(3, 2)),
    (lambda: layers.Convolution3DTranspose(3, 2), lambda: layers.Conv3DTranspose(3, 2)),
    (lambda: layers.MaxPool2D(), lambda: layers.MaxPooling2D((2, 2))),
    (lambda: layers.AvgPool1D(2), lambda: layers.AveragePooling1D(2)),
    (lambda: layers.GlobalMaxPool3D(), lambda: layers.GlobalMaxPooling3D()),
    (lambda: layers.GlobalAvgPool2D(), lambda: layers.GlobalAveragePooling2D()),
]


@pytest.mark.parametrize("old, new", SPELLINGS)
@pytest.mark.filterwarnings("ignore")
def test_old_spelling(old, new):
    def data(make):
        written = layers.serialize(make())
        written["config"].pop("name")
        return written

    assert data(old) == data(new)


@pytest.mark.filterwarnings("ignore")
def test_an_old_input_shape_starts_a_model():
    model = kerata.Sequential([layers.Dense(3, input_dim=4), layers.Dense(2)])
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]


def test_an_argument_of_ones_own_may_have_the_name_of_an_old_one():
    class Table(layers.Layer):
        def __init__(self, input_dim, batch_size=3, **kwargs):
            super().__init__(**kwargs)
            self.input_dim, self.batch_size = input_dim, batch_size

    config = Table(5).get_config()
    assert (config["input_dim"], config["batch_size"]) == (5, 3)
    assert Table.from_config(config).input_dim == 5


# Draws ----------------------------------------------------------------------------------------------------------

ONES = np.ones((400, 250), "float32")

# A layer that disturbs, with the mean and the standard deviation of what it makes of ones (of normal draws for
# AlphaDropout, whose point it is to keep them), and the share of values that are 0.
DISTURBED = [
    (layers.Dropout(0.25, seed=1), 1.0, (0.25 / 0.75) ** 0.5, 0.25),
    (layers.Dropout(1.0), 0.0, 0.0, 1.0),
    (layers.Dropout(0.0), 1.0, 0.0, 0.0),
    (layers.GaussianDropout(0.2, seed=1), 1.0, 0.5, 0.0),
    (layers.GaussianNoise(2.0, seed=1), 1.0, 2.0, 0.0),  # Keras refuses a deviation above 1 for no reason
    (layers.AlphaDropout(0.3, seed=1), 0.0, 1.0, 0.0),
]


@pytest.mark.parametrize("layer, mean, stddev, zeros", DISTURBED, ids=lambda v: getattr(v, "name", None))
def test_disturbed(layer, mean: float, stddev: float, zeros: float):
    normal = isinstance(layer, layers.AlphaDropout)
    x = np.random.default_rng(0).normal(size=ONES.shape).astype("float32") if normal else ONES
    y = np.asarray(layer(x, training=True))
    # 1e5 draws: five standard errors are 0.016 of a standard deviation.
    assert y.mean() == pytest.approx(mean, abs=0.016 * max(stddev, 0.1))
    assert y.std() == pytest.approx(stddev, abs=0.025 * max(stddev, 0.1))
    assert (y == 0).mean() == pytest.approx(zeros, abs=0.01)
    np.testing.assert_array_equal(layer(x), x)
    np.testing.assert_array_equal(layer(x, training=False), x)


# Layers that draw once for several values, and the axes along which they do.
SHARED = [
    (layers.Dropout(0.5, noise_shape=(None, 1, None), seed=2), (20, 6, 30), (1,)),
    (layers.Dropout(0.5, noise_shape=[20, 6, 1], seed=2), (20, 6, 30), (2,)),
    (layers.AlphaDropout(0.5, noise_shape=(None, 1), seed=2), (90, 30), (1,)),
    (layers.SpatialDropout1D(0.5, seed=2), (20, 6, 30), (1,)),
    (layers.SpatialDropout2D(0.5, seed=2), (20, 6, 5, 30), (1, 2)),
    (layers.SpatialDropout2D(0.5, "channels_first", seed=2), (20, 30, 6, 5), (2, 3)),
    (layers.SpatialDropout3D(0.5, "channels_first", seed=2), (20, 30, 2, 3, 2), (2, 3, 4)),
]


@pytest.mark.parametrize("layer, shape, axes", SHARED, ids=str)
def test_shared_draws(layer, shape: tuple, axes: tuple):
    y = np.asarray(layer(np.ones(shape, "float32"), training=True))
    first = y[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(y.ndim))]
    np.testing.assert_array_equal(y, np.broadcast_to(first, shape))
    values, counts = np.unique(first, return_counts=True)
    assert len(values) == 2 and counts.min() > 0.35 * counts.sum()


def test_each_call_draws_anew_and_a_seed_repeats():
    first, second = layers.Dropout(0.5, seed=3), layers.Dropout(0.5, seed=3)
    a, b = (np.asarray(first(ONES, training=True)) for _ in range(2))
    assert (a != b).any()
    np.testing.assert_array_equal(a, second(ONES, training=True))
    np.testing.assert_array_equal(b, kerata.jit(lambda: second(ONES, training=True))())


# Masks ----------------------------------------------------------------------------------------------------------

TOKENS = np.array([[3, 1, 0, 0], [2, 0, 4, 0]])
REAL = TOKENS != 0


def embedded():
    return layers.Embedding(5, 6, mask_zero=True)(TOKENS)


# What comes after an embedding of TOKENS, and the mask it has then.
MASKED = [
    ([layers.Dense(3)], REAL),
    ([layers.Dense(3, activation="relu"), layers.Dropout(0.5), layers.LayerNormalization()], REAL),
    ([layers.RMSNormalization(), layers.BatchNormalization(), layers.UnitNormalization()], REAL),
    ([layers.Activation("tanh"), layers.ELU(), layers.GaussianNoise(0.1), layers.Identity()], REAL),
    ([layers.ActivityRegularization(0.1), layers.Rescaling(2.0), layers.Normalization()], REAL),
    ([layers.Lambda(lambda x: 2 * x, mask=lambda x, mask: ~mask)], ~REAL),
    ([layers.Conv1D(3, 1)], None),
    ([layers.Flatten()], None),
    ([layers.GlobalAveragePooling1D()], None),
]


@pytest.mark.parametrize("chain, expected", MASKED, ids=lambda v: v[0].name if type(v) is list else "")
def test_masks_travel(chain: list, expected):
    y = embedded()
    for layer in chain:
        y = layer(y)
    found = scopes.get_mask(y)
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


def test_masking_finds_the_steps_and_the_mean_leaves_them_out():
    x = np.array([[[1.0, 2.0], [9.0, 9.0], [3.0, 4.0]], [[9.0, 9.0], [5.0, 9.0], [7.0, 1.0]]], "float32")
    y = layers.Masking(9.0)(x)
    np.testing.assert_array_equal(scopes.get_mask(y), [[True, False, True], [False, True, True]])
    np.testing.assert_array_equal(layers.GlobalAveragePooling1D()(y), [[2.0, 3.0], [6.0, 5.0]])


def test_merging_masks():
    a, b = layers.Embedding(5, 6, mask_zero=True)(TOKENS), layers.Embedding(5, 6, mask_zero=True)(TOKENS[::-1])
    np.testing.assert_array_equal(scopes.get_mask(layers.Add()([a, b])), REAL | REAL[::-1])
    assert scopes.get_mask(layers.Add()([a, b + 1])) is None
    joined = layers.Concatenate(axis=1)([a, b + 1])
    np.testing.assert_array_equal(scopes.get_mask(joined), np.concatenate([REAL, np.ones_like(REAL)], 1))


def test_masked_steps_do_not_count_in_a_batch():
    x = np.random.default_rng(1).normal(size=(3, 4, 1)).astype("float32")  # one channel, which Keras cannot do
    mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]], bool)
    layer = layers.BatchNormalization(momentum=0.0)
    y = np.asarray(layer(x, training=True, mask=mask))
    assert y[mask].mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(layer.moving_mean, [x[mask].mean()], rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, [x[mask].var()], rtol=1e-5)
    assert np.isfinite(layer(x, training=True, mask=np.zeros_like(mask))).all()


# Values that no peer gives --------------------------------------------------------------------------------------


def test_normalizing_along_an_axis_in_the_middle():
    """Keras's RMSNormalization fails here, its GroupNormalization counts axes before the last wrongly."""
    moved = np.moveaxis(SEQUENCE, 1, -1)
    for layer in (layers.RMSNormalization, layers.LayerNormalization, layers.UnitNormalization):
        np.testing.assert_allclose(layer(axis=1)(SEQUENCE), np.moveaxis(layer()(moved), -1, 1), rtol=1e-6)
    groups = layers.GroupNormalization(3, axis=-2)(SEQUENCE)
    np.testing.assert_allclose(groups, np.moveaxis(layers.GroupNormalization(3)(moved), -1, 1), rtol=1e-4, atol=1e-6)


def test_prelu_shares_an_axis_counted_from_the_end():
    assert after(layers.PReLU(shared_axes=-2), SEQUENCE).alpha.shape == (1, 5)


def test_half_precision_does_not_overflow():
    x = np.full((4, 8, 3), 300.0, "float16") * np.arange(1, 4, dtype="float16")  # 300^2 is above float16's range
    for layer in (
        layers.BatchNormalization(dtype="mixed_float16"), layers.LayerNormalization(dtype="mixed_float16"),
        layers.GroupNormalization(1, dtype="mixed_float16"), layers.RMSNormalization(dtype="mixed_float16"),
    ):  # fmt: skip
        y = layer(x, training=True) if isinstance(layer, layers.BatchNormalization) else layer(x)
        assert y.dtype == "float16" and np.isfinite(np.asarray(y)).all()
        assert layer.weights[0].dtype == "float32"


def test_moving_averages_follow_the_batches():
    layer = layers.BatchNormalization(momentum=0.9)
    batches = np.random.default_rng(2).normal(3.0, 2.0, (50, 64, 2)).astype("float32")
    mean, variance = np.zeros(2), np.ones(2)
    step = kerata.jit(lambda x: layer(x, training=True))
    for x in batches:
        step(x)
        mean, variance = 0.9 * mean + 0.1 * x.mean(0), 0.9 * variance + 0.1 * x.var(0)
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)
    before = layer.get_weights()
    layer(batches[0])
    layer.trainable = False
    layer(batches[0], training=True)
    for a, b in zip(before, layer.get_weights()):
        np.testing.assert_array_equal(a, b)


# Ways to give the same data to `adapt`.
DATA = np.random.default_rng(3).normal([1.0, -5.0, 100.0], [1.0, 3.0, 0.1], (1000, 3))
ADAPTED = {
    "array": lambda: DATA,
    "float32 tensor": lambda: ops.convert_to_tensor(DATA.astype("float32")),
    "uneven batches": lambda: [DATA[:10], DATA[10:11], DATA[11:]],
    "generator of pairs": lambda: ((part, part[:, 0]) for part in np.array_split(DATA, 7)),
    "single samples": lambda: iter(DATA),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_adapt(name: str, monkeypatch):
    monkeypatch.setattr("kerata.layers.scaling._PART", 100)
    layer = layers.Normalization()
    layer.adapt(ADAPTED[name]())
    np.testing.assert_allclose(layer.adapt_mean, DATA.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.adapt_variance, DATA.var(0), rtol=1e-4)
    y = np.asarray(layer(DATA))
    np.testing.assert_allclose([y.mean(0), y.std(0)], [[0, 0, 0], [1, 1, 1]], atol=2e-2)
    back = layers.Normalization(mean=DATA.mean(0), variance=DATA.var(0), invert=True)(y)
    np.testing.assert_allclose(back, DATA, rtol=1e-3, atol=1e-2)


def test_adapt_again_forgets_what_was_learned():
    layer = layers.Normalization(axis=None)
    layer.adapt(DATA)
    layer.adapt(np.array([[1.0, 3.0]]))
    assert (np.asarray(layer.mean).item(), np.asarray(layer.variance).item()) == (2.0, 1.0)


def test_an_image_layer_scales_each_channel_in_the_configured_format():
    kerata.config.set_image_data_format("channels_first")
    try:
        y = layers.Rescaling([1.0, 2.0], offset=[0.0, 1.0])(np.ones((1, 2, 3, 3)))
    finally:
        kerata.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(y[0, :, 0, 0], [1.0, 3.0])


# The package ----------------------------------------------------------------------------------------------------


def test_importing_layers_loads_no_engine():
    code = "import sys, kerata.layers; print([m for m in ('jax', 'torch', 'keras') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there_once():
    assert len(layers.__all__) == len(set(layers.__all__))
    assert [name for name in layers.__all__ if not hasattr(layers, name)] == []
