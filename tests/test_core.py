"""The core: Variables, lifting, symbolic tensors, ops, dtypes, seeds, policies."""

import numpy as np
import pytest

import kerata
from kerata import layers, ops
from kerata.core import dtypes, scopes
from kerata.core.op import Array, FloatArray, Operand, op
from kerata.engine import xp

# Variables ------------------------------------------------------------------------------------------------------


def test_a_variable_looks_like_an_array():
    v = kerata.Variable([1.0, 2.0, 3.0], name="v")
    assert v.shape == (3,) and v.dtype == "float32" and v.ndim == 1 and v.size == 3 and v.trainable
    np.testing.assert_array_equal(v + 1, [2, 3, 4])
    np.testing.assert_array_equal(1 - v, [0, -1, -2])
    np.testing.assert_array_equal(np.ones(3) * v, [1, 2, 3])
    np.testing.assert_array_equal(v[1:], [2, 3])
    v.assign_add([1.0, 1.0, 1.0])
    np.testing.assert_array_equal(np.asarray(v), [2, 3, 4])


def test_a_variable_keeps_its_shape_and_dtype():
    v = kerata.Variable(np.zeros((2, 2), "float32"), name="w")
    with pytest.raises(kerata.errors.ShapeMismatch, match="w"):
        v.assign(np.zeros(3))
    v.assign(np.ones((2, 2), "int64"))
    assert v.dtype == "float32"


def test_two_variables_never_share_memory():
    x = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    a = kerata.Sequential([kerata.Input((6,)), layers.Dense(1)])
    b = kerata.Sequential([kerata.Input((6,)), layers.Dense(1)])
    for v, w in zip(b.weights, a.weights):
        v.assign(w)
    b.compile("sgd", "mse")
    b.fit(x, x[:, :1], verbose=0)  # overwrites b's memory
    assert np.isfinite(a.get_weights()[0]).all()
    assert not np.array_equal(a.get_weights()[0], b.get_weights()[0])


# Lifting ------------------------------------------------------------------------------------------------------


def test_compiled_functions_read_and_assign():
    counter = kerata.Variable(0, dtype="int32", trainable=False)
    traces = []

    @kerata.jit
    def step(x, flag=True):
        traces.append(flag)
        counter.assign_add(1)
        return {"y": x * 2 if flag else x, "count": counter.value, "word": "kept"}

    out = step(np.ones(3))
    before = len(traces)
    out = step(np.ones(3))
    assert len(traces) == before and int(counter) == 2 and int(out["count"]) == 2 and out["word"] == "kept"
    np.testing.assert_array_equal(step(np.ones(3), flag=False)["y"], np.ones(3))
    assert int(counter) == 3


def test_gradients_by_variables_models_and_arguments():
    w = kerata.Variable([1.0, 2.0])
    value, gradient = kerata.value_and_grad(lambda x: ops.sum(x * w * w), w)(np.array([3.0, 4.0], "float32"))
    assert float(value) == 19
    np.testing.assert_allclose(gradient, [6, 16])
    gradients = kerata.grad(lambda x, y: ops.sum(x * y), wrt=(0, 1))(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(gradients, [[3, 4], [1, 2]])
    model = kerata.Sequential([kerata.Input((2,)), layers.Dense(1, use_bias=False)])
    x = np.array([[1.0, 2.0]], "float32")
    (_, aux), (by_kernel,) = kerata.value_and_grad(lambda: (ops.sum(model(x)), "aux"), model, has_aux=True)()
    assert aux == "aux"
    np.testing.assert_allclose(by_kernel, x.T)
    with pytest.raises(kerata.errors.ShapeMismatch, match="scalar"):
        kerata.grad(lambda x: x * 2)(np.ones(3))


def test_second_derivatives_custom_gradients_and_stops():
    assert float(kerata.grad(kerata.grad(lambda x: x**3))(2.0)) == 12

    @kerata.custom_gradient
    def clipped(x):
        return x * x, lambda upstream: ops.clip(upstream * 2 * x, -1.0, 1.0)

    assert float(kerata.grad(clipped)(5.0)) == 1
    assert float(kerata.grad(lambda x: x * kerata.stop_gradient(x))(3.0)) == 3


def test_remat_and_vmap():
    w = kerata.Variable(2.0)
    count = kerata.Variable(0, dtype="int32", trainable=False)

    def block(x):
        count.assign_add(1)
        return ops.sin(x * w)

    value, gradient = kerata.value_and_grad(lambda x: ops.sum(kerata.remat(block)(x)), w)(np.array([1.0], "float32"))
    np.testing.assert_allclose(gradient, np.cos(2.0), rtol=1e-6)
    assert int(count) == 1
    rows = np.arange(6, dtype="float32").reshape(2, 3)
    np.testing.assert_allclose(kerata.vmap(lambda r: ops.sum(r) * w)(rows), [6, 24])
    with pytest.raises(kerata.errors.StateError, match="different value"):
        kerata.vmap(lambda r: w.assign(ops.sum(r)))(rows)


@pytest.mark.parametrize("compiled", [False, True])
def test_choices_and_loops_carry_assignments(compiled):
    v, w = kerata.Variable(0.0), kerata.Variable(0.0)

    def program(flag, n):
        ops.cond(flag > 0, lambda: v.assign(1.0), lambda: v.assign(-1.0))
        ops.fori_loop(0, 4, lambda i, x: w.assign_add(1.0) * 0 + x, 0.0)
        total, ys = ops.scan(lambda c, x: (c + x, w.assign_add(x)), 0.0, np.array([1.0, 2.0], "float32"))
        last = ops.while_loop(lambda i: i < n, lambda i: i + w.assign_add(1.0) * 0 + 1, 0.0)
        return total, ys, last

    run = kerata.jit(program) if compiled else program
    total, ys, last = run(np.float32(1), np.float32(3))
    assert float(v) == 1 and float(w) == 10 and float(total) == 3 and float(last) == 3
    np.testing.assert_allclose(ys, [5, 7])
    run(np.float32(-1), np.float32(0))
    assert float(v) == -1


def test_traced_values_cannot_escape():
    import jax

    leak = kerata.Variable(0.0)
    with pytest.raises(kerata.errors.StateError, match=r"kerata's own jit"):
        jax.jit(lambda x: leak.assign(x))(1.0)


# Symbolic tensors and ops --------------------------------------------------------------------------------------


def test_shapes_come_from_the_body_alone():
    @op
    def windowed_mean(x: FloatArray, window: int) -> Array:
        """Return means of neighbouring cells."""
        return xp.mean(xp.reshape(x, (x.shape[0], -1, window)), axis=-1)

    @op
    def join(a: Operand, b: Operand) -> Array:
        """Return both, side by side."""
        return xp.concatenate([a, b], axis=-1)

    x = kerata.Input((12,), dtype="int32")
    y = windowed_mean(x, 4)
    assert y.shape == (None, 3) and y.dtype == "float32"
    z = join(y, kerata.KerasTensor((None, 2), "bfloat16"))
    assert z.shape == (None, 5) and z.dtype == "float32"
    model = kerata.Model(x, windowed_mean(x, window=6))
    np.testing.assert_allclose(model(np.arange(12)[None]), [[2.5, 8.5]])


@pytest.mark.parametrize(
    "shape, call, expected",
    [
        ((None, 4), lambda x: ops.reshape(x, (-1, 2)), (None, 2)),
        ((None, 4), lambda x: x[:, None], (None, 1, 4)),
        ((None, 4), lambda x: ops.concatenate([x, x], axis=0), (None, 4)),
        ((None, None, 3), lambda x: ops.transpose(x, (0, 2, 1)), (None, 3, None)),
        ((None, None, 3), lambda x: ops.max(x, axis=1), (None, 3)),
        ((None, 6), lambda x: ops.split(x, 3, axis=1)[1], (None, 2)),
        ((2, 3), lambda x: x @ np.ones((3, 5), "float32"), (2, 5)),
        ((None, 3), lambda x: 1 - x, (None, 3)),
        ((None, 8, 8, 3), lambda x: ops.max_pool(x, 2), (None, 4, 4, 3)),
    ],
)
def test_symbolic_shapes(shape, call, expected):
    result = call(kerata.KerasTensor(shape))
    assert result.shape == expected
    real = tuple(5 if d is None else d for d in shape)
    assert np.asarray(call(ops.ones(real))).ndim == len(expected)


PROMOTIONS = [
    (("int32", "float32"), "float32"), (("int64", "bfloat16"), "bfloat16"), (("bfloat16", "float16"), "float32"),
    (("uint8", "int8"), "int16"), (("bool", "int8"), "int8"), (("int8", float), "float32"), (("int8", int), "int8"),
    (("bfloat16", float), "bfloat16"), (("uint32", "int32"), "int32"), (("float32", "float64"), "float64"),
    ((int, float), "float32"), (("bool", "bool"), "bool"),
]  # fmt: skip


@pytest.mark.parametrize("given, expected", PROMOTIONS)
def test_dtypes_meet(given, expected):
    assert dtypes.result_type(*given) == expected
    assert dtypes.result_type(*reversed(given)) == expected


def test_python_numbers_are_weak():
    half = ops.ones((2,), "bfloat16")
    assert (ops.add(half, 1.5)).dtype == "bfloat16"
    assert ops.add(np.ones(2, "int8"), 1).dtype == "int8"
    assert ops.divide(np.ones(2, "int32"), 2).dtype == "float32"


def test_no_tensor():
    for bad in (None, [[1, 2], [3]], object()):
        with pytest.raises(kerata.errors.KerataError):
            ops.add(bad, 1.0)


# Scopes, names and masks ---------------------------------------------------------------------------------------


def test_masks_are_remembered_without_keeping_tensors_alive():
    x = ops.ones((2, 3))
    scopes.set_mask(x, ops.ones((2,), "bool"))
    assert scopes.get_mask(x) is not None
    assert scopes.get_mask(ops.ones((2, 3))) is None


def test_names_count_up():
    scopes.reset_names()
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    kerata.utils.clear_session()
    assert layers.Dense(1).name == "dense"


def test_training_flag_reaches_the_inner_layers():
    seen = []

    class Inner(layers.Layer):
        def call(self, x, training=None):
            seen.append(training)
            return x

    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def call(self, x):
            return self.inner(x)

    outer = Outer()
    outer(ops.ones((1,)), training=True)
    outer(ops.ones((1,)), training=False)
    outer(ops.ones((1,)))
    assert [bool(s) for s in seen[-3:]] == [True, False, False]  # what came before only built the layer


# Seeds --------------------------------------------------------------------------------------------------------


def test_draws_follow_their_seed_compiled_or_not():
    a = kerata.random.normal((3,), seed=5)
    np.testing.assert_array_equal(a, kerata.random.normal((3,), seed=5))
    generator = kerata.random.SeedGenerator(5)
    first, second = kerata.random.normal((3,), seed=generator), kerata.random.normal((3,), seed=generator)
    assert not np.array_equal(first, second)
    again = kerata.random.SeedGenerator(5)
    compiled = kerata.jit(lambda: kerata.random.normal((3,), seed=again))
    np.testing.assert_allclose(compiled(), first, rtol=1e-6)
    np.testing.assert_allclose(compiled(), second, rtol=1e-6)


def test_draws_have_their_moments():
    n = 20_000
    draws = {
        "normal": (kerata.random.normal((n,), 2.0, 3.0, seed=1), 2, 3),
        "uniform": (kerata.random.uniform((n,), -1.0, 3.0, seed=1), 1, 4 / 12**0.5),
        "truncated_normal": (kerata.random.truncated_normal((n,), seed=1), 0, 0.8796),
        "gamma": (kerata.random.gamma((n,), 4.0, seed=1), 4, 2),
        "beta": (kerata.random.beta((n,), 2.0, 2.0, seed=1), 0.5, 0.05**0.5),
        "binomial": (kerata.random.binomial((n,), 10, 0.5, seed=1), 5, 2.5**0.5),
        "randint": (kerata.random.randint((n,), 0, 10, seed=1), 4.5, 8.25**0.5),
    }
    for name, (sample, mean, deviation) in draws.items():
        sample = np.asarray(sample, "float64")
        assert abs(sample.mean() - mean) < 5 * deviation / n**0.5, name
        assert sample.std() == pytest.approx(deviation, rel=0.03), name
    kept = np.asarray(kerata.random.dropout(np.ones((n,), "float32"), 0.3, seed=1))
    assert set(np.unique(kept.round(4))) == {0, np.float32(1 / 0.7).round(4)}
    assert kept.mean() == pytest.approx(1, abs=0.03)


# Policies -----------------------------------------------------------------------------------------------------


def test_mixed_precision_computes_in_16_bits_and_keeps_weights_in_32():
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    y = layer(np.ones((2, 4), "float32"))
    assert y.dtype == "bfloat16" and layer.kernel.dtype == "float32"
    assert layer.compute_dtype == "bfloat16" and layer.variable_dtype == "float32"
    with pytest.raises(kerata.errors.UnknownName, match="mixed_bfloat16"):
        kerata.DTypePolicy("mixed_bfloat61")
    try:
        kerata.config.set_dtype_policy("mixed_bfloat16")
        assert layers.Dense(1).compute_dtype == "bfloat16"
    finally:
        kerata.config.settings.dtype_policy = None  # as before: "float32" would outlive every `set_floatx`


def test_trees():
    structure = {"b": [1, (2, 3)], "a": 4}
    assert kerata.tree.flatten(structure) == [4, 1, 2, 3]
    doubled = kerata.tree.map_structure(lambda x: 2 * x, structure)
    assert doubled == {"b": [2, (4, 6)], "a": 8}
    assert kerata.tree.pack_sequence_as(structure, [1, 2, 3, 4]) == {"a": 1, "b": [2, (3, 4)]}
    with pytest.raises(Exception, match="(?i)structure"):
        kerata.tree.assert_same_structure(structure, {"a": 4})
