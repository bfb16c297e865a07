"""LoRA: what is added to each kind of layer, what is trained, and what files have. And what quantizing a model does."""

import numpy as np
import pytest

import kerata
from kerata import engine as engines
from kerata import layers, ops

RNG = np.random.default_rng(0)

ROWS = {
    "Dense": (lambda **k: layers.Dense(4, **k), (3, 6)),
    "EinsumDense": (lambda **k: layers.EinsumDense("btd,dhk->bthk", (None, 2, 3), bias_axes="hk", **k), (2, 3, 6)),
    "Conv1D": (lambda **k: layers.Conv1D(4, 3, padding="causal", **k), (2, 5, 3)),
    "Conv2D": (lambda **k: layers.Conv2D(4, (2, 3), groups=2, **k), (2, 4, 5, 4)),
    "Conv3D": (lambda **k: layers.Conv3D(4, 2, data_format="channels_first", **k), (1, 2, 3, 3, 3)),
    "Embedding": (lambda **k: layers.Embedding(7, 5, **k), (2, 3)),
    "ReversibleEmbedding": (lambda **k: layers.ReversibleEmbedding(7, 5, **k), (2, 3)),
}
every_row = pytest.mark.parametrize("row", ROWS)


def inputs(row):
    shape = ROWS[row][1]
    return RNG.integers(0, 7, shape) if "Embedding" in row else RNG.normal(size=shape).astype("float32")


def name_of(layer):
    return "embeddings" if hasattr(layer, "embeddings") else "kernel"


@pytest.fixture(params=["jax", "torch"])
def engine(request):
    with engines.using(request.param):
        yield request.param


@every_row
def test_the_product_is_added(row, engine):
    """The layer with LoRA is the layer whose weight is W + (α / r) A B; a file has that weight."""
    make, _ = ROWS[row]
    layer, x = make(lora_rank=2, lora_alpha=3.0), inputs(row)
    before = layer(x)
    name = name_of(layer)
    a, b = (getattr(layer, f"lora_{name}_{part}") for part in "ab")
    assert not ops.convert_to_numpy(b).any() and ops.convert_to_numpy(a).any()
    assert layer.lora_enabled and a.dtype == b.dtype == "float32"
    assert [w.name for w in layer.trainable_weights if w.name != "bias"] == [f"lora_{name}_a", f"lora_{name}_b"]

    b.assign(RNG.normal(size=b.shape))
    plain = make()
    plain.build(x.shape)
    stored = {}
    layer.save_own_variables(stored)
    plain.load_own_variables(stored)
    expected = layer.get_weights()[0] + 3 / 2 * a.numpy() @ b.numpy()
    np.testing.assert_allclose(getattr(plain, name).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(getattr(layer, name)), expected, atol=1e-5)
    found = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(found, ops.convert_to_numpy(plain(x)), atol=1e-5)
    assert np.abs(found - ops.convert_to_numpy(before)).max() > 0.01
    if row == "ReversibleEmbedding":
        vectors = RNG.normal(size=(2, 3, 5)).astype("float32")
        pair = [ops.convert_to_numpy(each(vectors, reverse=True)) for each in (layer, plain)]
        np.testing.assert_allclose(*pair, atol=1e-5)

    layer.load_own_variables(stored)  # what was learned is in the weight now
    assert not b.numpy().any()
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), found, atol=1e-5)


@every_row
def test_config(row):
    make, shape = ROWS[row]
    layer = make()
    layer.build(shape)
    assert not {"lora_rank", "lora_alpha"} & layer.get_config().keys()
    layer.enable_lora(2)
    config = layer.get_config()
    assert (config["lora_rank"], config["lora_alpha"]) == (2, 2)
    again = type(layer).from_config(config)
    again.build(shape)
    assert again.get_config() == config
    assert [w.shape for w in again.weights] == [w.shape for w in layer.weights]
    layer.trainable = False
    layer.trainable = True
    assert all("lora" in w.name or w.name == "bias" for w in layer.trainable_weights)


@pytest.mark.parametrize("wrong, message", [
    (lambda: layers.Dense(2).enable_lora(1), "no weights yet"),
    (lambda: built(layers.Dense(2, lora_rank=1)).enable_lora(1), "enabled already"),
    (lambda: built(layers.Dense(2, lora_rank=1, kernel_constraint="non_neg")), "constraint"),
    (lambda: built(layers.Conv1D(2, 1, lora_rank=1, kernel_constraint="non_neg")), "constraint"),
])  # fmt: skip
def test_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def built(layer):
    layer.build((None, 3, 3)[: 3 if "Conv" in type(layer).__name__ else 2])
    return layer


# Training and quantizing a model ----------------------------------------------------------------------------------


def blobs():
    rng = np.random.default_rng(3)
    centres = 3 * rng.normal(size=(4, 16))
    y = rng.integers(0, 4, 512)
    return (centres[y] + rng.normal(size=(512, 16))).astype("float32"), y


def classifier():
    kerata.utils.set_random_seed(1)
    model = kerata.Sequential([
        layers.Input((16,)), layers.Dense(64, activation="relu"), layers.Dense(64, activation="relu"), layers.Dense(4)
    ])  # fmt: skip
    compiled(model)
    return model


def compiled(model):
    loss = kerata.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(kerata.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return model


def test_fine_tuning_leaves_the_weights_alone():
    x, y = blobs()
    model = classifier()
    for layer in model.layers:
        layer.enable_lora(4)
    frozen = [layer._kernel.numpy() for layer in model.layers]
    before = model.evaluate(x, y, verbose=0)[0]
    compiled(model).fit(x, y, epochs=3, verbose=0)
    assert model.evaluate(x, y, verbose=0)[0] < before / 2
    for layer, kernel in zip(model.layers, frozen):
        np.testing.assert_array_equal(layer._kernel.numpy(), kernel)


# 5,376 weights, 132 channels with a bias and a scale; 4 bits have a zero for each channel, and 144 numbers of groups.
BYTES = {
    None: 4 * 5376 + 4 * 132, "int8": 5376 + 2 * 4 * 132, "int4": 5376 // 2 + (2 * 4 + 1) * 132 + 4 * 144,
}  # fmt: skip


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_a_quantized_model_is_smaller_and_nearly_as_good(mode, tmp_path):
    x, y = blobs()
    model = classifier()
    model.fit(x, y, epochs=2, verbose=0)
    accuracy = model.evaluate(x, y, verbose=0)[1]
    assert accuracy > 0.95 and sum(w.numpy().nbytes for w in model.weights) == BYTES[None]
    model.quantize(mode)
    assert {layer.quantization_mode for layer in model.layers} == {mode}
    found = compiled(model).evaluate(x, y, verbose=0)[1]
    assert found > accuracy - 0.02
    if mode in BYTES:
        assert sum(w.numpy().nbytes for w in model.weights) == BYTES[mode]
    model.save(tmp_path / "small.keras")
    loaded = kerata.saving.load_model(tmp_path / "small.keras")
    assert loaded.evaluate(x, y, verbose=0)[1] == found
    model.fit(x, y, epochs=1, verbose=0)  # the biases alone for whole numbers; everything for float8
    assert model.evaluate(x, y, verbose=0)[1] > accuracy - 0.02
    if mode == "float8":
        history = model.layers[0].inputs_amax_history.numpy()
        assert history.max() == pytest.approx(np.abs(x).max()) and model.layers[0].inputs_scale.numpy() != 1


def test_filters_and_refusals():
    def fresh():
        return kerata.Sequential([
            layers.Input((4, 3)), layers.Dense(3, name="one"), layers.Dense(3, name="two"), layers.LayerNormalization()
        ])  # fmt: skip

    for filters, expected in ((None, "int8 int8"), ("one", "int8 None"), (["x", "t.o"], "None int8"),
                              (lambda layer: layer.name == "two", "None int8")):  # fmt: skip
        model = fresh()
        if filters is None:
            with pytest.warns(UserWarning, match="cannot be quantized"):
                model.quantize("int8")
        else:
            model.layers[2].name = "no match"
            model.quantize("int8", filters=filters)
        assert " ".join(str(layer.quantization_mode) for layer in model.layers[:2]) == expected
    layer = model.layers[1]
    int8 = kerata.quantizers.Int8QuantizationConfig()
    for wrong in ({"mode": "int8"}, {"mode": "int3"}, {}, {"mode": "gptq"}, {"mode": "int4", "config": int8}):
        with pytest.raises(ValueError):
            layer.quantize(**wrong)
    with pytest.raises(ValueError, match="no weights yet"):
        layers.Dense(2).quantize("int8")
    with pytest.raises(NotImplementedError):
        built(type("Mine", (layers.Dense,), {})(2)).quantize("int8")
    with pytest.raises(NotImplementedError):
        model = layers.Embedding(3, 2)
        model.build()
        model.quantize("float8")


def test_setting_the_policy_quantizes():
    layer = built(layers.Dense(3))
    layer.dtype_policy = "int4/2_from_float32"
    assert layer.kernel_scale.shape == (2, 3) and layer._kernel.shape == (3, 2) and layer.kernel.shape == (3, 3)
    policies = kerata.dtype_policies.DTypePolicyMap("float32", {"a": "int8_from_mixed_bfloat16"})
    a, b = (layers.Dense(3, dtype=policies, name=name) for name in "ab")
    assert (built(a).quantization_mode, built(b).quantization_mode) == ("int8", None)
    assert a(np.ones((1, 3), "float32")).dtype == "bfloat16" and a.kernel_scale.dtype == "float32"
    assert dict(policies) == {"a": a.dtype_policy}


def test_groups_without_a_zero_keep_their_values():
    """Where all weights of a group are positive, say; the plain formula would cut most of them off."""
    x = np.linspace(0.5, 1.0, 8, dtype="float32")[:, None]
    q, scale, zero = kerata.quantizers.abs_max_quantize_grouped_with_zero_point(x, 8)
    found = (np.asarray(q, "float32") - np.asarray(zero)) * np.asarray(scale)
    assert np.abs(found - x).max() <= float(scale[0, 0]) / 2 + 1e-6
