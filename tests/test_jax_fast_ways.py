"""When the JAX engine leaves attention to cuDNN. No GPU is at hand: what would be called is written down instead."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerata
from kerata import config, layers, ops
from kerata.core.op import OPS
from kerata.engine.jax import fast_ways as WAYS

RNG = np.random.default_rng(0)
XLA = jax.nn.dot_product_attention


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
