"""A model is one thing on every engine: built on one, it predicts the same on all."""

import numpy as np
import pytest

import kerata
from kerata import config, errors, layers, models
from kerata import engine as engines


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
    for name in config.ENGINES:
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
