"""Layers beside Keras's: one table, and for each of its rows the same config, weights, outputs, gradients and files."""

from __future__ import annotations

import inspect
import re

import keras
import numpy as np
import pytest
from layer_pairs import Row, as_json, built, our_results, row, their_results

import kerata

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")

UNKNOWN = {"shape": "Keras forgets a size that `output_shape` leaves open and the input has"}
ENDS = {"mask": "Keras lets masks end at RMSNormalization, though it changes no time step, unlike LayerNormalization"}
POLICY = {"config": "Keras writes the dtype of the weights, so that a mixed policy is lost"}
FIRST, LAST = "channels_first", "channels_last"


def both(layer: str, shape: tuple, **given) -> list[Row]:
    """Return the row in both data formats; `shape` has the channels last."""
    moved = (shape[0], shape[-1], *shape[1:-1])
    return [row(layer, shape, **given, data_format=LAST), row(layer, moved, **given, data_format=FIRST)]


CORE = [
    row("Dense", (3, 5), units=4),
    row("Dense", (2, 3, 5), units=4, activation="relu", use_bias=False),
    row("Dense", (2, 1, 3, 5), units=2, activation="softmax"),
    row("Dense", (4, 2), units=3, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"),
    row("Dense", (4, 2), units=3, kernel_initializer="he_normal", kernel_constraint="non_neg"),
    row("Dense", (4, 2), units=3, dtype="mixed_bfloat16", tolerance=3e-2),
    row("Dense", (4, 2), units=3, trainable=False),
    row("EinsumDense", (3, 5), equation="ab,bc->ac", output_shape=4, bias_axes="c"),
    row("EinsumDense", (2, 3, 5), equation="abc,cd->abd", output_shape=(None, 4), activation="tanh", differs=UNKNOWN),
    row("EinsumDense", (2, 4, 5), equation="btd,dhk->bthk", output_shape=(None, 2, 3), bias_axes="hk", differs=UNKNOWN),
    row("EinsumDense", (2, 4, 2, 3), equation="bthk,hkd->btd", output_shape=(None, 5), bias_axes="d", differs=UNKNOWN),
    row("EinsumDense", (2, 3, 5), equation="...x,xy->...y", output_shape=4, bias_axes="y"),
    row("EinsumDense", (2, 5, 3), equation="ab...,bc->ac...", output_shape=4, bias_axes="c"),
    row("Embedding", (2, 5), input_dim=7, output_dim=3, integers=7),
    row("Embedding", (2, 5), input_dim=7, output_dim=3, mask_zero=True, embeddings_regularizer="l2", integers=7),
    row("Embedding", (4,), input_dim=7, output_dim=3, dtype="mixed_bfloat16", integers=7, tolerance=3e-2),
    row("Masking", (2, 3, 4), mask_value=0.0),
    row("Identity", (2, 3)),
    row("ActivityRegularization", (4, 3), l1=0.1, l2=0.3),
]

ACTIVATIONS = [
    *(row("Activation", (3, 5), activation=name) for name in ("relu", "gelu", "softmax", "linear", "swish", "selu")),
    row("ReLU", (3, 5)),
    row("ReLU", (3, 5), max_value=1.0),
    row("ReLU", (3, 5), negative_slope=0.2, threshold=0.5),
    row("ReLU", (3, 5), max_value=1.0, negative_slope=0.2, threshold=0.5),
    row("LeakyReLU", (3, 5)),
    row("LeakyReLU", (3, 5), negative_slope=0.1),
    row("PReLU", (3, 4, 5)),
    row("PReLU", (2, 4, 3, 5), shared_axes=[1, 2], alpha_regularizer="l2"),
    row("ELU", (3, 5)),
    row("ELU", (3, 5), alpha=0.3),
    row("Softmax", (3, 5)),
    row("Softmax", (4, 3), masked=True),
    row("Softmax", (3, 4, 5), axis=1),
    row("Softmax", (3, 4, 5), axis=(1, 2)),
]

REGULARIZATION = [
    row("Dropout", (3, 5), rate=0.4),
    row("Dropout", (3, 5), rate=0.4, noise_shape=(None, 1), seed=3),
    row("Dropout", (3, 5), rate=0, training=True),
    row("Dropout", (3, 5), rate=1.0, training=True),
    row("SpatialDropout1D", (2, 3, 5), rate=0.4, differs=POLICY),
    *both("SpatialDropout2D", (2, 3, 4, 5), rate=0.4, seed=1, differs=POLICY),
    *both("SpatialDropout3D", (2, 3, 2, 4, 5), rate=0.4, differs=POLICY),
    row("GaussianDropout", (3, 5), rate=0.4, seed=3),
    row("GaussianDropout", (3, 5), rate=0.0, training=True),
    row("GaussianNoise", (3, 5), stddev=0.4),
    row("GaussianNoise", (3, 5), stddev=0.0, training=True),
    row("AlphaDropout", (3, 5), rate=0.4),
    row("AlphaDropout", (3, 5), rate=0.0, training=True),
]

SHAPES = [
    row("Flatten", (2, 3, 4)),
    row("Flatten", (3,)),
    row("Flatten", (2, 3, 4, 5), data_format=FIRST),
    row("Reshape", (3, 4, 3), target_shape=(6, 2)),
    row("Reshape", (3, 4, 3), target_shape=(2, -1)),
    row("Reshape", (3, 1), target_shape=()),
    row("Permute", (2, 3, 4), dims=(2, 1)),
    row("Permute", (2, 3, 4, 5), dims=(3, 1, 2)),
    row("RepeatVector", (2, 4), n=3),
    *both("ZeroPadding1D", (2, 3, 4), padding=2),
    *both("ZeroPadding1D", (2, 3, 4), padding=(2, 0)),
    *both("ZeroPadding2D", (2, 3, 4, 2), padding=1),
    *both("ZeroPadding2D", (2, 3, 4, 2), padding=((1, 0), (0, 2))),
    *both("ZeroPadding3D", (2, 3, 4, 2, 2), padding=(1, 0, 2)),
    row("Cropping1D", (2, 5, 4), cropping=1),
    row("Cropping1D", (2, 5, 4), cropping=(2, 0)),
    *both("Cropping2D", (2, 5, 6, 2), cropping=(1, 2)),
    *both("Cropping2D", (2, 5, 6, 2), cropping=((1, 0), (0, 2))),
    *both("Cropping3D", (2, 5, 6, 4, 2), cropping=((1, 0), (0, 2), (1, 1))),
    row("UpSampling1D", (2, 3, 2), size=3),
    *both("UpSampling2D", (2, 3, 4, 2), size=(2, 3)),
    *both("UpSampling2D", (2, 3, 4, 2), size=2, interpolation="bilinear"),
    row("UpSampling2D", (2, 3, 4, 2), size=2, interpolation="bicubic"),
    row("UpSampling2D", (2, 3, 4, 2), size=2, interpolation="lanczos3"),
    *both("UpSampling3D", (1, 3, 2, 2, 2), size=(1, 2, 3)),
]

CONVOLUTIONS = [
    *both("Conv1D", (2, 7, 4), filters=3, kernel_size=3),
    *both("Conv1D", (2, 7, 4), filters=3, kernel_size=2, padding="causal", dilation_rate=2),
    *both("Conv1D", (2, 7, 4), filters=4, kernel_size=3, padding="same", strides=2, groups=2),
    *both("Conv1D", (2, 8, 2), filters=4, kernel_size=4, padding="causal", strides=3),
    *both("Conv2D", (2, 7, 6, 2), filters=3, kernel_size=3),
    *both("Conv2D", (2, 7, 6, 2), filters=3, kernel_size=(3, 2), strides=2, padding="same", activation="relu"),
    *both("Conv2D", (2, 9, 6, 2), filters=3, kernel_size=(2, 4), strides=(3, 1), use_bias=False),
    *both("Conv2D", (2, 7, 8, 2), filters=3, kernel_size=3, padding="same", dilation_rate=(2, 3)),
    *both("Conv2D", (2, 5, 4, 4), filters=6, kernel_size=2, groups=2, kernel_regularizer="l2"),
    *both("Conv2D", (2, 6, 7, 4), filters=4, kernel_size=3, groups=4, dilation_rate=2, padding="same"),
    *both("Conv2D", (2, 3, 4, 3), filters=5, kernel_size=1),
    *both("Conv2D", (2, 5, 4, 3), filters=5, kernel_size=1, strides=2, padding="same"),
    *both("Conv2D", (1, 2, 3, 2), filters=3, kernel_size=5, padding="same"),
    row("Conv2D", (2, 5, 5, 2), filters=3, kernel_size=3, dtype="mixed_bfloat16", tolerance=1e-1),
    *both("Conv3D", (1, 4, 5, 3, 2), filters=3, kernel_size=2),
    *both("Conv3D", (1, 5, 4, 3, 2), filters=2, kernel_size=(3, 2, 1), strides=2, padding="same"),
    *both("Conv3D", (1, 5, 4, 3, 2), filters=2, kernel_size=2, dilation_rate=(2, 1, 1), groups=2),
    *both("DepthwiseConv1D", (2, 7, 3), kernel_size=3, depth_multiplier=2),
    *both("DepthwiseConv1D", (2, 7, 3), kernel_size=3, strides=2, padding="same"),
    *both("DepthwiseConv2D", (2, 6, 5, 3), kernel_size=3),
    *both("DepthwiseConv2D", (2, 6, 5, 3), kernel_size=(3, 2), strides=2, padding="same", depth_multiplier=2),
    *both("DepthwiseConv2D", (2, 7, 6, 2), kernel_size=3, dilation_rate=2, activation="relu"),
    *both("SeparableConv1D", (2, 7, 3), filters=4, kernel_size=3),
    *both("SeparableConv1D", (2, 7, 3), filters=4, kernel_size=2, padding="same", dilation_rate=2),
    *both("SeparableConv2D", (2, 6, 5, 3), filters=4, kernel_size=3, depth_multiplier=2),
    *both("SeparableConv2D", (2, 6, 5, 3), filters=2, kernel_size=(2, 3), strides=2, padding="same"),
    *both("Conv1DTranspose", (2, 5, 4), filters=3, kernel_size=3),
    *both("Conv1DTranspose", (2, 5, 4), filters=3, kernel_size=3, strides=2, padding="same"),
    *both("Conv1DTranspose", (2, 5, 4), filters=3, kernel_size=2, strides=3, output_padding=1),
    *both("Conv1DTranspose", (2, 5, 4), filters=3, kernel_size=3, dilation_rate=2, padding="same"),
    *both("Conv2DTranspose", (2, 4, 5, 2), filters=3, kernel_size=3),
    *both("Conv2DTranspose", (2, 4, 5, 2), filters=3, kernel_size=(2, 3), strides=2, padding="same"),
    *both("Conv2DTranspose", (2, 4, 5, 2), filters=3, kernel_size=4, strides=(3, 2), output_padding=1),
    *both("Conv2DTranspose", (2, 3, 4, 2), filters=3, kernel_size=1, strides=2),
    *both("Conv2DTranspose", (2, 4, 5, 2), filters=3, kernel_size=3, dilation_rate=2, use_bias=False),
    *both("Conv3DTranspose", (1, 3, 2, 4, 2), filters=2, kernel_size=2, strides=2, padding="same"),
    *both("Conv3DTranspose", (1, 3, 2, 4, 2), filters=2, kernel_size=(3, 2, 2)),
]

POOLING = [
    *(
        r
        for kind in ("Max", "Average")
        for r in (
            *both(f"{kind}Pooling1D", (2, 7, 3), pool_size=2),
            *both(f"{kind}Pooling1D", (2, 8, 3), pool_size=3, strides=2, padding="same"),
            *both(f"{kind}Pooling2D", (2, 7, 6, 3), pool_size=2),
            *both(f"{kind}Pooling2D", (2, 7, 6, 3), pool_size=(3, 2), strides=(2, 1), padding="same"),
            *both(f"{kind}Pooling2D", (2, 8, 7, 3), pool_size=2, strides=3),
            *both(f"{kind}Pooling3D", (1, 5, 4, 6, 2), pool_size=2),
            *both(f"{kind}Pooling3D", (1, 5, 4, 3, 2), pool_size=(1, 3, 2), strides=2, padding="same"),
            *both(f"Global{kind}Pooling1D", (2, 7, 3)),
            *both(f"Global{kind}Pooling2D", (2, 7, 6, 3), keepdims=True),
            *both(f"Global{kind}Pooling2D", (2, 7, 6, 3)),
            *both(f"Global{kind}Pooling3D", (2, 3, 4, 2, 3)),
        )
    ),
    *both("GlobalAveragePooling1D", (4, 5, 3), masked=True),
    *both("GlobalAveragePooling1D", (4, 5, 3), keepdims=True, masked=True),
    row("MaxPool2D", (1, 4, 4, 2)),
    row("AvgPool3D", (1, 4, 4, 4, 2), pool_size=2),
    row("Convolution2D", (1, 4, 4, 2), filters=2, kernel_size=2),
]

NORMALIZATION = [
    row("BatchNormalization", (6, 4)),
    row("BatchNormalization", (6, 4), training=True),
    row("BatchNormalization", (3, 4, 2, 5), axis=1, momentum=0.7, epsilon=1e-2, training=True),
    row("BatchNormalization", (3, 4, 5), center=False, training=True),
    row("BatchNormalization", (3, 4, 5), scale=False, gamma_regularizer="l2", training=True),
    row("BatchNormalization", (3, 4, 5), trainable=False, training=True),
    row("BatchNormalization", (4, 3, 5), training=True, masked=True),
    row("BatchNormalization", (6, 4), renorm=True, training=True),
    row("BatchNormalization", (6, 4), renorm=True, scale=False, center=False, training=True),
    row(
        "BatchNormalization",
        (6, 4),
        renorm=True,
        renorm_clipping={"rmin": 0.5, "rmax": 1.5, "dmax": 0.2},
        renorm_momentum=0.8,
        training=True,
    ),
    row("BatchNormalization", (6, 4), renorm=True),
    row("BatchNormalization", (6, 4), dtype="mixed_bfloat16", training=True, tolerance=3e-2),
    row("LayerNormalization", (3, 5)),
    row("LayerNormalization", (3, 5, 4), axis=1, epsilon=1e-5),
    row("LayerNormalization", (3, 5, 4), axis=(1, 2), beta_regularizer="l2"),
    row("LayerNormalization", (3, 5, 4), axis=[-1, -2], center=False),
    row("LayerNormalization", (3, 2, 5), scale=False),
    row("LayerNormalization", (3, 5), dtype="mixed_bfloat16", tolerance=3e-2),
    row("LayerNormalization", (3, 5), rms_scaling=True),
    row("GroupNormalization", (3, 6), groups=2),
    row("GroupNormalization", (2, 4, 5, 6), groups=3),
    row("GroupNormalization", (2, 4, 5, 3), groups=2, axis=1, scale=False),
    row("GroupNormalization", (2, 4, 6), groups=-1, center=False),
    row("GroupNormalization", (2, 4, 6), groups=1),
    row("RMSNormalization", (3, 5), epsilon=1e-3, differs=ENDS),
    row("RMSNormalization", (3, 5, 4), axis=(1, 2), differs=ENDS),
    row("UnitNormalization", (3, 5)),
    row("UnitNormalization", (3, 5, 4), axis=(1, 2)),
    row("Rescaling", (3, 5), scale=0.5, offset=-1.0),
    row("Rescaling", (3, 5), scale=0.5, integers=256),
    row("Rescaling", (2, 4, 3), scale=[1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]),
    row("Normalization", (3, 5), mean=1.0, variance=4.0),
    row("Normalization", (3, 4, 2), mean=[1.0, 2.0], variance=[4.0, 0.0], invert=True),
    row("Normalization", (3, 4, 2), axis=(1, 2), mean=[1.0, 2.0], variance=[4.0, 9.0]),
    row("Normalization", (3, 4), axis=None, mean=1.0, variance=4.0),
    row("Normalization", (3, 5)),
    row("Normalization", (3, 4, 2), axis=[1], invert=True),
]

MERGING = [
    *(
        r
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
        for r in (
            row(name, [(2, 3), (2, 3), (2, 3)]),
            row(name, [(2, 3, 4), (2, 1, 4)]),
            row(name, [(2, 4), (2, 3, 4)]),
        )
    ),
    row("Subtract", [(2, 3), (2, 3)]),
    row("Subtract", [(2, 3, 4), (2, 1, 4)]),
    row("Concatenate", [(2, 3), (2, 5), (2, 1)]),
    row("Concatenate", [(2, 3, 4), (2, 1, 4)], axis=1),
    row("Concatenate", [(2, 3), (4, 3)], axis=0),
    row("Dot", [(2, 5), (2, 5)], axes=1),
    row("Dot", [(2, 5), (2, 5)], axes=-1, normalize=True),
    row("Dot", [(2, 3, 5), (2, 5, 4)], axes=(2, 1)),
    row("Dot", [(2, 5, 3), (2, 4, 5)], axes=(1, 2)),
    row("Dot", [(2, 3, 5), (2, 5)], axes=(2, 1)),
    row("Dot", [(2, 3, 4, 5), (2, 3, 5)], axes=(3, 2), normalize=True),
]

TABLE = [
    *CORE, *ACTIVATIONS, *REGULARIZATION, *SHAPES, *CONVOLUTIONS, *POOLING, *NORMALIZATION, *MERGING,
]  # fmt: skip
every_row = pytest.mark.parametrize("row", TABLE, ids=str)


def same(ours, theirs, tolerance: float = 2e-5) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.astype("float64"), theirs.astype("float64"), rtol=tolerance, atol=tolerance)


def agree(fact: str, row: Row, ours, theirs) -> None:
    """Assert that two plain values are the same, or that they differ where the row says why."""
    if fact in row.differs:
        assert ours != theirs
    else:
        assert ours == theirs


@every_row
def test_config(row: Row):
    ours, theirs = row.ours(name="it").get_config(), row.theirs(name="it").get_config()
    agree("config", row, as_json(ours), as_json(theirs))


@every_row
def test_weights(row: Row):
    ours, theirs = built(row)
    assert [(w.path, w.shape, w.dtype, w.trainable) for w in ours.weights] == [
        (w.path, w.shape, w.dtype, w.trainable) for w in theirs.weights
    ]


@every_row
def test_outputs(row: Row):
    ours, theirs = our_results(row), their_results(row)
    same(ours.outputs, theirs.outputs, row.tolerance)


@every_row
def test_gradients(row: Row):
    ours, theirs = our_results(row), their_results(row)
    assert len(ours.gradients) == len(theirs.gradients)
    for a, b in zip(ours.gradients, theirs.gradients):
        same(a, b, row.tolerance * 5)


@every_row
def test_state_and_losses(row: Row):
    ours, theirs = our_results(row), their_results(row)
    assert len(ours.state) == len(theirs.state) and len(ours.losses) == len(theirs.losses)
    for a, b in zip([*ours.state, *ours.losses], [*theirs.state, *theirs.losses]):
        same(a, b, row.tolerance)


@every_row
def test_symbolic_shape(row: Row):
    shapes = [(None, *s[1:]) for s in row.shapes]
    dtype = "float32" if row.integers is None else "int32"
    ours = row.ours()(row.nested([kerata.KerasTensor(s, dtype) for s in shapes]))
    theirs = row.theirs()(row.nested([keras.KerasTensor(s, dtype) for s in shapes]))
    outputs = our_results(row).outputs
    assert ours.dtype == outputs.dtype and all(a in (None, b) for a, b in zip(ours.shape, outputs.shape, strict=True))
    agree("shape", row, (ours.shape, ours.dtype), (theirs.shape, theirs.dtype))


@pytest.mark.parametrize("row", [*SHAPES, *CONVOLUTIONS, *POOLING], ids=str)
def test_symbolic_shape_of_unknown_sizes(row: Row):
    """All sizes but those of the channels, which weights depend on, are unknown."""
    rank = len(row.shape)
    channels = 1 if row.kwargs.get("data_format") == FIRST and rank > 2 else rank - 1
    shape = tuple(size if axis == channels else None for axis, size in enumerate(row.shape))
    theirs = row.theirs()(keras.KerasTensor(shape)).shape
    assert row.ours()(kerata.KerasTensor(shape)).shape == theirs


@every_row
def test_files(row: Row):
    """What each serializes, the other reads: the same config, and the same weights built."""
    ours, theirs = built(row)
    by_us, by_them = as_json(kerata.layers.serialize(ours)), as_json(keras.layers.serialize(theirs))
    same_keys = ["module", "class_name", "registered_name", *(["build_config"] if theirs.weights else [])]
    assert [by_us[key] for key in same_keys] == [by_them[key] for key in same_keys]
    read_by_us, read_by_them = kerata.layers.deserialize(by_them), keras.layers.deserialize(by_us)
    assert type(read_by_us) is type(ours) and type(read_by_them) is type(theirs)
    for read in (read_by_us, read_by_them):
        assert [w.shape for w in read.weights] == [w.shape for w in theirs.weights]
        if "config" not in row.differs:
            assert as_json(read.get_config()) == by_them["config"]


@every_row
def test_mask(row: Row):
    """A mask of the time steps goes through, is changed or ends here, as in Keras."""
    ours, theirs = built(row)
    agree("mask", row, ours.supports_masking, theirs.supports_masking)
    ranks = {len(shape) for shape in row.shapes}
    if "mask" in row.differs or not ours.supports_masking or min(ranks) < 2 or len(ranks) > 1:
        return
    masks = [np.arange(s[0] * s[1]).reshape(s[:2]) % 3 > 0 for s in row.shapes]
    expected = theirs.compute_mask(row.nested(row.inputs), row.nested(masks))
    found = ours.compute_mask(row.nested(row.inputs), row.nested(masks))
    assert (found is None) == (expected is None)
    if found is not None:
        same(found, expected)


# What is public -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", kerata.layers.__all__)
def test_signature(name: str):
    def parameters(item):
        item = item.__init__ if inspect.isclass(item) else item
        return [(p.name, p.default, p.kind) for p in inspect.signature(item).parameters.values() if p.name != "self"]

    assert parameters(getattr(kerata.layers, name)) == parameters(getattr(keras.layers, name))


@pytest.mark.parametrize("name", [n for n in kerata.layers.__all__ if n[0].isupper() and n != "Input"])
def test_class_names(name: str):
    """The name is in files and makes the automatic name of a layer, also where the class has several."""
    assert getattr(kerata.layers, name).__name__ == getattr(keras.layers, name).__name__


@pytest.mark.parametrize("row", {r.layer: r for r in TABLE}.values(), ids=lambda row: row.layer)
def test_automatic_name(row: Row):
    ours, theirs = row.ours().name, row.theirs().name
    assert re.sub(r"_\d+$", "", ours) == re.sub(r"_\d+$", "", theirs)


INPUTS = [
    {"shape": (28, None, 3)},
    {"shape": (), "dtype": "int32", "name": "a"},
    {"shape": (5,), "batch_size": 4, "dtype": "bool", "optional": True},
    {"batch_shape": (None, None, 2), "dtype": "bfloat16"},
]


@pytest.mark.parametrize("kwargs", INPUTS, ids=str)
def test_input(kwargs: dict):
    ours, theirs = kerata.layers.Input(**kwargs), keras.layers.Input(**kwargs)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    kwargs = {"name": "x", **kwargs}
    ours, theirs = kerata.layers.InputLayer(**kwargs), keras.layers.InputLayer(**kwargs)
    by_us, by_them = as_json(kerata.layers.serialize(ours)), as_json(keras.layers.serialize(theirs))
    assert by_us == by_them
    assert as_json(kerata.layers.deserialize(by_them).get_config()) == by_them["config"]
