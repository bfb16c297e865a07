"""When the JAX engine leaves attention and the LSTM to cuDNN, and the forms of its products.

No GPU is at hand: what would be called of cuDNN is written down, and the same thing computed instead.
"""

import functools
import inspect
import math
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn

import kerata
from kerata import config, layers, ops, tree
from kerata.core.op import OPS
from kerata.engine.jax import counting, nn
from kerata.engine.jax import fast_ways as WAYS

RNG = np.random.default_rng(0)
XLA = jax.nn.dot_product_attention
LSTM = f"{layers.LSTMCell.__module__}.LSTMCell"


def qkv(dtype="bfloat16", heads=(4, 4)):
    shapes = (2, 3, heads[0], 8), (2, 5, heads[1], 8), (2, 5, heads[1], 8)
    return [jnp.asarray(RNG.normal(size=shape), dtype) for shape in shapes]


@pytest.fixture
def calls(monkeypatch):
    """Stand on a GPU, whose kernel is XLA's own formula, and list the calls of it."""
    found = []

    def kernel(*args, implementation, **kwargs):
        found.append(implementation)
        return XLA(*args, implementation="xla", **kwargs)

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax.nn, "dot_product_attention", kernel)
    monkeypatch.setattr(config.settings, "flash_attention", None)
    return found


def test_a_fast_way_has_the_signature_of_its_op():
    for name, way in WAYS.items():
        if name != LSTM:
            assert list(inspect.signature(way).parameters) == list(inspect.signature(OPS[name].body).parameters)


MASK = RNG.random((2, 1, 3, 5)) > 0.3
MASK[..., 0] = True
ROWS = [
    (True, {}, {}),
    (True, {"dtype": "float16"}, {}),
    (True, {"heads": (4, 2)}, {"scale": 0.3}),
    (True, {}, {"mask": MASK, "bias": RNG.normal(size=(3, 5)).astype("float32")}),
    (True, {}, {"mask": MASK[0, 0]}),
    (True, {}, {"flash_attention": True}),
    (False, {}, {"flash_attention": False}),
    (False, {"dtype": "float32"}, {"flash_attention": True}),
    (False, {}, {"attn_logits_soft_cap": 2.0}),
]


@pytest.mark.parametrize(("chosen", "inputs", "settings"), ROWS)
def test_the_kernel_is_chosen_for_16_bits_on_a_gpu(chosen, inputs, settings, calls):
    arrays = qkv(**inputs)
    y = ops.dot_product_attention(*arrays, **settings)
    assert calls == ["cudnn"] * chosen
    expected = OPS["dot_product_attention"].body(*arrays, **settings)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y.astype("float32"), expected.astype("float32"), rtol=0.03, atol=0.03)


def test_the_setting_and_the_device_decide_too(calls, monkeypatch):
    config.disable_flash_attention()
    ops.dot_product_attention(*qkv())
    assert calls == []
    ops.dot_product_attention(*qkv(), flash_attention=True)
    assert calls == ["cudnn"]
    config.enable_flash_attention()
    with kerata.device("cpu:0"):
        ops.dot_product_attention(*qkv())
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    ops.dot_product_attention(*qkv())
    assert calls == ["cudnn"]


def test_what_the_kernel_refuses_is_computed_by_the_formula(calls, monkeypatch):
    def refuse(*args, **kwargs):
        raise NotImplementedError("head width")

    monkeypatch.setattr(jax.nn, "dot_product_attention", refuse)
    arrays = qkv()
    with pytest.warns(UserWarning, match="head width"):
        y = ops.dot_product_attention(*arrays, flash_attention=True)
    np.testing.assert_array_equal(y, OPS["dot_product_attention"].body(*arrays))


@pytest.mark.parametrize("layer", [
    lambda **kw: layers.MultiHeadAttention(4, 8, **kw),
    lambda **kw: layers.GroupQueryAttention(8, 4, 2, **kw),
])  # fmt: skip
def test_a_layer_hands_its_choice_on(layer, calls):
    x = RNG.normal(size=(2, 5, 6)).astype("float32")
    for choice, chosen in ((None, 1), (True, 1), (False, 0)):
        calls.clear()
        layer(flash_attention=choice, dtype="mixed_bfloat16")(x, x)
        assert calls[-1:] == ["cudnn"] * chosen, choice


# The LSTM ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda(monkeypatch):
    """Stand on a CUDA device."""
    devices = jax.devices
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "devices", lambda kind=None: devices(None if kind == "cuda" else kind))


@pytest.fixture
def lengths(cuda, monkeypatch):
    """Let the kernel be JAX's reference of it, and list the lengths that it is given."""
    found = []

    def kernel(x, h, c, weights, seq_lengths, *, input_size, hidden_size, num_layers, dropout, bidirectional):
        sizes = input_size, hidden_size, num_layers
        assert (x.dtype, weights.shape) == ("float32", (rnn.get_num_params_in_lstm(*sizes, bidirectional),))
        found.append(np.asarray(seq_lengths).tolist())
        parts = rnn.unpack_lstm_weights(weights, *sizes, bidirectional)
        return rnn.lstm_ref(x, h, c, *parts, seq_lengths, *sizes, dropout, bidirectional)

    monkeypatch.setattr(rnn, "lstm", kernel)
    return found


X = RNG.normal(size=(2, 5, 3)).astype("float32")
START = [RNG.normal(size=(2, 4)).astype("float32") for _ in range(2)]
STEPS = np.arange(5)
ENDS, BEGINS, NOTHING = (STEPS < [[2], [5]], STEPS >= [[2], [0]], STEPS < [[0], [5]])
ALL = {"return_sequences": True, "return_state": True, "bias_initializer": "normal"}
BY_KERNEL = [
    (ALL, None, START),
    ({"go_backwards": True, "use_bias": False, **ALL}, None, START),
    ({"stateful": True, "dropout": 0.5}, None, []),  # nothing is dropped but in training
    (ALL, ENDS, START),
    ({"zero_output_for_mask": True}, ENDS, []),
]


@pytest.mark.parametrize(("settings", "mask", "start"), BY_KERNEL)
def test_an_lstm_by_the_kernel_is_the_loop(settings, mask, start, lengths, monkeypatch):
    layer, x, states = layers.LSTM(4, **settings), kerata.Variable(X), [kerata.Variable(s) for s in start]
    layer.build(X.shape)

    def loss():
        y = tree.flatten(layer(x, mask=mask, initial_state=states or None))
        return sum(ops.sum(ops.sin(part + i)) for i, part in enumerate(y)), y

    def outcome():
        layer.reset_state()
        run = kerata.value_and_grad(loss, [x, *states, *layer.weights], has_aux=True)
        return tree.flatten(kerata.jit(run)() if mask is None else run())

    by_kernel = outcome()
    assert lengths and all(found == ([5, 5] if mask is None else [2, 5]) for found in lengths)
    monkeypatch.delitem(WAYS, LSTM)
    for got, expected in zip(by_kernel, outcome(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("settings", "given"), [
    (ALL, {"mask": BEGINS}),
    (ALL, {"mask": NOTHING}),
    ({"go_backwards": True}, {"mask": ENDS}),
    ({"use_cudnn": False}, {}),
    ({"unroll": True}, {}),
    ({"activation": "relu"}, {}),
    ({"recurrent_activation": "hard_sigmoid"}, {}),
    ({"dtype": "bfloat16"}, {}),
    ({"dtype": "mixed_bfloat16"}, {}),
    ({"recurrent_dropout": 0.5}, {"training": True}),
])  # fmt: skip
def test_what_the_kernel_does_not_do_is_left_to_the_loop(settings, given, lengths):
    layers.LSTM(4, **settings)(X, **given)
    assert lengths == []


def test_jax_takes_the_call_of_its_kernel_and_the_gradient(cuda, monkeypatch):
    sizes = types.SimpleNamespace(compute_rnn_workspace_reserve_space_sizes=lambda *args: (8, 8))  # cuDNN would tell
    monkeypatch.setattr(rnn, "gpu_rnn", sizes)
    layer = layers.LSTM(4)
    layer.build(X.shape)
    program = str(jax.make_jaxpr(jax.grad(lambda x: ops.sum(layer(x))))(X))
    assert "rnn_fwd" in program and "rnn_bwd" in program and "scan" not in program
    mapped = str(jax.make_jaxpr(jax.vmap(layer))(X[None]))  # of many at once there is no kernel
    assert "scan" in mapped and "rnn_fwd" not in mapped


def test_where_the_kernel_is_not_the_loop_runs(lengths, monkeypatch):
    layer = layers.LSTM(4)
    expected = np.asarray(layer(X))
    inside = kerata.jit(lambda mask: layer(X, mask=mask))(ENDS)  # its values are not known in a program
    np.testing.assert_allclose(inside, layer(X, mask=ENDS), rtol=1e-5, atol=1e-6)
    layers.GRU(4)(X)
    with kerata.device("cpu:0"):
        layer(X)
    assert lengths == [[5, 5], [2, 5]]

    def refuse(*args, **kwargs):
        raise NotImplementedError("no batching rule")

    monkeypatch.setattr(rnn, "lstm", refuse)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-6)
    monkeypatch.undo()  # no GPU again
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(32, 128), (1024, 7), (4, 5, 6), (16, 1)])
@pytest.mark.parametrize("columns", [2, 10, 15])
def test_narrow_products_are_products_and_so_are_their_gradients(shape, columns):
    x, kernel = RNG.normal(size=shape).astype("float32"), RNG.normal(size=(shape[-1], columns)).astype("float32")
    dy = RNG.normal(size=(*shape[:-1], columns)).astype("float32")
    assert WAYS["matmul"](jnp.asarray(x), jnp.asarray(kernel)) is not NotImplemented
    y, pull = jax.vjp(ops.matmul, x, kernel)
    by_x, by_kernel = pull(dy)
    exact, rows = x.astype("float64"), math.prod(shape[:-1])
    np.testing.assert_allclose(y, exact @ kernel, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_x, dy.astype("float64") @ kernel.T, rtol=1e-4, atol=1e-4)
    expected = exact.reshape(rows, -1).T @ dy.reshape(rows, -1)
    np.testing.assert_allclose(by_kernel, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("shape", [(32, 16), (2, 8), (64, 128), (20, 33), (4, 30, 7), (2, 3, 100, 80)])
@pytest.mark.parametrize("columns", [16, 50])
def test_products_of_other_forms_are_products_in_every_mode_of_differentiation(shape, columns):
    x, kernel = RNG.normal(size=shape).astype("float32"), RNG.normal(size=(shape[-1], columns)).astype("float32")
    dy, dx = RNG.normal(size=(*shape[:-1], columns)).astype("float32"), RNG.normal(size=shape).astype("float32")
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    assert WAYS["matmul"](jnp.asarray(x), jnp.asarray(kernel)) is not NotImplemented
    y, pull = jax.vjp(ops.matmul, x, kernel)
    by_x, by_kernel = pull(dy)
    close(y, x.astype("float64") @ kernel)
    close(by_x, dy.astype("float64") @ kernel.T)
    close(by_kernel, x.astype("float64").reshape(-1, shape[-1]).T @ dy.reshape(-1, columns))
    close(jax.jvp(ops.matmul, (x, kernel), (dx, 2 * kernel))[1], (dx + 2.0 * x) @ kernel)
    several = np.stack([x, dx])
    close(jax.vmap(ops.matmul, (0, None))(several, kernel), several.astype("float64") @ kernel)

    def bent(multiply):
        loss = lambda kernel: jnp.sum(jnp.tanh(multiply(jnp.asarray(x), kernel)))  # noqa: E731
        return jax.jvp(jax.grad(loss), (kernel,), (np.ones_like(kernel),))[1]

    close(bent(ops.matmul), bent(jnp.matmul), atol=1e-3)


@pytest.mark.parametrize(("rows", "columns", "turned"), [
    ((32, 16), 16, "32x16xf32>, tensor<16x32xf32>"),
    ((4, 200, 64), 256, "800x64xf32>, tensor<64x800xf32>"),
    ((4, 200, 256), 64, "800x64xf32>, tensor<64x800xf32>"),  # not the rows: they are the wider ones
])  # fmt: skip
def test_the_narrower_is_turned_for_the_kernels_gradient(rows, columns, turned):
    def program(multiply):
        loss = lambda x, kernel: jnp.sum(multiply(x, kernel) ** 2)  # noqa: E731
        arguments = np.ones(rows, "float32"), np.ones((rows[-1], columns), "float32")
        return jax.jit(jax.grad(loss, 1)).lower(*arguments).as_text()

    turnings = [line for line in program(ops.matmul).splitlines() if "stablehlo.transpose" in line]
    assert any(turned.replace(">, tensor", ">) -> tensor") in line for line in turnings), turnings
    assert "optimization_barrier" in program(ops.matmul)
    assert "optimization_barrier" not in program(jnp.matmul)


@pytest.mark.parametrize(
    ("equation", "x", "kernel"),
    [
        ("abc,cd->abd", (2, 5, 6), (6, 17)),
        ("abc,cDE->abDE", (2, 5, 6), (6, 4, 5)),
        ("abcd,cdE->abE", (2, 5, 4, 3), (4, 3, 7)),
        ("...x, xy -> ...y", (2, 3, 4, 6), (6, 5)),
        ("ab,bc->ac", (3, 4), (4, 20)),
    ],
)
def test_an_einsum_of_rows_by_a_kernel_is_such_a_product(equation, x, kernel):
    x, kernel = (jnp.asarray(RNG.normal(size=shape), "float32") for shape in (x, kernel))
    assert WAYS["einsum"](equation, x, kerata.Variable(kernel)) is not NotImplemented
    y, pull = jax.vjp(functools.partial(ops.einsum, equation), x, kernel)
    expected, pull_expected = jax.vjp(functools.partial(jnp.einsum, equation), x, kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    dy = jnp.asarray(RNG.normal(size=y.shape), "float32")
    for got, wanted in zip(pull(dy), pull_expected(dy), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("abc,dc->abd", [(2, 3, 4), (5, 4)]),
        ("abc,cd->adb", [(2, 3, 4), (4, 5)]),
        ("abc,acd->abd", [(2, 3, 4), (2, 4, 5)]),
        ("abc,bca->a", [(2, 3, 4), (3, 4, 2)]),
        ("abb,bc->abc", [(2, 3, 3), (3, 5)]),
        ("abc,cd", [(2, 3, 4), (4, 5)]),
        ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
        ("abc->ab", [(2, 3, 4)]),
        ("abc,cd->abd", [(2, 3, 1), (4, 5)]),
        ("abc,cd->abd", [(2, 3, 3, 4), (4, 5)]),
        ("abc,cd->abd", [(2, 3, 4), (4, 5, 6)]),
        ("...bc,cd->...bd", [(4,), (4, 5)]),
        ("...c,...cd->...d", [(2, 3, 4), (4, 5)]),
    ],
)
def test_other_einsums_are_left_to_xla_and_so_are_wrong_ones(equation, shapes):
    assert WAYS["einsum"](equation, *(jnp.ones(shape) for shape in shapes)) is NotImplemented


# Attention on a CPU -------------------------------------------------------------------------------------------------


def attended(batch=2, steps=7, seen=9, heads=(4, 4), width=8):
    shapes = (batch, steps, heads[0], width), (batch, seen, heads[1], width), (batch, seen, heads[1], 6)
    return [jnp.asarray(RNG.normal(size=shape), "float32") for shape in shapes]


SEEN = RNG.random((2, 1, 7, 9)) > 0.3
SEEN[0, 0, 2] = False  # a step that sees nothing
BIAS = RNG.normal(size=(4, 7, 9)).astype("float32")


@pytest.mark.parametrize(("inputs", "settings"), [
    ({}, {}),
    ({}, {"scale": 0.3}),
    ({}, {"is_causal": True}),
    ({"steps": 9, "seen": 7}, {"is_causal": True}),
    ({}, {"mask": SEEN, "is_causal": True}),
    ({}, {"mask": SEEN, "bias": BIAS, "attn_logits_soft_cap": 2.0}),
    ({"heads": (4, 2)}, {"bias": BIAS}),
    ({"steps": 1}, {"scale": jnp.float32(0.5)}),
])  # fmt: skip
def test_attention_on_a_cpu_is_the_formula_in_every_mode_of_differentiation(inputs, settings):
    arrays, others = attended(**inputs), attended(**inputs)
    by_op = functools.partial(ops.dot_product_attention, **settings)
    by_formula = functools.partial(OPS["dot_product_attention"].body, **settings)
    assert WAYS["dot_product_attention"](*arrays, **settings) is not NotImplemented

    def outcomes(attention):
        y, pull = jax.vjp(attention, *arrays)
        loss = lambda *arrays: jnp.sum(jnp.sin(attention(*arrays)))  # noqa: E731
        bent = jax.jvp(jax.grad(loss, (0, 1, 2)), tuple(arrays), tuple(others))[1]
        several = [jnp.stack(pair) for pair in zip(arrays, others, strict=True)]
        return y, *pull(jnp.cos(y)), *bent, jax.vmap(attention)(*several), jax.jit(attention)(*others)

    for got, expected in zip(outcomes(by_op), outcomes(by_formula), strict=True):
        assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_large_logits_do_not_overflow():
    q, k, v = attended()
    y = ops.dot_product_attention(100 * q, 100 * k, v)
    np.testing.assert_allclose(y, OPS["dot_product_attention"].body(100 * q, 100 * k, v), rtol=1e-4, atol=1e-5)


def test_no_gradient_of_attention_turns_its_weights():
    def turned(attention):
        """Return the widths of the left operands that XLA turns, as it is not their last axis that is summed."""
        loss = lambda *arrays: jnp.sum(attention(*arrays) ** 2)  # noqa: E731
        program = jax.make_jaxpr(jax.grad(loss, (0, 1, 2)))(*attended(steps=30, seen=40)).jaxpr
        products = [e for e, _ in counting.everything(program) if e.primitive.name == "dot_general"]
        left = [(product.params["dimension_numbers"][0][0], product.invars[0].aval) for product in products]
        return {array.shape[-1] for summed, array in left if summed != (array.ndim - 1,)}

    assert turned(ops.dot_product_attention) == {8, 6}  # the queries', and those of the output's gradient
    assert 40 in turned(OPS["dot_product_attention"].body)


def test_other_attention_on_a_cpu_is_left_to_the_formula():
    q, k, v = attended()
    for arrays in ((q, k, v.astype("bfloat16")), [x.astype("bfloat16") for x in (q, k, v)]):
        assert WAYS["dot_product_attention"](*arrays) is NotImplemented
    with nn.textbook():
        assert WAYS["dot_product_attention"](q, k, v) is NotImplemented


@pytest.mark.parametrize(
    ("x", "kernel"),
    [
        ((32, 8), (8, 1)), ((65, 128), (128, 16)), ((32, 128), (128, 256)), ((8, 2048), (2048, 4)),
        ((1, 1, 8), (8, 16)), ((1, 8), (8, 4)), ((32, 8), (2, 8, 4)), ((32,), (32, 4)),
    ],
    ids=["one column", "many rows", "a large kernel", "long rows", "one row of two axes", "one row", "a stack",
         "a vector"],
)  # fmt: skip
def test_other_products_are_left_to_xla(x, kernel):
    x, kernel = np.ones(x, "float32"), np.ones(kernel, "float32")
    assert WAYS["matmul"](x, kernel) is NotImplemented
    assert WAYS["matmul"](np.ones((32, 8), "float64"), np.ones((8, 4), "float64")) is NotImplemented
    np.testing.assert_array_equal(ops.matmul(x, kernel), np.matmul(x, kernel))


def test_operations_are_counted_and_exported_as_of_the_plain_product():
    model = kerata.Sequential([kerata.Input((8,)), layers.Dense(3, use_bias=False)])
    with nn.textbook():
        assert WAYS["matmul"](np.ones((32, 8), "float32"), np.ones((8, 3), "float32")) is NotImplemented
    assert kerata.utils.count_flops(model, batch_size=64).operations == 2 * 64 * 8 * 3
