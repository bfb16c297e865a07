"""Sequential, functional and subclassed models: how they are made, looked at, configured and copied."""

import numpy as np
import pytest

import kerata
from kerata import layers, ops


def ones(*shape):
    return np.ones(shape, "float32")


def multi():
    """Two inputs, two outputs, a shared layer, a nested model and ops straight on symbolic tensors."""
    inner_in = kerata.Input((4,))
    inner = kerata.Model(inner_in, layers.Dense(4, activation="relu", name="inner_dense")(inner_in), name="inner")
    left, right = kerata.Input((4,), name="left"), kerata.Input((4,), name="right")
    shared = layers.Dense(4, name="shared")
    a, b = shared(left), shared(right)
    joined = layers.Concatenate(name="joined")([a, inner(b)])
    scaled = ops.tanh(joined) * 2.0 + 1.0
    first = layers.Dense(3, name="first")(scaled)
    second = ops.mean(scaled, axis=-1, keepdims=True)
    return kerata.Model([left, right], {"first": first, "second": second}, name="multi")


# Sequential ---------------------------------------------------------------------------------------------------


def test_sequential_is_built_by_its_first_data_or_its_input():
    late = kerata.Sequential([layers.Dense(3), layers.Dense(2)])
    assert not late.built
    with pytest.raises(kerata.errors.KerataError):
        late.output_shape  # noqa: B018
    assert late(ones(5, 4)).shape == (5, 2)
    assert late.count_params() == 4 * 3 + 3 + 3 * 2 + 2
    early = kerata.Sequential([kerata.Input((4,)), layers.Dense(3)])
    assert early.built and early.output_shape == (None, 3)


def test_sequential_grows_and_shrinks():
    model = kerata.Sequential()
    model.add(kerata.Input((4,)))
    model.add(layers.Dense(3, name="a"))
    model.add(layers.Dense(2, name="b"))
    assert [layer.name for layer in model.layers] == ["a", "b"] and model.output_shape == (None, 2)
    model.pop()
    assert model.output_shape == (None, 3)
    with pytest.raises(kerata.errors.KerataError, match="'a'"):
        model.add(layers.Dense(2, name="a"))
    with pytest.raises(kerata.errors.KerataError):
        model.add("a layer")


def test_weights_are_named_by_where_they_live():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3, name="a")], name="net")
    assert [v.path for v in model.weights] == ["net/a/kernel", "net/a/bias"]


# Functional -----------------------------------------------------------------------------------------------------


def test_functional_computes_what_its_graph_says():
    model = multi()
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4)).astype("float32"), rng.normal(size=(5, 4)).astype("float32")
    outputs = model([x, y])
    kernel, bias = (np.asarray(w) for w in model.get_layer("shared").get_weights())
    inner_kernel, inner_bias = (np.asarray(w) for w in model.get_layer("inner").get_weights())
    joined = np.concatenate([x @ kernel + bias, np.maximum((y @ kernel + bias) @ inner_kernel + inner_bias, 0)], -1)
    scaled = np.tanh(joined) * 2 + 1
    np.testing.assert_allclose(outputs["second"], scaled.mean(-1, keepdims=True), rtol=1e-5)
    first = model.get_layer("first")
    expected = scaled @ first.get_weights()[0] + first.get_weights()[1]
    np.testing.assert_allclose(outputs["first"], expected, rtol=1e-4, atol=1e-5)
    # The shared layer and the nested model count once.
    assert len(model.trainable_variables) == 6
    assert model.input_shape == [(None, 4), (None, 4)]
    assert model.output_shape == {"first": (None, 3), "second": (None, 1)}
    by_name = model({"left": x, "right": y})
    np.testing.assert_array_equal(by_name["second"], outputs["second"])


def test_features_from_the_middle():
    image = kerata.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, name="conv")(image)
    model = kerata.Model(image, layers.Dense(2)(layers.Flatten()(x)))
    features = kerata.Model(model.inputs, model.get_layer("conv").output)
    assert features(ones(3, 8, 8, 1)).shape == (3, 6, 6, 4)
    assert features.weights[0] is model.get_layer("conv").kernel


def test_unknown_dimensions_stay_unknown():
    sequence = kerata.Input((None, 3))
    x = layers.Conv1D(5, 2, strides=2)(sequence)
    assert x.shape == (None, None, 5)
    pooled = layers.GlobalMaxPooling1D()(x)
    assert pooled.shape == (None, 5)
    model = kerata.Model(sequence, pooled)
    assert model(ones(2, 9, 3)).shape == (2, 5) and model(ones(2, 20, 3)).shape == (2, 5)


def test_a_graph_that_does_not_hang_together():
    a, b = kerata.Input((3,)), kerata.Input((3,))
    with pytest.raises(kerata.errors.KerataError, match="(?i)input"):
        kerata.Model(a, layers.Dense(2)(b))


def test_symbolic_tensors_have_no_values():
    x = kerata.Input((3,))
    for act in (lambda: bool(x[0, 0] > 0), lambda: np.asarray(x), lambda: float(x), lambda: list(x)):
        with pytest.raises(kerata.errors.InvalidType, match="symbolic"):
            act()


# Subclasses -----------------------------------------------------------------------------------------------------


class Residual(kerata.Model):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.heads = {"a": layers.Dense(1), "b": layers.Dense(2)}
        self.norm = layers.BatchNormalization()

    def call(self, x, training=False):
        for block in self.blocks:
            x = x + block(x)
        x = self.norm(x, training=training)
        return {name: head(x) for name, head in self.heads.items()}


def test_a_subclass_finds_its_layers_wherever_they_are_kept():
    model = Residual(4)
    outputs = model(ones(3, 4))
    assert outputs["a"].shape == (3, 1) and outputs["b"].shape == (3, 2)
    assert len(model.layers) == 5
    assert len(model.trainable_variables) == 2 * 2 + 2 * 2 + 2 and len(model.non_trainable_variables) == 2
    assert model.get_config()["units"] == 4
    again = Residual.from_config(model.get_config())
    assert again(ones(1, 4))["b"].shape == (1, 2)


def test_a_subclass_that_forgets_super():
    class Forgetful(kerata.Model):
        def __init__(self):
            self.dense = layers.Dense(1)

    with pytest.raises(Exception, match=r"super\(\).__init__"):
        Forgetful()(ones(1, 2))


# Looking ------------------------------------------------------------------------------------------------------


def test_summary_shows_shapes_counts_and_bytes():
    lines = []
    multi().summary(print_fn=lines.append)
    text = "\n".join(map(str, lines))
    for part in ("shared", "inner", "(None, 8)", "20", "joined"):
        assert part in text
    model = kerata.Sequential([kerata.Input((784,)), layers.Dense(10), layers.BatchNormalization()])
    lines.clear()
    model.summary(print_fn=lines.append)
    text = "\n".join(map(str, lines))
    assert "7,850" in text and "Trainable parameters: 7,870" in text and "Not trainable parameters: 20" in text
    assert "KB" in text


def test_notebooks_show_a_table():
    html = multi()._repr_html_()
    assert html.lstrip().startswith("<") and "shared" in html and "<script" not in html
    x = ones(8, 4)
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, x[:, :1], epochs=3, verbose=0)
    html = history._repr_html_()
    assert "svg" in html and "loss" in html


def test_get_layer_knows_near_misses():
    model = multi()
    assert model.get_layer(index=len(model.layers) - 1) is model.layers[-1]
    with pytest.raises(kerata.errors.UnknownName, match="did you mean 'shared'"):
        model.get_layer("shred")


# Configs ------------------------------------------------------------------------------------------------------


def test_configs_make_the_same_model_again():
    model = multi()
    again = kerata.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    x = [np.random.default_rng(0).normal(size=(3, 4)).astype("float32") for _ in range(2)]
    for name in ("first", "second"):
        np.testing.assert_array_equal(again(x)[name], model(x)[name])
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]
    text = model.to_json()
    other = kerata.models.model_from_json(text)
    assert other.to_json() == text


def test_clones_share_nothing():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3, name="a"), layers.Dropout(0.5)])
    clone = kerata.models.clone_model(model)
    assert clone.get_layer("a").kernel is not model.get_layer("a").kernel
    assert not np.array_equal(clone.get_weights()[0], model.get_weights()[0])
    wider = kerata.models.clone_model(
        model, clone_function=lambda layer: layers.Dense(5) if isinstance(layer, layers.Dense) else layer
    )
    assert wider.output_shape == (None, 5)


def test_set_weights_checks_shapes():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(3)])
    with pytest.raises(kerata.errors.KerataError, match=r"\(4, 3\)"):
        model.set_weights([ones(3, 4), ones(3)])
    with pytest.raises(kerata.errors.KerataError):
        model.set_weights([ones(4, 3)])


# Masks ---------------------------------------------------------------------------------------------------------


def test_masks_pass_through_and_reach_the_loss():
    model = kerata.Sequential(
        [
            kerata.Input((4,), dtype="int32"),
            layers.Embedding(10, 3, mask_zero=True),
            layers.Dropout(0.1),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    y = np.zeros((2, 4, 1), "float32")
    predicted = model.predict(x, verbose=0)
    kept = predicted[x != 0]
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(np.mean(kept**2)), rel=1e-5)
