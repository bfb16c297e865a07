"""JaxLayer and FlaxLayer beside Keras's: weights, outputs, draws, gradients, state, configs, and files both ways."""

from __future__ import annotations

import importlib.util
import types

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from layer_pairs import as_json, built, our_results, row, their_results

import kerata


def registered(item):
    """Register in both frameworks under one name."""
    keras.saving.register_keras_serializable("peer_jax")(item)
    return kerata.saving.register_keras_serializable("peer_jax")(item)


@registered
def dense_init(rng, inputs):
    return {"w": jax.random.normal(rng, (inputs.shape[-1], 3)), "b": np.zeros(3, "float32")}


@registered
def dense_call(inputs, params):
    return jnp.tanh(inputs @ params["w"] + params["b"])


@registered
def rich_init(inputs, rng, training):
    stack = [jax.random.normal(rng, (4, 3)), (jnp.ones(3), jnp.full((1, 3), 2.0))]
    return {"z": {"inner": stack}, "a": stack[0].T}, {"mean": jnp.zeros(4), "calls": 0}


@registered
def rich_call(state, params, rng, training, inputs):
    first, (second, third) = params["z"]["inner"]
    if training:
        state = {"mean": (state["mean"] + inputs.mean(0)) / 2, "calls": state["calls"] + 1}
        inputs = inputs * jax.random.bernoulli(rng, 0.5, inputs.shape)
    y = (inputs - state["mean"]) @ first * second + third
    return y @ params["a"], state


@registered
def draws(rng, inputs, training):
    return inputs + jax.random.normal(rng, inputs.shape) if training else inputs


ROWS = [
    row("JaxLayer", (5, 4), call_fn=dense_call, init_fn=dense_init),
    row("JaxLayer", (5, 2, 4), call_fn=dense_call, init_fn=dense_init, trainable=False, activity_regularizer="l2"),
    row("JaxLayer", (5, 4), call_fn=dense_call, init_fn=dense_init, dtype="mixed_bfloat16", tolerance=3e-2),
    row("JaxLayer", (5, 4), call_fn=rich_call, init_fn=rich_init, seed=3),
    row("JaxLayer", (5, 4), call_fn=rich_call, init_fn=rich_init, seed=3, training=True),
    row("JaxLayer", (5, 4), call_fn=draws, seed=5, training=True),
]

if importlib.util.find_spec("flax") is not None:
    import flax.linen as nn

    @registered
    class Net(nn.Module):
        units: int

        @nn.compact
        def __call__(self, inputs, training):
            x = nn.BatchNorm(use_running_average=not training, momentum=0.5)(nn.Dense(8)(inputs))
            return nn.Dense(self.units)(nn.Dropout(0.5, deterministic=not training)(x))

        @nn.compact
        def plain(self, inputs):
            return nn.Dense(self.units)(inputs)

        def get_config(self):
            return {"units": self.units}

        @classmethod
        def from_config(cls, config):
            return cls(**config)

    @registered
    def wrapped(module, inputs):
        return 2 * module.plain(inputs)

    ROWS += [
        row("FlaxLayer", (5, 4), module=Net(3), seed=1),
        row("FlaxLayer", (5, 4), module=Net(3), seed=1, training=True),
        row("FlaxLayer", (5, 4), module=(net := Net(2)), method=net.plain),
        row("FlaxLayer", (5, 4), module=Net(2), method=wrapped),
    ]

names = pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))


@pytest.fixture(autouse=True)
def _no_tensorflow_needed(monkeypatch):
    """Keras asks TensorFlow whether it traces, though it computes with JAX."""
    jax_layer = pytest.importorskip("keras.src.utils.jax_layer")
    monkeypatch.setattr(jax_layer, "tf", types.SimpleNamespace(inside_function=lambda: False))


def assert_close(found, expected, tolerance):
    found, expected = (np.asarray(x, "float32") for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@names
def test_weights(row):
    ours, theirs = built(row)
    assert [tuple(w.shape) for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    assert [w.trainable for w in ours.weights] == [w.trainable for w in theirs.weights]
    assert len(ours.variables) == len(theirs.variables)


@names
def test_results(row):
    found, expected = our_results(row), their_results(row)
    assert_close(found.outputs, expected.outputs, row.tolerance)
    for part in ("gradients", "state", "losses"):
        ours, theirs = getattr(found, part), getattr(expected, part)
        assert len(ours) == len(theirs), part
        for a, b in zip(ours, theirs):
            assert_close(a, b, row.tolerance)


@names
def test_config(row):
    ours, theirs = built(row)
    found, expected = (as_json(layer.get_config()) for layer in (ours, theirs))
    assert set(found) == set(expected)
    for key in set(expected) - {"call_fn", "init_fn", "module", "method"}:
        assert found[key] == expected[key], key


@names
def test_files_both_ways(row, tmp_path):
    for source, target, make in ((keras, kerata, row.theirs), (kerata, keras, row.ours)):
        model = source.Sequential([source.Input(row.shape[1:]), make(name="it"), source.layers.Dense(2, name="last")])
        path = tmp_path / f"{source.__name__}.keras"
        model.save(path)
        loaded = target.models.load_model(path)
        found, expected = loaded.predict(row.inputs[0], verbose=0), model.predict(row.inputs[0], verbose=0)
        assert_close(found, expected, row.tolerance)
