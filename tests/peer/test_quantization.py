"""Quantized layers beside Keras's: what is kept, outputs, gradients, configs, and files in both directions."""

import functools
import json
import re

import jax
import keras
import numpy as np
import pytest
from layer_pairs import as_json

import kerata

RNG = np.random.default_rng(0)
Q = {k: k.quantizers for k in (keras, kerata)}

LAYERS = {
    "dense": ("Dense", {"units": 5, "activation": "tanh"}, (3, 8)),
    "dense on sequences": ("Dense", {"units": 6, "use_bias": False}, (2, 3, 8)),
    "einsum": (
        "EinsumDense", {"equation": "btd,dhk->bthk", "output_shape": (None, 2, 3), "bias_axes": "hk"}, (2, 3, 8)
    ),
    "einsum of two axes": ("EinsumDense", {"equation": "bthk,hkd->btd", "output_shape": (None, 5)}, (2, 3, 4, 2)),
    "einsum with dots": ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 7, "bias_axes": "y"}, (2, 3, 8)),
    "einsum, kernel turned": ("EinsumDense", {"equation": "bac,dac->bd", "output_shape": 4}, (3, 2, 4)),
    "embedding": ("Embedding", {"input_dim": 6, "output_dim": 8}, (2, 3)),
    "embedding, odd": ("Embedding", {"input_dim": 6, "output_dim": 7, "mask_zero": True}, (2, 3)),
    "reversible": ("ReversibleEmbedding", {"input_dim": 6, "output_dim": 8}, (2, 3)),
    "reversible, untied": (
        "ReversibleEmbedding", {"input_dim": 6, "output_dim": 7, "tie_weights": False, "logit_soft_cap": 2.0}, (2, 3)
    ),
}  # fmt: skip
WAYS = {
    "int8": lambda q: q.Int8QuantizationConfig(),
    "int8, weights only": lambda q: q.Int8QuantizationConfig(activation_quantizer=None),
    "int8, narrow": lambda q: q.Int8QuantizationConfig(activation_quantizer=q.AbsMaxQuantizer(value_range=(-31, 31))),
    "int4": lambda q: q.Int4QuantizationConfig(block_size=4),
    "int4, one group": lambda q: q.Int4QuantizationConfig(),
    "int4, per channel": lambda q: q.Int4QuantizationConfig(block_size=None),
    "int4, inputs too": lambda q: q.Int4QuantizationConfig(None, q.AbsMaxQuantizer(), block_size=-1),
    "float8": lambda q: q.Float8QuantizationConfig(),
}
KERAS_FAILS = {
    ("einsum with dots", "int8"), ("einsum with dots", "int4"), ("einsum, kernel turned", "int8"),
}  # fmt: skip
"""Where it finds no layout for its scales."""
PAIRS = [
    *(("dense", way) for way in WAYS), ("einsum", "float8"), ("einsum", "int4, inputs too"),
    *((name, way) for name in [*LAYERS][1:] for way in ("int8", "int4")),
    ("embedding, odd", "int4, per channel"), ("reversible, untied", "int4, per channel"),
]  # fmt: skip
every_pair = pytest.mark.parametrize("name, way", PAIRS, ids=str)


def weights_like(weights):
    """Floats of both signs in each group, as the weights of real layers are, and biases that bfloat16 has too."""
    found = []
    for w in weights:
        values = RNG.uniform(0.1, 1.0, tuple(w.shape)).astype("float32")
        signs = np.indices(values.shape).sum(0) % 2 * 2 - 1
        found.append(np.round(values * 4) / 4 if "bias" in w.path else values * signs)
    return found


@functools.cache
def inputs_of(name):
    layer, _, shape = LAYERS[name]
    return RNG.integers(0, 6, shape) if "Embedding" in layer else RNG.normal(size=shape).astype("float32")


def made(name, **more):
    layer, arguments, shape = LAYERS[name]
    theirs, ours = (getattr(k.layers, layer)(**arguments, name="it", **more) for k in (keras, kerata))
    theirs.build(shape)
    ours.build(shape)
    values = weights_like(theirs.weights)
    theirs.set_weights(values)
    ours.set_weights(values)
    return ours, theirs


def quantized(name, way):
    ours, theirs = made(name)
    theirs.quantize(config=WAYS[way](Q[keras]))
    ours.quantize(config=WAYS[way](Q[kerata]))
    return ours, theirs


def kept(layer):
    store = {}
    layer.save_own_variables(store)
    return {key: np.asarray(value) for key, value in store.items()}


def same_state(ours, theirs):
    found, expected = kept(ours), kept(theirs)
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-6, atol=1e-7)
        assert found[key].dtype == expected[key].dtype or found[key].dtype == "int8"  # Keras has one zero in floats


def close(ours, theirs, tolerance=2e-6):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=tolerance * (1 + np.abs(theirs).max()), rtol=0)


@every_pair
def test_quantized(name, way):
    x = inputs_of(name)
    if (name, way) in KERAS_FAILS:
        layer, _ = made(name)
        expected = layer(x)
        layer.quantize(config=WAYS[way](Q[kerata]))
        close(layer(x), expected, 0.03 if way == "int8" else 0.2)
        return
    ours, theirs = quantized(name, way)
    same_state(ours, theirs)
    assert ours.dtype_policy.name == theirs.dtype_policy.name
    assert as_json(ours.get_config()) == as_json(theirs.get_config())
    assert ours.quantization_mode == theirs.quantization_mode
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    y = theirs(x)
    close(ours(x), y)
    vectors = RNG.normal(size=(2, 3, y.shape[-1])).astype("float32")
    if "reversible" in name:
        close(ours(vectors, reverse=True), theirs(vectors, reverse=True))
    with kerata.engine.using("torch"):
        close(kerata.ops.convert_to_numpy(ours(x)), y)
    again = type(ours).from_config(ours.get_config())
    again.build(x.shape)
    again.load_own_variables(kept(theirs))
    close(again(x), y)


@pytest.mark.parametrize("engine", ["jax", "torch"])
@pytest.mark.parametrize("way", ["int8", "int4", "int4, inputs too", "float8"])
@pytest.mark.parametrize("name", ["dense", "einsum"])
def test_gradients(name, way, engine):
    ours, theirs = quantized(name, way)
    x = inputs_of(name)
    r = RNG.normal(size=theirs(x).shape).astype("float32")

    def loss(values, x):
        y, _ = theirs.stateless_call(values, [v.value for v in theirs.non_trainable_variables], x, training=True)
        return (y * r).sum()

    values = [v.value for v in theirs.trainable_variables]
    expected = jax.tree.leaves(jax.grad(loss, argnums=(0, 1))(values, jax.numpy.asarray(x)))
    with kerata.engine.using(engine):
        inputs = kerata.Variable(x)
        wrt = [*ours.trainable_variables, inputs]
        found = kerata.grad(lambda: kerata.ops.sum(kerata.ops.multiply(ours(inputs, training=True), r)), wrt)()
        for mine, other in zip(found, expected, strict=True):
            close(kerata.ops.convert_to_numpy(kerata.ops.stop_gradient(mine)), other, 2e-3 if way == "float8" else 2e-6)


def network(k):
    ids = k.Input((4,), dtype="int32", name="ids")
    x = k.layers.Embedding(9, 8, name="embedding")(ids)
    x = k.layers.EinsumDense("btd,dhk->bthk", (4, 2, 4), bias_axes="hk", name="einsum")(x)
    x = k.layers.Dense(6, activation="relu", name="dense")(k.layers.Flatten()(x))
    return k.Model(ids, k.layers.Dense(3, name="top")(x))


@pytest.mark.parametrize("way", ["int8", "int4", "float8"])
@pytest.mark.filterwarnings("ignore")
def test_files(way, tmp_path):
    """A quantized model of one is the same model of the other, and a Dense built from the policy has its weights."""
    x = RNG.integers(0, 9, (5, 4))
    filters = None if way != "float8" else lambda layer: "embedding" not in layer.name
    for one, other in ((keras, kerata), (kerata, keras)):
        model = network(one)
        model.set_weights(weights_like(model.weights))
        model.quantize(config=WAYS[way](Q[one]), filters=filters)
        model.save(tmp_path / "m.keras")
        loaded = other.saving.load_model(tmp_path / "m.keras")
        assert [v.dtype for v in loaded.weights] == [v.dtype for v in model.weights]
        close(np.asarray(loaded(x)), np.asarray(model(x)), 1e-5)
        if way != "int8":
            continue
        model.save_weights(tmp_path / "m.weights.h5")
        fresh = network(other)
        fresh.quantize(config=WAYS[way](Q[other]), filters=filters)
        fresh.load_weights(tmp_path / "m.weights.h5")
        close(np.asarray(fresh(x)), np.asarray(model(x)), 1e-5)


@pytest.mark.parametrize("way", [None, "int8", "int4", "int4, per channel"])
@pytest.mark.parametrize("name", ["dense", "einsum", "embedding, odd"])
def test_adapted(name, way):
    """LoRA beside quantized weights: outputs, and what a file has."""
    ours, theirs = quantized(name, way) if way else made(name)
    for layer in (ours, theirs):
        layer.enable_lora(2, lora_alpha=3)
    for ending in "ab":
        pair = [next(w for w in each.weights if re.fullmatch(f"lora.*_{ending}", w.name)) for each in (ours, theirs)]
        assert tuple(pair[0].shape) == tuple(pair[1].shape)
        value = RNG.uniform(-0.5, 0.5, pair[0].shape)
        [w.assign(value) for w in pair]
    x = inputs_of(name)
    close(ours(x), theirs(x))
    same_state(ours, theirs)
    assert as_json(ours.get_config()) == as_json(theirs.get_config())
    assert [w.path for w in ours.trainable_weights] == [w.path for w in theirs.trainable_weights]
    plain, _ = quantized(name, way) if way else made(name)
    plain.load_own_variables(kept(theirs))
    close(ours(x), plain(x), 1e-6 if way is None else 0.2)


def test_names():
    """Every config and policy is the same data."""
    for name in ("Int8QuantizationConfig", "Int4QuantizationConfig", "Float8QuantizationConfig", "AbsMaxQuantizer"):
        data = [json.loads(json.dumps(q.serialize(getattr(q, name)()))) for q in Q.values()]
        assert data[0] == data[1]
        assert json.loads(json.dumps(kerata.quantizers.serialize(kerata.quantizers.deserialize(data[0])))) == data[0]


# Calibrated -------------------------------------------------------------------------------------------------------


def block(k):
    inputs = k.Input((None, 8))
    x = k.layers.EinsumDense("btd,dhk->bthk", (None, 2, 3), bias_axes="hk", name="split")(inputs)
    x = k.layers.EinsumDense("bthk,hkd->btd", (None, 9), name="merged")(k.ops.tanh(x))
    return k.Model(inputs, inputs + k.layers.Dense(8, name="out")(k.ops.tanh(x)), name="block")


def language_model(k):
    ids = k.Input((None,), dtype="int32")
    embedding, first = k.layers.Embedding(20, 8, name="embedding"), block(k)
    model = k.Model(ids, k.layers.Dense(20, name="head")(first(embedding(ids))))
    return model, {"pre_block_layers": [embedding], "sequential_blocks": [first]}


TOKENS = np.random.default_rng(4).zipf(1.5, 2000) % 20


def calibrated(k, way, filters=None):
    """Return the model, its weights as they were drawn, and how far its outputs have moved."""
    model, structure = language_model(k)
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=w.shape).astype("float32") * 0.5 for w in model.weights]
    model.set_weights(weights)
    before = np.asarray(model(TOKENS[:256].reshape(8, 32)))
    config = getattr(k.quantizers, {"gptq": "GPTQConfig", "awq": "AWQConfig"}[way])(
        [TOKENS], lambda text: text, num_samples=8, sequence_length=32, group_size=4,
        quantization_layer_structure=structure,
    )  # fmt: skip
    model.quantize(way, config=config, filters=filters)
    return model, weights, np.sqrt(np.mean((np.asarray(model(TOKENS[:256].reshape(8, 32))) - before) ** 2))


@pytest.mark.parametrize("way", ["gptq", "awq"])
@pytest.mark.filterwarnings("ignore")
def test_calibrated(way):
    """The same Variables as Keras's, which mean the same.

    Keras's files leave out the zeros, so that it cannot load its own; ours have them.
    """
    models = {k: calibrated(k, way, filters="merged")[0] for k in (keras, kerata)}
    theirs, ours = (models[k].get_layer("block").get_layer("merged") for k in (keras, kerata))
    assert theirs.dtype_policy.name == ours.dtype_policy.name == f"{way}/4/4_from_float32"
    names = theirs.variable_serialization_spec[way]
    assert ours.variable_serialization_spec[way] == names
    x = RNG.normal(size=(2, 3, 2, 3)).astype("float32")
    for name in names:
        if name != "bias" or ours.bias is not None:
            pair = [getattr(layer, name) for layer in (ours, theirs)]
            assert (pair[0].shape, pair[0].dtype) == (tuple(pair[1].shape), pair[1].dtype)
            pair[0].assign(np.asarray(pair[1]))
    close(np.asarray(ours(x)), np.asarray(theirs(x)))
    theirs.quantization_config.quantization_layer_structure = None  # it would have the layer in its own config
    assert as_json(ours.get_config()) == as_json(theirs.get_config())


@pytest.mark.parametrize("way", ["gptq", "awq"])
def test_a_calibrated_model(way, tmp_path):
    """It is nearer to the model before than one whose weights were rounded, and a file has it."""
    model, weights, error = calibrated(kerata, way)
    rounded, _ = language_model(kerata)
    rounded.set_weights(weights)
    x = TOKENS[:256].reshape(8, 32)
    before = np.asarray(rounded(x))
    inside = ("split", "merged", "out")
    config = kerata.quantizers.Int4QuantizationConfig(block_size=4)
    rounded.quantize(config=config, filters=lambda layer: layer.name in inside)
    assert error < np.sqrt(np.mean((np.asarray(rounded(x)) - before) ** 2))
    block = model.get_layer("block")
    assert {block.get_layer(name).quantization_mode for name in inside} == {way}
    assert model.get_layer("head").quantization_mode is None
    model.save(tmp_path / "m.keras")
    loaded = kerata.saving.load_model(tmp_path / "m.keras")
    after = np.asarray(model(x))
    close(np.asarray(loaded(x)), after, 1e-6)
    with kerata.engine.using("torch"):
        close(kerata.ops.convert_to_numpy(loaded(x)), after, 1e-5)


@pytest.mark.parametrize("group_size", [-1, 8])
def test_awq_is_keras(group_size):
    """The same levels and scales, for groups with weights of both signs."""
    from keras.src.quantizers.awq import awq_quantize_matrix

    from kerata.quantizers.calibrated import awq

    rng = np.random.default_rng(7)
    (w,) = weights_like([kerata.Variable(np.zeros((6, 24)), name="w")])
    largest = rng.uniform(0.01, 8.0, 24).astype("float32")
    expected = awq_quantize_matrix(w, largest, num_grid_points=10, group_size=group_size)
    levels, scales = awq(w, largest, group_size=group_size, points=10)
    for mine, other in zip((levels.values, levels.scale, levels.zero, scales, levels.groups), expected, strict=True):
        np.testing.assert_allclose(mine, np.asarray(other), rtol=1e-5)


def test_gptq_is_no_worse_than_keras():
    """Which has the inverse Hessian where the paper has its Cholesky factor."""
    from keras.src.quantizers.gptq import compute_quantization_parameters, gptq_quantize_matrix

    from kerata.quantizers.calibrated import gptq

    rng = np.random.default_rng(8)
    x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 16)) + 0.1 * rng.normal(size=(300, 16))
    w = weights_like([kerata.Variable(np.zeros((6, 16)), name="w")])[0]
    hessian = x.T @ x
    damped = hessian + 0.01 * np.mean(np.diag(hessian)) * np.eye(16)
    parameters = functools.partial(compute_quantization_parameters, bits=4, per_channel=True)
    values, scale, zero, _ = gptq_quantize_matrix(
        w, np.linalg.inv(damped).astype("float32"), compute_scale_zero=parameters
    )
    theirs = np.asarray(scale) * (np.asarray(values) - np.asarray(zero, "float32"))
    ours = gptq(w, hessian)
    np.testing.assert_allclose(ours.scale, np.asarray(scale), rtol=1e-5)
    error, expected = (np.mean((x @ (each - w).T) ** 2) for each in (ours.matrix, theirs))
    assert error < 0.9 * expected


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"activation_order": True, "group_size": 4}, {"bits": 8}])
def test_gptq_makes_up_for_its_errors(options):
    """Over inputs of low rank, the outputs are nearer than with each weight rounded by itself."""
    from kerata.quantizers.calibrated import gptq

    rng = np.random.default_rng(6)
    x = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 150)) + 0.1 * rng.normal(size=(400, 150))
    w = rng.normal(size=(20, 150))
    found = gptq(w, x.T @ x, **options)
    plain = gptq(w, np.eye(150), **options)
    error, rounded = (np.mean((x @ (each.matrix - w).T) ** 2) for each in (found, plain))
    assert error < rounded / 3
    assert np.abs(plain.matrix - w).max() <= plain.scale.max() / 2 + 1e-9 or "symmetric" in options
