"""Functions of JAX, modules of flax and SavedModels of TensorFlow as layers."""

import copy
import importlib.util
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kerata
from kerata import engine as engines
from kerata import errors, layers, ops

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 4)).astype("float32")
Y = X @ RANDOM.normal(size=(4, 1)).astype("float32")


@pytest.fixture(autouse=True)
def on_jax():
    with engines.using("jax"):
        yield


@kerata.saving.register_keras_serializable("test_jax_layers")
def dense_init(rng, inputs):
    w_key, b_key = jax.random.split(rng)
    return {"w": jax.random.normal(w_key, (inputs.shape[-1], 3)), "b": jax.random.normal(b_key, (3,))}


@kerata.saving.register_keras_serializable("test_jax_layers")
def dense_call(params, inputs):
    return inputs @ params["w"] + params["b"]


@kerata.saving.register_keras_serializable("test_jax_layers")
def rich_init(rng, inputs, training):
    assert training is True
    return dense_init(rng, inputs), {"mean": jnp.zeros(inputs.shape[-1]), "calls": 0}


@kerata.saving.register_keras_serializable("test_jax_layers")
def rich_call(params, state, rng, inputs, training):
    """A running mean, dropout of a half, and a dense layer."""
    if training:
        mean = 0.5 * state["mean"] + 0.5 * inputs.mean(0)
        state = {"mean": mean, "calls": state["calls"] + 1}
        inputs = inputs * jax.random.bernoulli(rng, 0.5, inputs.shape) * 2
    else:
        assert rng is None
    return dense_call(params, inputs - state["mean"]), state


def rich_model(**kwargs):
    layer = layers.JaxLayer(rich_call, rich_init, name="rich", **kwargs)
    return kerata.Sequential([kerata.Input((4,)), layer, layers.Dense(1, name="last")])


# JaxLayer -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit_compile", [True, False])
def test_fit_trains_params_and_carries_state(jit_compile, tmp_path):
    kerata.utils.set_random_seed(1)
    model = rich_model(seed=3)
    rich = model.layers[0]
    assert model.output_shape == (None, 1) and rich.output.shape == (None, 3)
    assert [(w.name, w.shape, w.dtype) for w in rich.trainable_weights] == [
        ("b", (3,), "float32"), ("w", (4, 3), "float32"),
    ]  # fmt: skip
    assert [(w.name, w.shape, w.dtype) for w in rich.non_trainable_weights] == [
        ("calls", (), "int32"), ("mean", (4,), "float32"),
    ]  # fmt: skip
    assert rich.params["w"] is rich.weights[1] and rich.state["mean"] is rich.weights[3]
    before = model.get_weights()
    model.compile("sgd", "mse", jit_compile=jit_compile)
    history = model.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    mean = np.zeros(4)
    for batch in (X[:8], X[8:]) * 2:
        mean = 0.5 * mean + 0.5 * batch.mean(0)
    assert int(rich.state["calls"]) == 4
    np.testing.assert_allclose(rich.state["mean"].numpy(), mean, rtol=1e-5, atol=1e-6)
    assert np.abs(rich.get_weights()[1] - before[1]).max() > 1e-4
    by_hand = (X - mean) @ rich.params["w"].numpy() + rich.params["b"].numpy()
    np.testing.assert_allclose(rich(X), by_hand, rtol=1e-5, atol=1e-5)
    expected = model.predict(X, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = kerata.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), expected)
    assert int(loaded.layers[0].state["calls"]) == 4
    # What is drawn goes on where it was.
    np.testing.assert_array_equal(loaded(X, training=True), model(X, training=True))


def test_own_loops_draw_anew_and_assign_state():
    layer = layers.JaxLayer(rich_call, rich_init, seed=1)

    @kerata.jit
    def step(x):
        loss, gradients = kerata.value_and_grad(lambda x: ops.mean(layer(x, training=True) ** 2), layer)(x)
        return loss, gradients

    layer.build((None, 4))
    eager = copy.deepcopy(layer)
    (first, gradients), (second, _) = step(X), step(X)
    assert float(first) != float(second) and int(layer.state["calls"]) == 2
    assert int(eager.state["calls"]) == 0 and eager.params["w"] is not layer.params["w"]
    key = np.array([1, 0], "uint32")

    def by_hand(params):
        state = {"mean": jnp.zeros(4), "calls": 0}
        return (rich_call(params, state, key, X, True)[0] ** 2).mean()

    values = jax.tree_util.tree_map(lambda v: v.value, eager.params)
    expected_loss, expected = jax.value_and_grad(by_hand)(values)
    np.testing.assert_allclose(first, expected_loss, rtol=1e-5)
    for found, leaf in zip(gradients, jax.tree_util.tree_leaves(expected)):
        np.testing.assert_allclose(found, leaf, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ops.mean(eager(X, training=True) ** 2), first, rtol=1e-5)


def test_built_in_a_compiled_function():
    layer = layers.JaxLayer(dense_call, dense_init)
    outputs = kerata.jit(lambda x: layer(x))(X)
    np.testing.assert_allclose(outputs, X @ layer.params["w"].numpy() + layer.params["b"].numpy(), rtol=1e-5, atol=1e-5)


def test_given_values_stay_yours_and_nests_of_any_kind_serve():
    Pair = jax.tree_util.register_pytree_node_class(
        type("Pair", (types.SimpleNamespace,), {
            "tree_flatten": lambda self: ((self.a, self.b), None),
            "tree_unflatten": classmethod(lambda cls, _, children: cls(a=children[0], b=children[1])),
        })
    )  # fmt: skip
    given = [Pair(a=jnp.ones((4, 2), "bfloat16"), b=np.float32(2.0)), None, (True, 3.5)]

    def call_fn(params, state, inputs):
        pair, nothing, (flag, scale) = params
        assert nothing is None and state == "as it is" and flag.dtype == bool
        return (inputs["x"] @ pair.a + pair.b) * scale, state

    layer = layers.JaxLayer(call_fn, params=given, state="as it is", trainable=False)
    assert layer.built and [(w.shape, w.dtype) for w in layer.weights] == [
        ((4, 2), "float32"), ((), "float32"), ((), "bool"), ((), "float32")
    ]  # fmt: skip
    assert not layer.trainable_weights and isinstance(layer.params[0], Pair)
    np.testing.assert_allclose(layer({"x": X}), (X.sum(1, keepdims=True) + 2) * 3.5 * np.ones(2), rtol=1e-5)
    layer.set_weights([0 * w for w in layer.get_weights()])
    assert given[0].a.sum() == 8
    symbol = layer({"x": kerata.Input((4,))})
    assert symbol.shape == (None, 2)


def test_integer_inputs_and_mixed_precision(tmp_path):
    def init_fn(rng, inputs):
        assert inputs["ids"].dtype == "int32" and inputs["ids"].shape == (1, 5)
        return [jnp.arange(12.0).reshape(6, 2)]

    def call_fn(params, inputs):
        return params[0][inputs["ids"]] * inputs["scale"]

    names = {"init_fn": init_fn, "call_fn": call_fn}
    ids, scale = kerata.Input((5,), dtype="int32"), kerata.Input((1, 1))
    layer = layers.JaxLayer(call_fn, init_fn, dtype="mixed_bfloat16")
    model = kerata.Model([ids, scale], layer({"ids": ids, "scale": scale}))
    assert (layer.weights[0].dtype, model.output.dtype, model.output.shape) == ("float32", "bfloat16", (None, 5, 2))
    layer.set_weights([np.ones((6, 2))])
    model.save(tmp_path / "m.keras")
    loaded = kerata.models.load_model(tmp_path / "m.keras", custom_objects=names)
    numbers = [np.zeros((2, 5), "int32"), np.full((2, 1, 1), 3.0)]
    assert np.asarray(loaded.predict(numbers, verbose=0), "float32").tolist() == [[[3.0, 3.0]] * 5] * 2


def test_typed_keys_are_weights_too():
    def call_fn(state, inputs):
        key, sub = jax.random.split(state["key"])
        return inputs + jax.random.normal(sub, inputs.shape), {"key": key}

    layer = layers.JaxLayer(call_fn, state={"key": jax.random.key(7)})
    key, sub = jax.random.split(jax.random.key(7))
    np.testing.assert_allclose(kerata.jit(layer)(X), X + jax.random.normal(sub, X.shape), rtol=1e-6)
    np.testing.assert_array_equal(layer.get_weights()[0], jax.random.key_data(key))


def _drops_state(params, state, inputs):
    return inputs, {}


def _returns_one(params, state, inputs):
    return inputs


MISTAKES = {
    "unknown argument": (lambda: layers.JaxLayer(lambda params, x: x, params=1.0), ValueError, "call_fn"),
    "init_fn without inputs": (lambda: layers.JaxLayer(dense_call, lambda rng: 0), ValueError, "init_fn"),
    "no values": (lambda: layers.JaxLayer(dense_call), ValueError, "init_fn=…"),
    "lost state": (lambda: layers.JaxLayer(_drops_state, state={"a": 1})(X), ValueError, "a"),
    "one result": (lambda: layers.JaxLayer(_returns_one, state={"a": 1})(X), ValueError, "new state"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name):
    act, kind, word = MISTAKES[name]
    with pytest.raises(kind, match=word):
        act()


@pytest.mark.parametrize("name", ["torch", "numpy"])
def test_other_engines_refuse(name):
    layer = layers.JaxLayer(dense_call, dense_init)
    layer.build((None, 4))
    with engines.using(name):
        for act in (lambda: layers.JaxLayer(dense_call, dense_init), lambda: layer(X)):
            with pytest.raises(errors.Unsupported, match="set_engine"):
                act()


# FlaxLayer ----------------------------------------------------------------------------------------------------------


@kerata.saving.register_keras_serializable("test_jax_layers")
class StandIn:
    """What a `flax.linen` module is to a layer: collections by name, rngs by name, and mutable ones returned."""

    def __init__(self, units):
        self.units = units

    def get_config(self):
        return {"units": self.units}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __call__(self, inputs, training=False):
        return self.normalized(inputs, training)

    def normalized(self, inputs, training):
        self.seen.append(self.mutable)
        if training:
            self.variables["batch_stats"] = {"mean": inputs.mean(0)}
            inputs = inputs * jax.random.bernoulli(self.rngs["dropout"], 0.5, inputs.shape)
        return self.plain(inputs - self.variables["batch_stats"]["mean"])

    def plain(self, inputs):
        return inputs @ self.variables["params"]["kernel"]

    def init(self, rngs, inputs, method=None, **kwargs):
        assert set(rngs) == {"params", "dropout"}
        kernel = jax.random.normal(rngs["params"], (inputs.shape[-1], self.units))
        return {"batch_stats": {"mean": jnp.zeros(inputs.shape[-1])}, "params": {"kernel": kernel}}

    def apply(self, variables, inputs, rngs, method, mutable, **kwargs):
        bound = StandIn(self.units)
        bound.variables, bound.rngs, bound.mutable, bound.seen = dict(variables), rngs, mutable, []
        if isinstance(method, str):
            method = getattr(StandIn, method)
        outputs = (getattr(method, "__func__", method) or StandIn.__call__)(bound, inputs, **kwargs)
        return outputs, {name: bound.variables[name] for name in mutable}


@kerata.saving.register_keras_serializable("test_jax_layers")
def twice(module, inputs):
    return 2 * module.plain(inputs)


def test_a_module_like_those_of_linen(tmp_path):
    layer = layers.FlaxLayer(StandIn(1), seed=5)
    model = kerata.Sequential([kerata.Input((4,)), layer])
    assert model.output_shape == (None, 1)
    assert [w.name for w in layer.weights] == ["params_kernel", "batch_stats_mean"]
    assert len(model.trainable_weights) == 1
    kernel = layer.get_weights()[0]
    dropped = X * np.asarray(jax.random.bernoulli(np.array([5, 0], "uint32"), 0.5, X.shape))
    np.testing.assert_allclose(model(X, training=True), (dropped - X.mean(0)) @ kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[1], X.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(X), (X - X.mean(0)) @ kernel, rtol=1e-4, atol=1e-5)
    model.compile("sgd", "mse")
    model.fit(X, Y, epochs=1, verbose=0)
    assert np.abs(layer.get_weights()[0] - kernel).max() > 1e-4
    model.save(tmp_path / "model.keras")
    loaded = kerata.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    config = layer.get_config()
    assert (config["module"]["config"], config["method"]) == ({"units": 1}, None)
    assert not {"call_fn", "init_fn", "variables", "seed"} & set(config)


@pytest.mark.parametrize("make", [lambda m: "plain", lambda m: m.plain, lambda m: twice], ids=["name", "bound", "free"])
def test_the_method_that_is_called(make):
    module = StandIn(2)
    kernel = np.ones((4, 2), "float32")
    layer = layers.FlaxLayer(module, make(module), variables={"params": {"kernel": kernel}})
    factor = 2 if make(module) is twice else 1
    np.testing.assert_allclose(layer(X, training=True), factor * X @ kernel, rtol=1e-5)
    assert len(layer.weights) == len(layer.trainable_weights) == 1
    again = layers.FlaxLayer.from_config(layer.get_config())
    again(X)
    again.set_weights(layer.get_weights()[:1] + again.get_weights()[1:])
    np.testing.assert_allclose(again(X), factor * X @ kernel, rtol=1e-5)


def test_flax_linen():
    nn = pytest.importorskip("flax.linen")

    class Net(nn.Module):
        @nn.compact
        def __call__(self, inputs, training=False):
            x = nn.BatchNorm(use_running_average=not training, momentum=0.5)(nn.Dense(8)(inputs))
            x = nn.Dropout(0.5, deterministic=not training)(nn.relu(x))
            self.sow("intermediates", "hidden", x)
            return nn.Dense(1)(x)

        def doubled(self, inputs, training):
            return 2 * self(inputs, training)

    model = kerata.Sequential([kerata.Input((4,)), layers.FlaxLayer(Net(), "doubled")])
    layer = model.layers[0]
    assert model.output_shape == (None, 1) and (len(layer.trainable_weights), len(layer.weights)) == (6, 8)
    model.compile("adam", "mse")
    losses = model.fit(X, Y, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and np.abs(layer.get_weights()[-1] - 1).max() > 1e-3
    variables = {
        name: jax.tree_util.tree_map(lambda v: v.numpy(), nest[name])
        for nest, name in ((layer.params, "params"), (layer.state, "batch_stats"))
    }
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * Net().apply(variables, X), rtol=1e-5, atol=1e-5)
    key = layer.seed_generator.state.numpy()
    expected, _ = Net().apply(variables, X, training=True, rngs={"dropout": key}, mutable=["batch_stats"])
    np.testing.assert_allclose(layer(X, training=True), 2 * expected, rtol=1e-5, atol=1e-5)
    ids = layers.FlaxLayer(nn.Embed(5, 3))(np.zeros((2, 4), "int32"))
    assert ids.shape == (2, 4, 3)
    frozen = pytest.importorskip("flax.core").freeze({"params": {"kernel": np.ones((4, 2), "float32")}})
    np.testing.assert_allclose(layers.FlaxLayer(nn.Dense(2, use_bias=False), variables=frozen)(X), X @ np.ones((4, 2)),
                               rtol=1e-5)  # fmt: skip


def test_flax_nnx():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first, self.norm = nnx.Linear(4, 8, rngs=rngs), nnx.BatchNorm(8, momentum=0.5, rngs=rngs)
            self.dropout, self.last = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(8, 1, rngs=rngs)

        def __call__(self, inputs):
            return self.last(self.dropout(nnx.relu(self.norm(self.first(inputs)))))

    module = Net(nnx.Rngs(0))
    layer = layers.FlaxLayer(module)
    module.eval()
    np.testing.assert_allclose(layer(X), module(X), rtol=1e-5, atol=1e-5)
    module.train()
    np.testing.assert_allclose(layer(X, training=True), module(X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer(X, training=True), module(X), rtol=1e-5, atol=1e-5)  # with another draw
    assert sum(w.size for w in layer.trainable_weights) == 4 * 8 + 8 + 16 + 8 + 1
    model = kerata.Sequential([kerata.Input((4,)), layer])
    model.compile("sgd", "mse")
    before = layer.get_weights()
    model.fit(X, Y, epochs=2, verbose=0)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(layer.get_weights()[:3], before))
    module.eval()
    assert not np.allclose(layer(X), module(X))  # the layer has weights of its own
    assert layers.FlaxLayer(module, lambda module, inputs: 2 * module.last(inputs))(np.ones((1, 8))).shape == (1, 1)


# TFSMLayer ----------------------------------------------------------------------------------------------------------


def test_a_saved_model_needs_tensorflow_and_trust(tmp_path, monkeypatch):
    config = {"filepath": str(tmp_path), "call_endpoint": "serve"}
    for options in ({}, {"safe_mode": True}):
        with pytest.raises(errors.Unsupported, match="safe_mode=False"):
            layers.TFSMLayer.from_config(config, **options)
    monkeypatch.setitem(__import__("sys").modules, "tensorflow", None)
    with pytest.raises(errors.Unsupported, match="pip install tensorflow"):
        layers.TFSMLayer(tmp_path)
    with pytest.raises(errors.Unsupported, match="pip install tensorflow"):
        layers.TFSMLayer.from_config(config, safe_mode=False)


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="a SavedModel is a program of TensorFlow")
@pytest.mark.parametrize("engine", ["jax", "torch", "numpy"])
def test_a_saved_model(tmp_path, engine):
    import tensorflow as tf

    class Net(tf.Module):
        def __init__(self):
            self.kernel = tf.Variable(tf.ones((4, 2)), name="kernel")
            self.seen = tf.Variable(0.0, trainable=False, name="seen")

        @tf.function(input_signature=[tf.TensorSpec((None, 4))])
        def serve(self, x):
            return x @ self.kernel + self.seen

        @tf.function(input_signature=[tf.TensorSpec((None, 4))])
        def train(self, x):
            return {"y": 2 * (x @ self.kernel)}

    net = Net()
    tf.saved_model.save(net, tmp_path / "net", signatures={"serving_default": net.train})
    expected = X.sum(1, keepdims=True) * np.ones(2)
    with engines.using(engine):
        layer = layers.TFSMLayer(tmp_path / "net", call_training_endpoint="train")
        assert [(w.name, w.shape) for w in layer.weights] == [("kernel", (4, 2)), ("seen", ())]
        assert not layer.trainable_weights
        np.testing.assert_allclose(engines.arrays.to_numpy(layer(X)), expected, rtol=1e-5, atol=1e-5)
        trained = layer(X, training=True)["y"]
        np.testing.assert_allclose(engines.arrays.to_numpy(trained), 2 * expected, rtol=1e-5, atol=1e-5)
        other = copy.deepcopy(layer)
        layer.set_weights([3 * np.ones((4, 2)), 1.0])
        np.testing.assert_allclose(engines.arrays.to_numpy(layer(X)), 3 * expected + 1, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(engines.arrays.to_numpy(other(X)), expected, rtol=1e-5, atol=1e-5)
        model = kerata.Sequential([kerata.Input((4,)), layer, layers.Dense(1)])
        assert layer.output.shape == (None, 2)
        if engine != "numpy":
            model.compile("sgd", "mse")
            model.fit(X, Y, epochs=1, verbose=0)
        assert model.predict(X, verbose=0).shape == (16, 1)
        named = layers.TFSMLayer(tmp_path / "net", "serving_default")
        np.testing.assert_allclose(engines.arrays.to_numpy(named(X)["y"]), 2 * expected, rtol=1e-5, atol=1e-5)
        again = layers.TFSMLayer.from_config(layer.get_config(), safe_mode=False)
        np.testing.assert_allclose(engines.arrays.to_numpy(again(X)), expected, rtol=1e-5, atol=1e-5)
        with pytest.raises(errors.UnknownName, match="serving_default"):
            layers.TFSMLayer(tmp_path / "net", "nothing")
