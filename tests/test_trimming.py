"""Convolutions that compute only what is read of them, see `engine/jax/trimming.py`."""

import numpy as np
import pytest

import kerata
from kerata import layers

jax = pytest.importorskip("jax")
jnp = jax.numpy


@pytest.fixture(autouse=True)
def _on_jax():
    before = kerata.config.engine()
    kerata.config.set_engine("jax")
    yield
    kerata.config.set_engine(before)


def conv(x, kernel, strides=1, padding=0, dilation=1, groups=1):
    from kerata.engine.jax import lowering

    rank = x.ndim - 2
    return lowering.conv(
        x, kernel, strides=(strides,) * rank, padding=((padding, padding),) * rank, dilation=(dilation,) * rank,
        groups=groups,
    )  # fmt: skip


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), "float32") for shape in shapes]


def places(function, *args):
    """Return what spatial shapes the convolutions of a program give."""
    from kerata.engine.jax.trimming import trimmed

    jaxpr = jax.make_jaxpr(trimmed(function))(*args).jaxpr
    return [e.outvars[0].aval.shape[1:-1] for e in jaxpr.eqns if e.primitive.name == "conv_output"]


def check(function, *args, gives):
    from kerata.engine.jax.trimming import trimmed

    assert places(function, *args) == gives
    total = lambda f: lambda *args: jnp.sum(jnp.sin(f(*args)))  # noqa: E731
    positions = tuple(range(len(args)))
    expected = jax.value_and_grad(total(function), positions)(*args)
    found = jax.value_and_grad(total(trimmed(function)), positions)(*args)
    np.testing.assert_allclose(trimmed(function)(*args), function(*args), rtol=1e-6, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


READERS = {
    "pooling": lambda y: kerata.ops.max_pool(y, 2, padding="valid"),
    "bias and activation": lambda y: kerata.ops.max_pool(kerata.ops.relu(y + jnp.arange(4.0)), 2, padding="valid"),
    "a slice": lambda y: jnp.tanh(y)[:, :10, :10],
    "a compiled part": lambda y: jax.jit(lambda y: jnp.exp(y * 0.1)[:, :10, :10] + 1)(y),
    "two": lambda y: jnp.tanh(y)[:, :10, :4].sum() + jnp.abs(y)[:, :4, :10].sum(),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_what_is_not_read_is_not_computed(reader):
    x, kernel = arrays((2, 13, 13, 3), (3, 3, 3, 4))
    check(lambda x, kernel: reader(conv(x, kernel)), x, kernel, gives=[(10, 10)])


def test_a_convolution_before_another_goes_as_far_as_that_reads():
    x, first, second = arrays((2, 15, 15, 3), (3, 3, 3, 4), (3, 3, 4, 4))
    check(lambda x, a, b: conv(jnp.tanh(conv(x, a)), b)[:, :8, :8], x, first, second, gives=[(10, 10), (8, 8)])
    padded = lambda x, a, b: conv(conv(x, a), b, strides=2, padding=1)[:, :3, :9]  # noqa: E731
    check(padded, x, first, second, gives=[(6, 13), (3, 7)])


def test_one_array_as_input_and_kernel():
    (x,) = arrays((4, 4, 4, 4))
    check(lambda x: conv(x, x, padding=2)[:, :1, :3], x, gives=[(1, 3)])


@pytest.mark.parametrize("options", [
    {"strides": 2}, {"padding": 1}, {"dilation": 2}, {"groups": 2}, {"strides": 2, "padding": 2, "dilation": 2},
], ids=str)  # fmt: skip
def test_every_convolution(options):
    x, kernel = arrays((2, 19, 19, 4), (3, 3, 4 // options.get("groups", 1), 6))
    whole = conv(x, kernel, **options).shape[1]
    least = whole - 3
    check(lambda x, k: conv(x, k, **options)[:, :least, : least + 1], x, kernel, gives=[(least, least + 1)])


@pytest.mark.parametrize("size", [(9,), (7, 6, 9)], ids=str)
def test_lines_and_volumes(size):
    x, kernel = arrays((2, *size, 3), (*[3] * len(size), 3, 4))
    cut = tuple(n - 3 for n in size)
    check(lambda x, k: conv(x, k)[(slice(None), *map(slice, cut))], x, kernel, gives=[cut])


def test_tiles():
    """Winograd's way, which 32 channels take."""
    x, kernel = arrays((8, 13, 13, 32), (3, 3, 32, 32))
    check(lambda x, k: conv(x, k * 0.1)[:, :10, :10], x, kernel, gives=[(10, 10)])


@pytest.mark.parametrize("reader", [
    lambda y: (y, y[:, :10, :10]),
    lambda y: (jnp.sum(y), y[:, :10, :10]),
    lambda y: (y[:, 1:], y[:, :10, :10]),
    lambda y: (jnp.where(y > 0, y, 0).mean((1, 2)), kerata.ops.max_pool(y, 2, padding="valid")),
], ids=["returned", "summed", "from its second row", "averaged"])  # fmt: skip
def test_what_is_read_is_computed(reader):
    from kerata.engine.jax.trimming import trimmed

    x, kernel = arrays((2, 13, 13, 3), (3, 3, 3, 4))
    function = lambda x, kernel: reader(conv(x, kernel))  # noqa: E731
    assert places(function, x, kernel) == [(11, 11)]
    for a, b in zip(trimmed(function)(x, kernel), function(x, kernel)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_what_is_no_array_comes_through():
    from kerata.engine.jax.trimming import trimmed

    x, kernel = arrays((2, 13, 13, 3), (3, 3, 3, 4))
    results = trimmed(lambda x, k: {"a": conv(x, k)[:, :4, :4], "b": ["name", None, 3]})(x, kernel)
    assert results["a"].shape == (2, 4, 4, 4) and results["b"] == ["name", None, 3]


def test_training_and_predicting():
    """The compiled step, trimmed, beside the same step in Python, which is not."""

    def trained(**options):
        kerata.utils.set_random_seed(0)
        model = kerata.Sequential([
            layers.Input((13, 13, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(),
            layers.Flatten(), layers.Dense(3),
        ])  # fmt: skip
        model.compile("sgd", kerata.losses.SparseCategoricalCrossentropy(from_logits=True), **options)
        x = np.random.default_rng(1).normal(size=(32, 13, 13, 1)).astype("float32")
        model.fit(x, np.arange(32) % 3, batch_size=8, epochs=2, verbose=0)
        return [*model.get_weights(), model.predict(x, verbose=0)]

    for a, b in zip(trained(), trained(run_eagerly=True)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_function_that_asks_for_values_is_not_traced_outside_of_programs():
    function = lambda x: x * 2 if x > 0 else x * 3  # noqa: E731
    assert [float(kerata.grad(function)(x)) for x in (1.0, -1.0)] == [2.0, 3.0]
    assert float(kerata.grad(kerata.grad(lambda x: function(x) * x))(1.0)) == 4.0
