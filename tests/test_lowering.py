"""The CPU's own convolution, pooling and masks against XLA's, in values, derivatives and randomness."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from kerata.engine.jax import lowering

NONE, SAME = ((0, 0), (0, 0)), ((1, 1), (1, 1))
# x, kernel, strides, padding, dilation, groups
CONVOLUTIONS = {
    "1x1": ((3, 5, 6, 8), (1, 1, 8, 4), (1, 1), NONE, (1, 1), 1),
    "1x1 strided and padded": ((3, 5, 6, 8), (1, 1, 8, 4), (2, 3), ((1, 0), (0, 2)), (1, 1), 1),
    "1x1 in groups": ((3, 5, 6, 8), (1, 1, 4, 6), (1, 1), NONE, (1, 1), 2),
    "first layer": ((4, 12, 11, 1), (3, 3, 1, 8), (1, 1), NONE, (1, 1), 1),
    "first layer of colours": ((4, 9, 9, 3), (3, 3, 3, 8), (2, 2), SAME, (1, 1), 1),
    "wide first layer": ((2, 19, 18, 3), (7, 7, 3, 8), (2, 2), ((3, 2), (2, 3)), (1, 1), 1),
    "winograd, even": ((3, 10, 8, 32), (3, 3, 32, 40), (1, 1), NONE, (1, 1), 1),
    "winograd, odd": ((3, 9, 11, 32), (3, 3, 32, 40), (1, 1), SAME, (1, 1), 1),
    "winograd, uneven padding": ((3, 6, 7, 36), (3, 3, 36, 32), (1, 1), ((0, 3), (4, 0)), (1, 1), 1),
    "many channels, strided": ((2, 9, 8, 32), (3, 3, 32, 16), (2, 2), SAME, (1, 1), 1),
    "unread last row": ((2, 10, 8, 5), (3, 2, 5, 7), (2, 3), NONE, (1, 1), 1),
    "stride above window": ((2, 11, 12, 5), (2, 2, 5, 7), (3, 4), NONE, (1, 1), 1),
    "dilated": ((2, 9, 11, 6), (3, 2, 6, 5), (1, 1), SAME, (2, 3), 1),
    "dilated and strided": ((2, 12, 11, 6), (3, 2, 6, 5), (2, 3), SAME, (2, 3), 1),
    "large tile": ((2, 6, 6, 16), (5, 5, 16, 16), (1, 1), ((2, 2), (2, 2)), (1, 1), 1),
    "groups": ((2, 7, 6, 12), (3, 3, 4, 9), (1, 1), SAME, (1, 1), 3),
    "groups, strided": ((2, 7, 6, 12), (3, 3, 4, 9), (2, 1), SAME, (1, 1), 3),
    "depthwise": ((2, 7, 6, 5), (3, 3, 1, 5), (1, 1), SAME, (1, 1), 5),
    "depthwise, multiplied": ((2, 7, 6, 5), (3, 2, 1, 15), (2, 1), SAME, (1, 2), 5),
    "depthwise, wide": ((1, 9, 9, 2), (9, 9, 1, 2), (1, 1), ((4, 4), (4, 4)), (1, 1), 2),
    "line": ((3, 13, 4), (5, 4, 6), (1,), ((2, 1),), (1,), 1),
    "line, causal": ((3, 13, 20), (3, 20, 18), (1,), ((4, 0),), (2,), 1),
    "volume": ((2, 5, 6, 4, 3), (3, 2, 2, 3, 5), (1, 2, 1), ((1, 1), (0, 1), (0, 0)), (1, 1, 1), 1),
    "one place": ((1, 3, 3, 16), (3, 3, 16, 16), (1, 1), NONE, (1, 1), 1),
    "one example": ((1, 4, 4, 1), (3, 3, 1, 1), (1, 1), NONE, (1, 1), 1),
}
EMPTY = {
    "no examples": ((0, 9, 8, 32), (3, 3, 32, 32), (1, 1), SAME, (1, 1), 1),
    "no examples, one channel": ((0, 9, 8, 1), (3, 3, 1, 4), (1, 1), SAME, (1, 1), 1),
    "no places": ((2, 2, 2, 4), (3, 3, 4, 4), (1, 1), NONE, (1, 1), 1),
    "no examples, depthwise": ((0, 9, 8, 4), (3, 3, 1, 4), (2, 2), SAME, (1, 1), 4),
    "no examples, 1x1": ((0, 9, 8, 4), (1, 1, 4, 4), (1, 1), NONE, (1, 1), 1),
}
# x, window, strides, padding
POOLINGS = {
    "blocks": ((3, 8, 6, 4), (2, 2), (2, 2), NONE),
    "blocks, unread edge": ((3, 9, 7, 4), (2, 3), (2, 3), NONE),
    "blocks, padded": ((3, 9, 7, 4), (2, 2), (2, 2), ((0, 1), (1, 1))),
    "overlapping": ((3, 9, 8, 4), (3, 3), (2, 2), ((1, 1), (0, 1))),
    "dense": ((3, 9, 8, 4), (3, 2), (1, 1), NONE),
    "gaps": ((3, 9, 8, 4), (2, 2), (3, 4), NONE),
    "line": ((3, 9, 4), (3,), (3,), ((1, 0),)),
    "volume": ((2, 4, 6, 4, 3), (2, 3, 2), (2, 3, 2), ((0, 0),) * 3),
    "global": ((3, 5, 4, 2), (5, 4), (5, 4), NONE),
    "very large": ((2, 12, 12, 2), (9, 9), (1, 1), NONE),
    "no examples": ((0, 8, 6, 4), (2, 2), (2, 2), NONE),
}


def table(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


def ours(x, kernel, strides, padding, dilation, groups):
    return lowering.conv(x, kernel, strides=strides, padding=padding, dilation=dilation, groups=groups)


def theirs(x, kernel, strides, padding, dilation, groups):
    axes = "DHW"[-(x.ndim - 2) :]
    return lax.conv_general_dilated(
        x, kernel, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )  # fmt: skip


def operands(case, dtype="float64"):
    rng = np.random.default_rng(3)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in case[:2]]


def all_derivatives(function, x, kernel):
    """The value, both gradients, a forward derivative, and the gradients of a function of both gradients."""

    def first(x, kernel):
        y, pull = jax.vjp(function, x, kernel)
        return y, *pull(jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) + y)

    def scalar(x, kernel):
        return sum(jnp.sum(part * part) for part in first(x, kernel)[1:])

    forward = jax.jvp(function, (x, kernel), (jnp.sin(x), jnp.cos(kernel)))[1]
    return *first(x, kernel), forward, *jax.grad(scalar, (0, 1))(x, kernel)


def assert_close(got, wanted, tolerance):
    """Within `tolerance` of the largest wanted value: the error of a sum goes with its terms, not its result."""
    assert got.shape == wanted.shape and got.dtype == wanted.dtype
    got, wanted = np.asarray(got, "float64"), np.asarray(wanted, "float64")
    np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(np.abs(wanted).max(initial=0), 1e-30))


@table(CONVOLUTIONS | EMPTY)
def test_conv_and_its_derivatives_equal_xlas(case):
    with jax.enable_x64(True):
        x, kernel = operands(case)
        got = jax.jit(lambda x, k: all_derivatives(lambda x, k: ours(x, k, *case[2:]), x, k))(x, kernel)
        wanted = jax.jit(lambda x, k: all_derivatives(lambda x, k: theirs(x, k, *case[2:]), x, k))(x, kernel)
        for a, b in zip(got, wanted):
            assert_close(a, b, 1e-13)


def both(function, x, kernel, dy):
    """The value and the two gradients."""
    y, pull = jax.vjp(function, x, kernel)
    return y, *pull(dy)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1.5e-6), ("bfloat16", 2**-7), ("float16", 2**-10)])
@table(CONVOLUTIONS)
def test_conv_rounds_no_worse_than_its_dtype(case, dtype, tolerance):
    x, kernel = operands(case, dtype)
    size = jax.eval_shape(lambda x, k: theirs(x, k, *case[2:]), x, kernel)
    dy = jnp.sin(jnp.arange(size.size)).reshape(size.shape).astype(dtype)
    got = jax.jit(lambda x, k, dy: both(lambda x, k: ours(x, k, *case[2:]), x, k, dy))(x, kernel, dy)
    with jax.enable_x64(True):
        exact = [a.astype("float64") for a in (x, kernel, dy)]
        wanted = jax.jit(lambda x, k, dy: both(lambda x, k: theirs(x, k, *case[2:]), x, k, dy))(*exact)
        for a, b in zip(got, wanted):
            assert a.dtype == dtype
            assert_close(a.astype("float64"), b, tolerance)


@table({name: CONVOLUTIONS[name] for name in ("1x1", "first layer", "winograd, odd", "groups", "depthwise", "line")})
@pytest.mark.parametrize("mapped", [(0, None), (None, 0), (0, 0)])
def test_conv_maps_over_a_further_axis(case, mapped):
    def gradient(x, kernel):
        return jax.grad(lambda x, k: jnp.sum(jnp.sin(ours(x, k, *case[2:]))), (0, 1))(x, kernel)

    def loss_of_mapped(x, kernel):
        return jnp.sum(jnp.sin(jax.vmap(lambda x, k: ours(x, k, *case[2:]), mapped)(x, kernel)))

    with jax.enable_x64(True):
        x, kernel = (jnp.stack([a, a + 1, -a]) if axis == 0 else a for a, axis in zip(operands(case), mapped))
        xs, kernels = ([a] * 3 if axis is None else a for a, axis in zip((x, kernel), mapped))
        pairs = list(zip(xs, kernels))
        one_by_one = [jax.jit(gradient)(*pair) for pair in pairs]
        wanted = [jnp.stack(parts) for parts in zip(*one_by_one)]
        for got, want in zip(jax.jit(jax.vmap(gradient, mapped))(x, kernel), wanted):
            assert_close(got, want, 1e-12)
        for got, want, axis in zip(jax.jit(jax.grad(loss_of_mapped, (0, 1)))(x, kernel), wanted, mapped):
            assert_close(got, want if axis == 0 else want.sum(0), 1e-12)


def test_conv_of_integers_is_exact():
    x, kernel = jnp.arange(50).reshape(1, 5, 5, 2), jnp.arange(36).reshape(3, 3, 2, 2)
    case = (1, 1), SAME, (1, 1), 1
    np.testing.assert_array_equal(ours(x, kernel, *case), theirs(x, kernel, *case))


# ---- max pooling


def our_pool(x, window, strides, padding):
    return lowering.max_pool(x, window=window, strides=strides, padding=padding)


def their_pool(x, window, strides, padding):
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    lowest = jnp.asarray(lowest, x.dtype)
    pairs = ((0, 0), *padding, (0, 0))
    return lax.reduce_window(x, lowest, lax.max, (1, *window, 1), (1, *strides, 1), pairs)


@pytest.mark.parametrize("distinct", [1000, 3], ids=["few ties", "many ties"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@table(POOLINGS)
def test_max_pool_equals_xlas_and_the_first_of_ties_gets_the_gradient(case, dtype, distinct):
    with jax.enable_x64(dtype == "float64"):
        rng = np.random.default_rng(5)
        x = jnp.asarray(rng.integers(-distinct, 1, case[0]), dtype)
        y, pull = jax.vjp(lambda x: our_pool(x, *case[1:]), x)
        wanted, their_pull = jax.vjp(lambda x: their_pool(x, *case[1:]), x)
        dy = jnp.asarray(rng.integers(-8, 9, y.shape), dtype)
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(pull(dy)[0], their_pull(dy)[0])


@table({name: POOLINGS[name] for name in ("blocks", "blocks, padded", "overlapping", "volume")})
def test_max_pool_has_forward_second_and_mapped_derivatives(case):
    def energy(x):
        return jnp.sum(jnp.sin(our_pool(x, *case[1:])))

    def their_gradient(x):
        y, pull = jax.vjp(lambda x: their_pool(x, *case[1:]), x)
        return pull(jnp.cos(y))[0]

    rng = np.random.default_rng(5)
    x, t = (jnp.asarray(rng.permutation(np.prod(case[0])).reshape(case[0]) / 64, "float32") for _ in range(2))
    _, forward = jax.jvp(energy, (x,), (t,))
    np.testing.assert_allclose(forward, jnp.sum(their_gradient(x) * t), rtol=1e-4)
    np.testing.assert_allclose(jax.grad(energy)(x), their_gradient(x), rtol=1e-6)
    chosen = (their_gradient(x) != 0).astype(x.dtype)
    if case[1] == case[2]:  # each entry is in one window at most, so the second derivative is diagonal
        _, second = jax.jvp(jax.grad(energy), (x,), (t,))
        np.testing.assert_allclose(second, -jnp.sin(x) * chosen * t, rtol=1e-6)
        backward = jax.grad(lambda x: jnp.sum(jax.grad(energy)(x) * t))(x)
        np.testing.assert_allclose(backward, second, rtol=1e-6)
    mapped = jax.vmap(jax.grad(energy))(jnp.stack([x, -x]))
    np.testing.assert_allclose(mapped, [their_gradient(x), their_gradient(-x)], rtol=1e-6)


@pytest.mark.parametrize("strides", [(2, 2), (1, 1)])
def test_max_pool_passes_nan_on_and_knows_integers(strides):
    x = jnp.array([[3.0, jnp.nan, 1.0, 2.0], [0.0, 5.0, -jnp.inf, 7.0]])[None, :, :, None]
    np.testing.assert_array_equal(our_pool(x, (2, 2), strides, NONE), their_pool(x, (2, 2), strides, NONE))
    x = jnp.arange(32, dtype="int32").reshape(1, 4, 8, 1) * -7
    np.testing.assert_array_equal(our_pool(x, (2, 2), strides, SAME), their_pool(x, (2, 2), strides, SAME))


# ---- masks

KEY = jnp.array([7, 11], jnp.uint32)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_keep_mask_keeps_its_share(rate):
    n = 1 << 20
    kept = np.asarray(jax.jit(lowering.keep_mask, static_argnums=2)(KEY, rate, (1024, 1024)))
    assert kept.dtype == bool
    assert abs(kept.sum() - (1 - rate) * n) <= 4 * np.sqrt(n * rate * (1 - rate))


def correlation(a, b):
    """In units of its own spread under independence."""
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()) * np.sqrt(a.size)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_keep_mask_neighbours_are_independent(rate):
    kept = np.asarray(lowering.keep_mask(KEY, rate, (1 << 20,))).astype("float64")
    for lag in (1, 2, 3, 4, 7, 8, 16, 32, 64, 100, 128, 256, 512, 1000, 1024, 4096, 1600, 65536):
        assert abs(correlation(kept[:-lag], kept[lag:])) < 4.5, lag
    rows = kept.reshape(1024, 1024)
    for sums in (rows.sum(0), rows.sum(1)):  # chi-squared about each row's and column's share
        spread = ((sums - 1024 * (1 - rate)) ** 2).sum() / (1024 * rate * (1 - rate))
        assert abs(spread - 1024) < 4.5 * np.sqrt(2 * 1024)


def test_keep_mask_words_of_eight_are_uniform():
    words = np.packbits(np.asarray(lowering.keep_mask(KEY, 0.5, (1 << 20,))))
    counts = np.bincount(words, minlength=256)
    statistic = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert abs(statistic - 255) < 4.5 * np.sqrt(2 * 255)


def test_keep_mask_keys_are_independent():
    near = [(7, 11), (8, 11), (7, 12), (11, 7), (7, 11 ^ 1 << 31), (7 ^ 1 << 31, 11), (0, 0), (0, 1), (1, 0), (7, 1035)]
    kept = [np.asarray(lowering.keep_mask(jnp.array(k, jnp.uint32), 0.5, (1 << 16,))).astype("float64") for k in near]
    for a, b in itertools.combinations(kept, 2):
        for shift in (0, 1, 2, 1024):
            assert abs(correlation(a[shift:], b[: b.size - shift])) < 4.5
    assert np.array_equal(kept[0], np.asarray(lowering.keep_mask(KEY, 0.5, (1 << 16,))))


def test_keep_mask_over_many_keys_is_fair_at_every_place():
    keys = jnp.stack([jnp.full(4096, 3), jnp.arange(4096)], axis=1).astype(jnp.uint32)
    kept = np.asarray(jax.vmap(lambda key: lowering.keep_mask(key, 0.3, (8, 16)))(keys))
    spread = (kept.sum(0) - 4096 * 0.7) / np.sqrt(4096 * 0.21)
    assert np.abs(spread).max() < 4.5
    assert abs((spread**2).sum() - 128) < 4.5 * np.sqrt(2 * 128)


def test_keep_mask_takes_a_traced_rate_and_an_empty_shape():
    rates = jnp.array([0.1, 0.8])
    kept = jax.vmap(lambda rate: lowering.keep_mask(KEY, rate, (1000,)).mean())(rates)
    np.testing.assert_allclose(kept, 1 - rates, atol=0.06)
    assert lowering.keep_mask(KEY, 0.5, (0, 3)).shape == (0, 3)
