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
from kerata.engine.jax import fast_ways as WAYS
from kerata.engine.jax import nn

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


@pytest.mark.parametrize("shape", [(32, 16), (2, 8), (64, 128), (20, 33)])
@pytest.mark.parametrize("columns", [16, 50])
def test_small_products_are_products_in_every_mode_of_differentiation(shape, columns):
    x, kernel = RNG.normal(size=shape).astype("float32"), RNG.normal(size=(shape[-1], columns)).astype("float32")
    dy, dx = RNG.normal(size=(len(x), columns)).astype("float32"), RNG.normal(size=shape).astype("float32")
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    y, pull = jax.vjp(ops.matmul, x, kernel)
    by_x, by_kernel = pull(dy)
    close(y, x.astype("float64") @ kernel)
    close(by_x, dy.astype("float64") @ kernel.T)
    close(by_kernel, x.astype("float64").T @ dy)
    close(jax.jvp(ops.matmul, (x, kernel), (dx, 2 * kernel))[1], (dx + 2.0 * x) @ kernel)
    several = np.stack([x, dx])
    close(jax.vmap(ops.matmul, (0, None))(several, kernel), several.astype("float64") @ kernel)

    def bent(multiply):
        loss = lambda kernel: jnp.sum(jnp.tanh(multiply(jnp.asarray(x), kernel)))  # noqa: E731
        return jax.jvp(jax.grad(loss), (kernel,), (np.ones_like(kernel),))[1]

    close(bent(ops.matmul), bent(jnp.matmul), atol=1e-3)


def test_the_rows_of_a_small_product_are_turned_for_the_kernels_gradient():
    def program(multiply):
        loss = lambda x, kernel: jnp.sum(multiply(x, kernel) ** 2)  # noqa: E731
        arguments = np.ones((32, 16), "float32"), np.ones((16, 16), "float32")
        return jax.jit(jax.grad(loss, 1)).lower(*arguments).as_text()

    assert "optimization_barrier" in program(ops.matmul)
    assert "optimization_barrier" not in program(jnp.matmul)


@pytest.mark.parametrize(
    ("x", "kernel"),
    [
        ((32, 8), (8, 1)), ((65, 128), (128, 16)), ((32, 128), (128, 256)), ((8, 2048), (2048, 4)),
        ((2, 8, 8), (8, 16)), ((1, 8), (8, 4)), ((32, 8), (2, 8, 4)), ((32,), (32, 4)),
    ],
    ids=["one column", "many rows", "a large kernel", "long rows", "several axes", "one row", "a stack", "a vector"],
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
