"""Layers beside Keras's: one table, and for each of its rows the same config, weights, outputs, gradients and files."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from layer_pairs import Row, as_json, built, our_results, their_results

import kerata

UNKNOWN = {"shape": "Keras forgets a size that `output_shape` leaves open and the input has"}
ENDS = {"mask": "Keras lets masks end at RMSNormalization, though it changes no time step, unlike LayerNormalization"}
POLICY = {"config": "Keras writes the dtype of the weights, so that a mixed policy is lost"}
FIRST, LAST = "channels_first", "channels_last"


def both(layer: str, kwargs: dict, shape: tuple, **options) -> list[Row]:
    """Return the row in both data formats; `shape` has the channels last."""
    moved = (shape[0], shape[-1], *shape[1:-1])
    return [
        Row(layer, {**kwargs, "data_format": LAST}, shape, **options),
        Row(layer, {**kwargs, "data_format": FIRST}, moved, **options),
    ]


CORE = [
    Row("Dense", dict(units=4), (3, 5)),
    Row("Dense", dict(units=4, activation="relu", use_bias=False), (2, 3, 5)),
    Row("Dense", dict(units=1, activation="softmax"), (2, 1, 3, 5)),
    Row("Dense", dict(units=3, kernel_regularizer="l2", bias_regularizer="l1", activity_regularizer="l2"), (4, 2)),
    Row("Dense", dict(units=3, kernel_initializer="he_normal", kernel_constraint="non_neg"), (4, 2)),
    Row("Dense", dict(units=3, dtype="mixed_bfloat16"), (4, 2), tolerance=3e-2),
    Row("Dense", dict(units=3, trainable=False), (4, 2)),
    Row("EinsumDense", dict(equation="ab,bc->ac", output_shape=4, bias_axes="c"), (3, 5)),
    Row("EinsumDense", dict(equation="abc,cd->abd", output_shape=(None, 4), activation="tanh"), (2, 3, 5), differs=UNKNOWN),
    Row("EinsumDense", dict(equation="btd,dhk->bthk", output_shape=(None, 2, 3), bias_axes="hk"), (2, 4, 5), differs=UNKNOWN),
    Row("EinsumDense", dict(equation="bthk,hkd->btd", output_shape=(None, 5), bias_axes="d"), (2, 4, 2, 3), differs=UNKNOWN),
    Row("EinsumDense", dict(equation="...x,xy->...y", output_shape=4, bias_axes="y"), (2, 3, 5)),
    Row("EinsumDense", dict(equation="ab...,bc->ac...", output_shape=4, bias_axes="c"), (2, 5, 3)),
    Row("Embedding", dict(input_dim=7, output_dim=3), (2, 5), integers=7),
    Row("Embedding", dict(input_dim=7, output_dim=3, mask_zero=True, embeddings_regularizer="l2"), (2, 5), integers=7),
    Row("Embedding", dict(input_dim=7, output_dim=3, dtype="mixed_bfloat16"), (4,), integers=7, tolerance=3e-2),
    Row("Masking", dict(mask_value=0.0), (2, 3, 4)),
    Row("Identity", {}, (2, 3)),
    Row("ActivityRegularization", dict(l1=0.1, l2=0.3), (4, 3)),
]

ACTIVATIONS = [
    *(Row("Activation", dict(activation=name), (3, 5)) for name in ("relu", "gelu", "softmax", "linear", "swish", "selu")),
    Row("ReLU", {}, (3, 5)),
    Row("ReLU", dict(max_value=1.0), (3, 5)),
    Row("ReLU", dict(negative_slope=0.2, threshold=0.5), (3, 5)),
    Row("ReLU", dict(max_value=1.0, negative_slope=0.2, threshold=0.5), (3, 5)),
    Row("LeakyReLU", {}, (3, 5)),
    Row("LeakyReLU", dict(negative_slope=0.1), (3, 5)),
    Row("PReLU", {}, (3, 4, 5)),
    Row("PReLU", dict(shared_axes=[1, 2], alpha_regularizer="l2"), (2, 4, 3, 5)),
    Row("ELU", {}, (3, 5)),
    Row("ELU", dict(alpha=0.3), (3, 5)),
    Row("Softmax", {}, (3, 5)),
    Row("Softmax", dict(axis=1), (3, 4, 5)),
    Row("Softmax", dict(axis=(1, 2)), (3, 4, 5)),
]

REGULARIZATION = [
    Row("Dropout", dict(rate=0.4), (3, 5)),
    Row("Dropout", dict(rate=0.4, noise_shape=(None, 1), seed=3), (3, 5)),
    Row("Dropout", dict(rate=0), (3, 5), training=True),
    Row("Dropout", dict(rate=1.0), (3, 5), training=True),
    Row("SpatialDropout1D", dict(rate=0.4), (2, 3, 5), differs=POLICY),
    *both("SpatialDropout2D", dict(rate=0.4, seed=1), (2, 3, 4, 5), differs=POLICY),
    *both("SpatialDropout3D", dict(rate=0.4), (2, 3, 2, 4, 5), differs=POLICY),
    Row("GaussianDropout", dict(rate=0.4, seed=3), (3, 5)),
    Row("GaussianDropout", dict(rate=0.0), (3, 5), training=True),
    Row("GaussianNoise", dict(stddev=0.4), (3, 5)),
    Row("GaussianNoise", dict(stddev=0.0), (3, 5), training=True),
    Row("AlphaDropout", dict(rate=0.4), (3, 5)),
    Row("AlphaDropout", dict(rate=0.0), (3, 5), training=True),
]

SHAPES = [
    Row("Flatten", {}, (2, 3, 4)),
    Row("Flatten", {}, (3,)),
    Row("Flatten", dict(data_format=FIRST), (2, 3, 4, 5)),
    Row("Reshape", dict(target_shape=(6, 2)), (3, 4, 3)),
    Row("Reshape", dict(target_shape=(2, -1)), (3, 4, 3)),
    Row("Reshape", dict(target_shape=()), (3, 1)),
    Row("Permute", dict(dims=(2, 1)), (2, 3, 4)),
    Row("Permute", dict(dims=(3, 1, 2)), (2, 3, 4, 5)),
    Row("RepeatVector", dict(n=3), (2, 4)),
    *both("ZeroPadding1D", dict(padding=2), (2, 3, 4)),
    *both("ZeroPadding1D", dict(padding=(2, 0)), (2, 3, 4)),
    *both("ZeroPadding2D", dict(padding=1), (2, 3, 4, 2)),
    *both("ZeroPadding2D", dict(padding=((1, 0), (0, 2))), (2, 3, 4, 2)),
    *both("ZeroPadding3D", dict(padding=(1, 0, 2)), (2, 3, 4, 2, 2)),
    Row("Cropping1D", dict(cropping=1), (2, 5, 4)),
    Row("Cropping1D", dict(cropping=(2, 0)), (2, 5, 4)),
    *both("Cropping2D", dict(cropping=(1, 2)), (2, 5, 6, 2)),
    *both("Cropping2D", dict(cropping=((1, 0), (0, 2))), (2, 5, 6, 2)),
    *both("Cropping3D", dict(cropping=((1, 0), (0, 2), (1, 1))), (2, 5, 6, 4, 2)),
    Row("UpSampling1D", dict(size=3), (2, 3, 2)),
    *both("UpSampling2D", dict(size=(2, 3)), (2, 3, 4, 2)),
    *both("UpSampling2D", dict(size=2, interpolation="bilinear"), (2, 3, 4, 2)),
    Row("UpSampling2D", dict(size=2, interpolation="bicubic"), (2, 3, 4, 2)),
    Row("UpSampling2D", dict(size=2, interpolation="lanczos3"), (2, 3, 4, 2)),
    *both("UpSampling3D", dict(size=(1, 2, 3)), (1, 3, 2, 2, 2)),
]

CONVOLUTIONS = [
    *both("Conv1D", dict(filters=3, kernel_size=3), (2, 7, 4)),
    *both("Conv1D", dict(filters=3, kernel_size=2, padding="causal", dilation_rate=2), (2, 7, 4)),
    *both("Conv1D", dict(filters=4, kernel_size=3, padding="same", strides=2, groups=2), (2, 7, 4)),
    *both("Conv1D", dict(filters=4, kernel_size=4, padding="causal", strides=3), (2, 8, 2)),
    *both("Conv2D", dict(filters=3, kernel_size=3), (2, 7, 6, 2)),
    *both("Conv2D", dict(filters=3, kernel_size=(3, 2), strides=2, padding="same", activation="relu"), (2, 7, 6, 2)),
    *both("Conv2D", dict(filters=3, kernel_size=(2, 4), strides=(3, 1), use_bias=False), (2, 9, 6, 2)),
    *both("Conv2D", dict(filters=3, kernel_size=3, padding="same", dilation_rate=(2, 3)), (2, 7, 8, 2)),
    *both("Conv2D", dict(filters=6, kernel_size=2, groups=2, kernel_regularizer="l2"), (2, 5, 4, 4)),
    *both("Conv2D", dict(filters=4, kernel_size=3, groups=4, dilation_rate=2, padding="same"), (2, 6, 7, 4)),
    *both("Conv2D", dict(filters=5, kernel_size=1), (2, 3, 4, 3)),
    *both("Conv2D", dict(filters=5, kernel_size=1, strides=2, padding="same"), (2, 5, 4, 3)),
    *both("Conv2D", dict(filters=3, kernel_size=5, padding="same"), (1, 2, 3, 2)),
    Row("Conv2D", dict(filters=3, kernel_size=3, dtype="mixed_bfloat16"), (2, 5, 5, 2), tolerance=1e-1),
    *both("Conv3D", dict(filters=3, kernel_size=2), (1, 4, 5, 3, 2)),
    *both("Conv3D", dict(filters=2, kernel_size=(3, 2, 1), strides=2, padding="same"), (1, 5, 4, 3, 2)),
    *both("Conv3D", dict(filters=2, kernel_size=2, dilation_rate=(2, 1, 1), groups=2), (1, 5, 4, 3, 2)),
    *both("DepthwiseConv1D", dict(kernel_size=3, depth_multiplier=2), (2, 7, 3)),
    *both("DepthwiseConv1D", dict(kernel_size=3, strides=2, padding="same"), (2, 7, 3)),
    *both("DepthwiseConv2D", dict(kernel_size=3), (2, 6, 5, 3)),
    *both("DepthwiseConv2D", dict(kernel_size=(3, 2), strides=2, padding="same", depth_multiplier=2), (2, 6, 5, 3)),
    *both("DepthwiseConv2D", dict(kernel_size=3, dilation_rate=2, activation="relu"), (2, 7, 6, 2)),
    *both("SeparableConv1D", dict(filters=4, kernel_size=3), (2, 7, 3)),
    *both("SeparableConv1D", dict(filters=4, kernel_size=2, padding="same", dilation_rate=2), (2, 7, 3)),
    *both("SeparableConv2D", dict(filters=4, kernel_size=3, depth_multiplier=2), (2, 6, 5, 3)),
    *both("SeparableConv2D", dict(filters=2, kernel_size=(2, 3), strides=2, padding="same"), (2, 6, 5, 3)),
    *both("Conv1DTranspose", dict(filters=3, kernel_size=3), (2, 5, 4)),
    *both("Conv1DTranspose", dict(filters=3, kernel_size=3, strides=2, padding="same"), (2, 5, 4)),
    *both("Conv1DTranspose", dict(filters=3, kernel_size=2, strides=3, output_padding=1), (2, 5, 4)),
    *both("Conv1DTranspose", dict(filters=3, kernel_size=3, dilation_rate=2, padding="same"), (2, 5, 4)),
    *both("Conv2DTranspose", dict(filters=3, kernel_size=3), (2, 4, 5, 2)),
    *both("Conv2DTranspose", dict(filters=3, kernel_size=(2, 3), strides=2, padding="same"), (2, 4, 5, 2)),
    *both("Conv2DTranspose", dict(filters=3, kernel_size=4, strides=(3, 2), output_padding=1), (2, 4, 5, 2)),
    *both("Conv2DTranspose", dict(filters=3, kernel_size=1, strides=2), (2, 3, 4, 2)),
    *both("Conv2DTranspose", dict(filters=3, kernel_size=3, dilation_rate=2, use_bias=False), (2, 4, 5, 2)),
    *both("Conv3DTranspose", dict(filters=2, kernel_size=2, strides=2, padding="same"), (1, 3, 2, 4, 2)),
    *both("Conv3DTranspose", dict(filters=2, kernel_size=(3, 2, 2)), (1, 3, 2, 4, 2)),
]

POOLING = [
    *(
        row
        for kind in ("Max", "Average")
        for row in (
            *both(f"{kind}Pooling1D", dict(pool_size=2), (2, 7, 3)),
            *both(f"{kind}Pooling1D", dict(pool_size=3, strides=2, padding="same"), (2, 8, 3)),
            *both(f"{kind}Pooling2D", dict(pool_size=2), (2, 7, 6, 3)),
            *both(f"{kind}Pooling2D", dict(pool_size=(3, 2), strides=(2, 1), padding="same"), (2, 7, 6, 3)),
            *both(f"{kind}Pooling2D", dict(pool_size=2, strides=3), (2, 8, 7, 3)),
            *both(f"{kind}Pooling3D", dict(pool_size=2), (1, 5, 4, 6, 2)),
            *both(f"{kind}Pooling3D", dict(pool_size=(1, 3, 2), strides=2, padding="same"), (1, 5, 4, 3, 2)),
            *both(f"Global{kind}Pooling1D", {}, (2, 7, 3)),
            *both(f"Global{kind}Pooling2D", dict(keepdims=True), (2, 7, 6, 3)),
            *both(f"Global{kind}Pooling2D", {}, (2, 7, 6, 3)),
            *both(f"Global{kind}Pooling3D", {}, (2, 3, 4, 2, 3)),
        )
    ),
    Row("GlobalAveragePooling1D", dict(keepdims=True), (4, 5, 3), masked=True),
    Row("MaxPool2D", {}, (1, 4, 4, 2)),
    Row("AvgPool3D", dict(pool_size=2), (1, 4, 4, 4, 2)),
    Row("Convolution2D", dict(filters=2, kernel_size=2), (1, 4, 4, 2)),
]

NORMALIZATION = [
    Row("BatchNormalization", {}, (6, 4)),
    Row("BatchNormalization", {}, (6, 4), training=True),
    Row("BatchNormalization", dict(axis=1, momentum=0.7, epsilon=1e-2), (3, 4, 2, 5), training=True),
    Row("BatchNormalization", dict(center=False), (3, 4, 5), training=True),
    Row("BatchNormalization", dict(scale=False, gamma_regularizer="l2"), (3, 4, 5), training=True),
    Row("BatchNormalization", dict(trainable=False), (3, 4, 5), training=True),
    Row("BatchNormalization", {}, (4, 3, 5), training=True, masked=True),
    Row("BatchNormalization", dict(renorm=True), (6, 4), training=True),
    Row("BatchNormalization", dict(renorm=True, scale=False, center=False), (6, 4), training=True),
    Row(
        "BatchNormalization",
        dict(renorm=True, renorm_clipping=dict(rmin=0.5, rmax=1.5, dmax=0.2), renorm_momentum=0.8), (6, 4), training=True,
    ),
    Row("BatchNormalization", dict(renorm=True), (6, 4)),
    Row("BatchNormalization", dict(dtype="mixed_bfloat16"), (6, 4), training=True, tolerance=3e-2),
    Row("LayerNormalization", {}, (3, 5)),
    Row("LayerNormalization", dict(axis=1, epsilon=1e-5), (3, 5, 4)),
    Row("LayerNormalization", dict(axis=(1, 2), beta_regularizer="l2"), (3, 5, 4)),
    Row("LayerNormalization", dict(axis=[-1, -2], center=False), (3, 5, 4)),
    Row("LayerNormalization", dict(scale=False), (3, 2, 5)),
    Row("LayerNormalization", dict(dtype="mixed_bfloat16"), (3, 5), tolerance=3e-2),
    Row("LayerNormalization", dict(rms_scaling=True), (3, 5)),
    Row("GroupNormalization", dict(groups=2), (3, 6)),
    Row("GroupNormalization", dict(groups=3), (2, 4, 5, 6)),
    Row("GroupNormalization", dict(groups=2, axis=1, scale=False), (2, 4, 5, 3)),
    Row("GroupNormalization", dict(groups=-1, center=False), (2, 4, 6)),
    Row("GroupNormalization", dict(groups=1), (2, 4, 6)),
    Row("RMSNormalization", dict(epsilon=1e-3), (3, 5), differs=ENDS),
    Row("RMSNormalization", dict(axis=(1, 2)), (3, 5, 4), differs=ENDS),
    Row("UnitNormalization", {}, (3, 5)),
    Row("UnitNormalization", dict(axis=(1, 2)), (3, 5, 4)),
    Row("Rescaling", dict(scale=0.5, offset=-1.0), (3, 5)),
    Row("Rescaling", dict(scale=0.5), (3, 5), integers=256),
    Row("Rescaling", dict(scale=[1.0, 2.0, 3.0], offset=[0.0, 1.0, 2.0]), (2, 4, 3)),
    Row("Normalization", dict(mean=1.0, variance=4.0), (3, 5)),
    Row("Normalization", dict(mean=[1.0, 2.0], variance=[4.0, 0.0], invert=True), (3, 4, 2)),
    Row("Normalization", dict(axis=(1, 2), mean=[1.0, 2.0], variance=[4.0, 9.0]), (3, 4, 2)),
    Row("Normalization", dict(axis=None, mean=1.0, variance=4.0), (3, 4)),
    Row("Normalization", {}, (3, 5)),
    Row("Normalization", dict(axis=[1], invert=True), (3, 4, 2)),
]

MERGING = [
    *(
        row
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
        for row in (
            Row(name, {}, [(2, 3), (2, 3), (2, 3)]),
            Row(name, {}, [(2, 3, 4), (2, 1, 4)]),
            Row(name, {}, [(2, 4), (2, 3, 4)]),
        )
    ),
    Row("Subtract", {}, [(2, 3), (2, 3)]),
    Row("Subtract", {}, [(2, 3, 4), (2, 1, 4)]),
    Row("Concatenate", {}, [(2, 3), (2, 5), (2, 1)]),
    Row("Concatenate", dict(axis=1), [(2, 3, 4), (2, 1, 4)]),
    Row("Concatenate", dict(axis=0), [(2, 3), (4, 3)]),
    Row("Dot", dict(axes=1), [(2, 5), (2, 5)]),
    Row("Dot", dict(axes=-1, normalize=True), [(2, 5), (2, 5)]),
    Row("Dot", dict(axes=(2, 1)), [(2, 3, 5), (2, 5, 4)]),
    Row("Dot", dict(axes=(1, 2)), [(2, 5, 3), (2, 4, 5)]),
    Row("Dot", dict(axes=(2, 1)), [(2, 3, 5), (2, 5)]),
    Row("Dot", dict(axes=(3, 2), normalize=True), [(2, 3, 4, 5), (2, 3, 5)]),
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


@every_row
def test_files(row: Row):
    """What each serializes, the other reads: the same config, and the same weights built."""
    ours, theirs = built(row)
    by_us, by_them = as_json(kerata.layers.serialize(ours)), as_json(keras.layers.serialize(theirs))
    assert {k: v for k, v in by_us.items() if k != "config"} == {k: v for k, v in by_them.items() if k != "config"}
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
    if "mask" in row.differs or not ours.supports_masking or any(len(s) < 2 for s in row.shapes):
        return
    masks = [np.arange(s[0] * s[1]).reshape(s[:2]) % 3 > 0 for s in row.shapes]
    try:
        expected = theirs.compute_mask(row.nested(row.inputs), row.nested(masks))
    except (ValueError, TypeError):
        return
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


@pytest.mark.parametrize("name", [n for n in kerata.layers.__all__ if n[0].isupper()])
def test_automatic_name(name: str):
    ours, theirs = getattr(kerata.layers, name), getattr(keras.layers, name)
    assert ours.__name__ == theirs.__name__
