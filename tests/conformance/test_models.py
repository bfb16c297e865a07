"""A model is one thing on every engine: built on one, it predicts the same on all."""

import numpy as np
import pytest
from cases import INSTALLED

import kerata
from kerata import engine as engines
from kerata import errors, layers, models


def image_model():
    inputs = layers.Input((8, 8, 3)) if hasattr(layers, "Input") else models.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    return models.Model(inputs, layers.Dense(5, activation="softmax")(x))


IMAGES = np.random.default_rng(0).normal(size=(6, 8, 8, 3))


def test_a_model_predicts_the_same_on_every_engine(engine):
    model = image_model()
    here = model.predict(IMAGES, verbose=0)
    assert (here.shape, here.dtype) == ((6, 5), "float32")
    np.testing.assert_allclose(here.sum(-1), 1, rtol=1e-5)
    for name in INSTALLED:
        with engines.using(name):
            np.testing.assert_allclose(model.predict(IMAGES, verbose=0), here, rtol=1e-4, atol=1e-6)


def test_a_shape_is_known_before_any_data(engine):
    model = image_model()
    assert model.output.shape == (None, 5)
    assert [layer.output.shape for layer in model.layers[1:4]] == [(None, 8, 8, 4), (None, 8, 8, 4), (None, 4, 4, 4)]


def test_working_out_shapes_takes_no_memory(engine):
    """A batch of these would fill the machine."""
    inputs = kerata.KerasTensor((None, 20_000, 20_000, 3))
    assert (kerata.ops.relu(inputs) + 1.0).shape == (None, 20_000, 20_000, 3)


def test_a_model_learns_the_same_on_every_engine_that_differentiates(differentiating):
    def model():
        return kerata.Sequential(
            [
                layers.Input((6, 6, 2)),
                layers.Conv2D(3, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.AveragePooling2D(2),
                layers.Flatten(),
                layers.LayerNormalization(),
                layers.Dense(3, activation="softmax"),
            ]
        )

    x, labels = np.random.default_rng(1).normal(size=(20, 6, 6, 2)).astype("float32"), np.arange(20) % 3
    first, other = model(), model()
    other.set_weights(first.get_weights())
    courses = []
    for name, learner in (("jax", first), (differentiating, other)):
        with engines.using(name):
            learner.compile(kerata.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
            courses.append(learner.fit(x, labels, batch_size=8, epochs=3, shuffle=False, verbose=0).history)
    assert courses[1]["accuracy"] == courses[0]["accuracy"]
    np.testing.assert_allclose(courses[1]["loss"], courses[0]["loss"], rtol=1e-4)
    assert courses[1]["loss"][-1] < courses[1]["loss"][0]
    for here, there in zip(other.get_weights(), first.get_weights()):
        np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4)


def test_dropout_draws_anew_at_each_call(differentiating):
    with engines.using(differentiating):
        layer = layers.Dropout(0.5, seed=3)
        first, second = (np.asarray(layer(np.ones((50, 20), "float32"), training=True)) for _ in range(2))
        again = np.asarray(layers.Dropout(0.5, seed=3)(np.ones((50, 20), "float32"), training=True))
    assert set(np.unique(first)) == {0, 2}
    assert abs(first.mean() - 1) < 0.15
    assert (first != second).any()
    np.testing.assert_array_equal(first, again)


def test_the_numpy_engine_evaluates_and_does_not_train():
    with engines.using("numpy"):
        model = image_model()
        model.compile("sgd", "sparse_categorical_crossentropy")
        labels = np.arange(6) % 5
        expected = -np.log(model.predict(IMAGES, verbose=0)[range(6), labels]).mean()
        np.testing.assert_allclose(model.evaluate(IMAGES, labels, verbose=0), expected, rtol=1e-4)
        with pytest.raises(errors.Unsupported, match=r"set_engine\('jax'\)"):
            model.fit(IMAGES, labels, verbose=0)


def test_a_variable_keeps_its_dtype_from_engine_to_engine():
    with engines.using("numpy"):
        variable = kerata.Variable(np.arange(3.0), dtype="float64")
    for name in ("jax", "numpy", "jax"):
        with engines.using(name):
            np.testing.assert_allclose(variable.numpy(), [0, 1, 2])
    with engines.using("numpy"):
        assert variable.value.dtype == variable.dtype == "float64"


LOOPS = {
    "map": lambda x: kerata.ops.map(lambda row: row * 2, x),
    "vectorized_map": lambda x: kerata.ops.vectorized_map(lambda row: row * 2, x),
    "scan": lambda x: kerata.ops.scan(lambda total, row: (total + row, total * row), kerata.ops.zeros((3,)), x)[1],
    "associative_scan": lambda x: kerata.ops.associative_scan(lambda a, b: a + b, x, axis=1),
    "while_loop": lambda x: kerata.ops.while_loop(lambda v: kerata.ops.max(v) < 9, lambda v: (v + 1,), (x,))[0],
    "fori_loop": lambda x: kerata.ops.fori_loop(0, 3, lambda i, v: v * 2, x),
    "switch": lambda x: kerata.ops.switch(kerata.ops.argmax(x[0]), [lambda v: v, lambda v: -v, lambda v: 0 * v], x),
    "cond": lambda x: kerata.ops.cond(kerata.ops.sum(x) > 0, lambda: 1.0, lambda: 0.0) * x,
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_stands_in_the_graph_of_a_model(engine, loop):
    inputs = layers.Input((3,))
    outputs = LOOPS[loop](inputs)
    assert outputs.shape == (None, 3)
    x = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")
    got = models.Model(inputs, outputs)(engine.arrays.as_array(x))
    np.testing.assert_allclose(np.asarray(got), np.asarray(LOOPS[loop](engine.arrays.as_array(x))), rtol=1e-6)


def test_a_loop_in_a_graph_is_not_saved(engine, tmp_path):
    inputs = layers.Input((3,))
    with pytest.raises(errors.Unsupported, match="a layer of your own"):
        models.Model(inputs, LOOPS["map"](inputs)).save(tmp_path / "model.keras")
