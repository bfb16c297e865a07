"""Shapes and arguments that nobody thought of: Hypothesis draws them, the NumPy engine in float64 is the reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kerata
from kerata import engine as engines
from kerata import ops, tree
from kerata.core.symbolic import KerasTensor

few = settings(max_examples=12, deadline=None, derandomize=True)
SIZES = st.integers(0, 4)
SHAPES = st.lists(SIZES, max_size=4).map(tuple)


@pytest.fixture(params=["jax", "torch"], scope="module")
def engine_name(request):
    pytest.importorskip(request.param)
    return request.param


def array(shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def check(engine_name, function, *arrays):
    """The same on the engine as in float64, and symbolically the same shape."""
    with engines.using("numpy") as engine:
        wanted = tree.flatten(function(*(engine.arrays.as_array(a, "float64") for a in arrays)))
    with engines.using(engine_name) as engine:
        got = tree.flatten(function(*(engine.arrays.as_array(a.astype("float32")) for a in arrays)))
        symbols = tree.flatten(function(*(KerasTensor(a.shape, "float32") for a in arrays)))
    for g, w, s in zip(got, wanted, symbols, strict=True):
        assert tuple(g.shape) == w.shape == s.shape
        np.testing.assert_allclose(np.asarray(g), w, rtol=1e-4, atol=1e-4)


@st.composite
def broadcastable(draw):
    """Two shapes that broadcast: the second with axes left out or of size 1."""
    shape = draw(SHAPES)
    other = tuple(1 if draw(st.booleans()) else n for n in shape)[draw(st.integers(0, len(shape))) :]
    return (shape, other) if draw(st.booleans()) else (other, shape)


@given(shapes=broadcastable(), name=st.sampled_from(["add", "multiply", "maximum", "subtract", "arctan2", "where"]))
@few
def test_broadcasting(engine_name, shapes, name):
    a, b = (array(s, i) for i, s in enumerate(shapes))
    check(engine_name, lambda a, b: ops.where(a > 0, a, b) if name == "where" else getattr(ops, name)(a, b), a, b)


@st.composite
def reductions(draw):
    shape = draw(SHAPES)
    axes = draw(st.lists(st.sampled_from(range(-len(shape), len(shape))), max_size=len(shape))) if shape else []
    axes = list({axis % len(shape): axis for axis in axes}.values())
    axis = draw(st.sampled_from([None, tuple(axes), *(axes[:1])]))
    return shape, axis, draw(st.booleans())


@given(given_=reductions(), name=st.sampled_from(["sum", "mean", "prod", "any", "var"]))
@few
def test_reductions(engine_name, given_, name):
    shape, axis, keepdims = given_
    with np.errstate(all="ignore"):
        check(engine_name, lambda x: getattr(ops, name)(x, axis=axis, keepdims=keepdims), array(shape))


@given(batch=st.lists(SIZES, max_size=2), sizes=st.tuples(SIZES, SIZES, SIZES), shared=st.booleans())
@few
def test_matmul(engine_name, batch, sizes, shared):
    n, m, k = sizes
    a, b = array((*batch, n, m)), array((m, k) if shared else (*batch, m, k), 1)
    check(engine_name, ops.matmul, a, b)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
@few
def test_reshaping(engine_name, shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    count = data.draw(st.integers(1, 3))
    x = array(shape)
    for function in (
        lambda x: ops.reshape(ops.transpose(x, order), (-1,)), lambda x: ops.expand_dims(x, axis),
        lambda x: ops.repeat(x, count, axis=axis), lambda x: ops.concatenate([x, x, x], axis=axis),
        lambda x: ops.stack([x, x], axis=axis), lambda x: ops.flip(x, axis), lambda x: ops.roll(x, count, axis),
        lambda x: ops.cumsum(x, axis=axis), lambda x: ops.sort(x, axis=axis), lambda x: ops.split(x, 1, axis=axis),
        lambda x: ops.pad(x, [(count, 0)] * x.ndim if hasattr(x, "ndim") else [(count, 0)] * len(x.shape)),
    ):  # fmt: skip
        check(engine_name, function, x)


@st.composite
def windows(draw, rank):
    """An image's shape, and the arguments of what slides over it."""
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    if any(d > 1 for d in dilation):
        strides = (1,) * rank  # Keras refuses both at once
    spatial = tuple((k - 1) * d + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation))
    groups = draw(st.sampled_from([1, 2]))
    return (draw(SIZES), *spatial, 2 * groups), {
        "kernel_size": kernel, "strides": strides, "dilation_rate": dilation, "groups": groups,
        "filters": 2 * groups, "padding": draw(st.sampled_from(["valid", "same"])),
    }  # fmt: skip


def check_layer(engine_name, name, shape, **kwargs):
    """The layer in float32 on the engine against float64 with the same weights."""
    x = array(shape)
    with engines.using("numpy") as engine:
        layer = getattr(kerata.layers, name)(**kwargs, dtype="float64")
        layer.build(shape)
        values = [array(w.shape, 3) for w in layer.weights]
        layer.set_weights(values)
        wanted = layer(engine.arrays.as_array(x, "float64"))
    with engines.using(engine_name) as engine:
        layer = getattr(kerata.layers, name)(**kwargs)
        layer.build(shape)
        layer.set_weights(values)
        got = layer(engine.arrays.as_array(x.astype("float32")))
        symbol = layer(KerasTensor((None, *shape[1:])))
    assert tuple(got.shape) == wanted.shape and symbol.shape == (None, *wanted.shape[1:])
    np.testing.assert_allclose(ops.convert_to_numpy(got), wanted, rtol=1e-3, atol=1e-3)


@given(rank=st.integers(1, 3), data=st.data())
@few
def test_convolutions(engine_name, rank, data):
    shape, kwargs = data.draw(windows(rank))
    check_layer(engine_name, f"Conv{rank}D", shape, **kwargs)


@given(rank=st.integers(1, 3), data=st.data())
@few
def test_transposed_convolutions(engine_name, rank, data):
    shape, kwargs = data.draw(windows(rank))
    kwargs.pop("groups")
    check_layer(engine_name, f"Conv{rank}DTranspose", shape, **kwargs)


@given(rank=st.integers(1, 3), kind=st.sampled_from(["Max", "Average"]), data=st.data())
@few
def test_pooling(engine_name, rank, kind, data):
    shape, kwargs = data.draw(windows(rank))
    kwargs = {"pool_size": kwargs["kernel_size"], "strides": kwargs["strides"], "padding": kwargs["padding"]}
    check_layer(engine_name, f"{kind}Pooling{rank}D", shape, **kwargs)


@given(batch=SIZES, times=st.integers(1, 4), size=st.integers(1, 3), units=st.integers(1, 3), back=st.booleans(),
       name=st.sampled_from(["SimpleRNN", "GRU", "LSTM"]))  # fmt: skip
@few
def test_recurrence(engine_name, batch, times, size, units, back, name):
    check_layer(engine_name, name, (batch, times, size), units=units, go_backwards=back, return_sequences=True)


@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
@few
def test_normalization(engine_name, shape, data):
    axis = data.draw(st.integers(1, len(shape) - 1))
    check_layer(engine_name, "LayerNormalization", tuple(shape), axis=axis)
    check_layer(engine_name, "BatchNormalization", tuple(shape), axis=axis)
