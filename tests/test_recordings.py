"""Recorded steps on PyTorch: they give what the steps in Python give, and only where these would do the same again."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import kerata
from kerata import engine, layers
from kerata.training.recordings import STEPS_BEFORE, settings_of

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def torch_engine():
    with engine.using("torch"):
        yield


def dense():
    return kerata.Sequential([layers.Input((6,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])


def convolutional():
    inputs = x = layers.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, activation="relu")(x)
    x = layers.BatchNormalization()(layers.MaxPooling2D()(x))
    y = layers.ReLU()(layers.Conv2D(4, 1, use_bias=False)(x))
    x = layers.Dropout(0.3)(layers.Flatten()(layers.add([x, y])))
    return kerata.Model(inputs, layers.Dense(3, "softmax")(x))


def attentive():
    inputs = x = layers.Input((5,), dtype="int32")
    x = layers.Embedding(6, 8)(x)
    x = layers.add([x, layers.MultiHeadAttention(2, 4)(layers.LayerNormalization()(x), x, use_causal_mask=True)])
    x = layers.Dense(8, "gelu")(x)
    return kerata.Model(inputs, layers.Dense(3, "softmax")(layers.GlobalAveragePooling1D()(x)))


def recurrent():
    inputs = layers.Input((5,), dtype="int32")
    x = layers.Embedding(6, 32)(inputs)  # wide: whether ids exist is asked before their rows are chosen
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    return kerata.Model(inputs, layers.Dense(3, "softmax")(layers.LSTM(4)(x)))


def accumulating():
    return kerata.optimizers.Adam(0.01, gradient_accumulation_steps=3)


def data(model, count=160):
    random, shape = np.random.default_rng(0), model.input_shape[1:]
    x = random.integers(0, 6, (count, *shape)) if model.inputs[0].dtype == "int32" else random.random((count, *shape))
    return x.astype(model.inputs[0].dtype), random.integers(0, 3, count)


def trained(make, optimizer, jit_compile, epochs=3):
    kerata.utils.set_random_seed(1)
    model, optimizer = make(), optimizer() if callable(optimizer) else optimizer
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
    x, y = data(model)
    history = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0).history
    return model, history, model.predict(x[:32], verbose=0, batch_size=2)


def recordings(model):
    return [kept for program in model._programs.values() for kept in program._recordings._kept.values()]


# A bias before a normalization has no gradient but rounding errors, which Adam would make steps of.
ROWS = [(dense, "adam"), (convolutional, "sgd"), (attentive, "adam"), (recurrent, "adam"), (dense, accumulating)]


@pytest.mark.parametrize(("make", "optimizer"), ROWS)
def test_recorded_steps_give_what_python_gives(make, optimizer):
    model, history, scores = trained(make, optimizer, "auto")
    expected, history_in_python, expected_scores = trained(make, optimizer, False)
    assert [bool(made) for _, made in recordings(model)] == [True, True]  # of training and of prediction
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)
    for name, values in history.items():
        np.testing.assert_allclose(values, history_in_python[name], rtol=1e-4)
    for weight, other in zip(model.weights, expected.weights):
        np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-4, atol=2e-5, err_msg=weight.path)


def test_a_setting_that_changes_is_seen():
    model, *_ = trained(convolutional, "sgd", "auto")
    x, y = data(model)
    (dropout,) = (layer for layer in model.layers if isinstance(layer, layers.Dropout))
    dropout.rate = 1.0 - 1e-9  # all is dropped: only the last bias is learned
    kernel = model.layers[-1].kernel.numpy()
    model.fit(x, y, batch_size=16, verbose=0)
    np.testing.assert_array_equal(model.layers[-1].kernel.numpy(), kernel)


def test_weights_that_are_set_or_frozen_are_seen():
    model, *_ = trained(dense, "adam", "auto")
    x, y = data(model)
    model.layers[-1].set_weights([np.zeros((8, 3)), np.zeros(3)])
    np.testing.assert_allclose(model.predict(x, verbose=0, batch_size=2), 1 / 3, rtol=1e-6)
    model.layers[0].trainable = False
    kernel = model.layers[0].kernel.numpy()
    model.fit(x, y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), kernel)
    assert np.any(model.layers[-1].kernel.numpy())


class Counting(layers.Layer):
    calls = 0

    def call(self, x):
        Counting.calls += 1
        return x


@pytest.mark.parametrize("foreign", [Counting(), layers.Lambda(lambda x: x), layers.Dense(3, lambda x: x)])
def test_what_a_user_wrote_is_run_each_time(foreign):
    def make():
        return kerata.Sequential([layers.Input((6,)), foreign, layers.Dense(3, "softmax")])

    Counting.calls = 0
    model, *_ = trained(make, "sgd", "auto")
    assert settings_of(model) is None and not any(made for _, made in recordings(model))
    if isinstance(foreign, Counting):
        assert Counting.calls >= 30 + 16  # steps of three epochs, batches of a prediction


def test_a_bias_that_adds_an_axis_keeps_it():
    x, kernel, bias = (np.random.default_rng(0).random(shape, "float32") for shape in ((4, 2), (2, 3), (3,)))

    def biased(x, kernel, bias):
        return kerata.ops.matmul(x, kernel) + kerata.ops.reshape(bias, (1, 1, 3))

    run = engine.transforms.record(biased, *map(kerata.ops.convert_to_tensor, (x, kernel, bias)))
    result = run(*map(kerata.ops.convert_to_tensor, (x, kernel, bias)))
    assert result.shape == (1, 4, 3)
    np.testing.assert_allclose(result[0], x @ kernel + bias, rtol=1e-6)


def test_loops_and_values_are_run_in_python():
    def make():
        return kerata.Sequential([layers.Input((6, 2)), layers.SimpleRNN(4), layers.Dense(3, "softmax")])

    model, *_ = trained(make, "sgd", "auto")
    assert not any(made for _, made in recordings(model))


def test_ctrl_c_leaves_a_whole_step():
    model, *_ = trained(dense, "sgd", "auto")
    (program,) = (p for p in model._programs.values() if p._learns)
    run, places = program._recordings._kept[16][1]
    steps = 0

    def interrupted(*args):
        nonlocal steps
        steps += 1
        if steps == STEPS_BEFORE:
            raise KeyboardInterrupt
        return run(*args)

    program._recordings._kept[16] = program._recordings._kept[16][0], (interrupted, places)
    before = int(model.optimizer.iterations)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data(model), batch_size=16, verbose=0)
    assert int(model.optimizer.iterations) == before + STEPS_BEFORE - 1


def test_ids_that_are_not_there_give_nan_in_a_recording_too():
    model, *_ = trained(recurrent, "adam", "auto")
    assert all(made for _, made in recordings(model))
    x, _ = data(model)
    x[-1, 2] = 6
    scores = model.predict(x, verbose=0, batch_size=2)
    assert np.isnan(scores[-1]).all() and not np.isnan(scores[:-2]).any()


def test_a_recording_writes_into_no_weight_that_somebody_may_hold():
    model, *_ = trained(recurrent, "adam", "auto")
    held = [weight.value.detach() for weight in model.trainable_weights]
    before = [tensor.clone() for tensor in held]
    model.fit(*data(model), batch_size=16, verbose=0)
    for tensor, old, weight in zip(held, before, model.trainable_weights, strict=True):
        assert (tensor == old).all() and not (weight.value == old).all()


def test_large_blocks_are_kept_for_recorded_steps_alone(monkeypatch):
    kept = []

    @contextlib.contextmanager
    def noted():
        kept.append("begins")
        yield
        kept.append("ends")

    monkeypatch.setattr("kerata.training.loop.large_blocks_kept", noted)
    model = dense()
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.ones((16, 6), "float32"), np.zeros(16)
    model.fit(x, y, batch_size=2, verbose=0)  # eight steps in Python: batches may be of another shape each time
    assert not kept
    model.fit(x, y, batch_size=2, verbose=0)
    assert kept and kept == ["begins", "ends"] * (len(kept) // 2)
