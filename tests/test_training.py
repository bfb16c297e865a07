"""What `fit`, `evaluate` and `predict` promise: exact batches, equal results however the loop is cut, honest errors."""

import os
import signal
import threading

import numpy as np
import pytest

import kerata
from kerata import callbacks, layers, ops
from kerata.training import loop


def data(rows=50, features=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features)).astype("float32")
    return x, rng.integers(0, classes, rows)


def network(features=6, classes=3, seed=1, dropout=0.0):
    kerata.utils.set_random_seed(seed)
    return kerata.Sequential(
        [
            layers.Input((features,)),
            layers.Dense(8, activation="tanh"),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def compiled(optimizer="sgd", **kwargs):
    dropout, seed = kwargs.pop("dropout", 0.0), kwargs.pop("seed", 1)
    model = network(dropout=dropout, seed=seed)
    model.compile(optimizer, "sparse_categorical_crossentropy", **{"metrics": ["accuracy"], **kwargs})
    return model


def assert_same_weights(a, b, rtol=0.0):
    for v, w in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_allclose(v, w, rtol=rtol, atol=rtol)


# Exactness ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 50])
def test_a_ragged_last_batch_counts_as_what_it_is(rows):
    x, y = data(rows)
    model = compiled()
    loss, accuracy = model.evaluate(x, y, batch_size=8, verbose=0)
    probabilities = model.predict(x, batch_size=8, verbose=0)
    assert probabilities.shape == (rows, 3)
    np.testing.assert_allclose(probabilities, np.asarray(model(x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loss, -np.log(probabilities[np.arange(rows), y]).mean(), rtol=1e-5)
    np.testing.assert_allclose(accuracy, (probabilities.argmax(-1) == y).mean(), rtol=1e-6)


def test_every_row_is_trained_on_once_an_epoch():
    class Spy(kerata.Model):
        def __init__(self):
            super().__init__()
            self.seen = kerata.Variable(np.zeros(53, "int32"), trainable=False, dtype="int32")
            self.weight = kerata.Variable(1.0)

        def train_step(self, batch):
            self.seen.assign(self.seen + ops.sum(ops.one_hot(batch, 53, dtype="int32"), axis=0))
            return {"loss": ops.sum(ops.cast(batch, "float32"))}

    model = Spy()
    model.compile("sgd")
    for epoch in range(2):
        model.fit(np.arange(53), batch_size=8, verbose=0)
        np.testing.assert_array_equal(model.seen.numpy(), epoch + 1)


def test_one_step_follows_its_equation():
    x, y = data(10)
    model = compiled(kerata.optimizers.SGD(0.5))
    before = model.get_weights()
    model.fit(x, y, batch_size=10, verbose=0, shuffle=False)
    hidden = np.tanh(x @ before[0] + before[1])
    scores = np.exp(hidden @ before[2] + before[3])
    error = scores / scores.sum(1, keepdims=True) - np.eye(3)[y]
    np.testing.assert_allclose(model.get_weights()[2], before[2] - 0.5 * hidden.T @ error / 10, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(model.get_weights()[3], before[3] - 0.5 * error.mean(0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("seconds", [0.0, 1e-4, 100.0])
def test_results_do_not_depend_on_the_length_of_chunks(monkeypatch, seconds):
    x, y = data(90)
    reference = compiled("adam", dropout=0.3)
    reference_history = reference.fit(x, y, batch_size=4, epochs=3, verbose=0)
    monkeypatch.setattr(loop, "REFRESH_SECONDS", seconds)
    model = compiled("adam", dropout=0.3)
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    assert_same_weights(model, reference)
    assert history.history == reference_history.history


def test_exact_steps_give_what_chunks_give():
    x, y = data(90)
    chunked = compiled("adam", dropout=0.3)
    chunked.fit(x, y, batch_size=4, verbose=0)
    exact = compiled("adam", dropout=0.3)  # made now, so that its draws start from the same seed
    watched = []

    class Watch(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            watched.append(self.model.get_weights()[0].copy())

    exact.fit(x, y, batch_size=4, verbose=0, callbacks=[Watch()])
    assert_same_weights(chunked, exact)
    assert len(watched) == 23
    assert all(not np.array_equal(a, b) for a, b in zip(watched, watched[1:]))


def test_eager_steps_give_what_compiled_ones_give():
    x, y = data(20)
    fast, slow = compiled("adam"), compiled("adam", run_eagerly=True)
    a = fast.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    b = slow.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(fast, slow, rtol=1e-5)
    np.testing.assert_allclose(a.history["loss"], b.history["loss"], rtol=1e-5)


def test_a_seed_fixes_everything():
    x, y = data(40)
    runs = []
    for seed in (3, 3, 4):
        model = compiled("adam", dropout=0.5, seed=seed)
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
        runs.append(model.get_weights()[0])
    assert np.array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_batches_by_hand_give_what_fit_gives():
    x, y = data(24)
    a, b = compiled("adam"), compiled("adam")
    a.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    for i in range(0, 24, 8):
        last = b.train_on_batch(x[i : i + 8], y[i : i + 8], return_dict=True)
    assert_same_weights(a, b, rtol=1e-6)
    assert set(last) == {"loss", "accuracy"}
    np.testing.assert_allclose(b.test_on_batch(x, y), b.evaluate(x, y, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(b.predict_on_batch(x[:5]), b.predict(x[:5], verbose=0), rtol=1e-6)


# Weights of rows -------------------------------------------------------------------------------------------------


def test_sample_weights_of_zero_are_as_good_as_absence():
    x, y = data(32)
    weight = np.tile([1.0, 0.0], 16)
    a, b = compiled(), compiled()
    a.fit(x, y, sample_weight=weight, batch_size=32, shuffle=False, verbose=0)
    # The mean of the loss still counts the rows, so the step is half that of the rows alone.
    b.optimizer.learning_rate = 0.005
    b.fit(x[::2], y[::2], batch_size=16, shuffle=False, verbose=0)
    assert_same_weights(a, b, rtol=1e-5)


def test_class_weights_are_sample_weights():
    x, y = data(30)
    a, b = compiled(), compiled()
    a.fit(x, y, class_weight={0: 2.0, 1: 1.0, 2: 0.25}, batch_size=8, shuffle=False, verbose=0)
    b.fit(x, y, sample_weight=np.array([2.0, 1.0, 0.25])[y], batch_size=8, shuffle=False, verbose=0)
    assert_same_weights(a, b)


def test_validation_takes_the_last_rows_and_changes_nothing():
    x, y = data(50)
    a, b = compiled(), compiled()
    split = a.fit(x, y, validation_split=0.2, batch_size=8, shuffle=False, verbose=0)
    given = b.fit(x[:40], y[:40], validation_data=(x[40:], y[40:]), batch_size=8, shuffle=False, verbose=0)
    assert split.history == given.history
    assert_same_weights(a, b)
    np.testing.assert_allclose(split.history["val_loss"][-1], a.evaluate(x[40:], y[40:], verbose=0)[0], rtol=1e-6)


def test_validation_frequency():
    x, y = data(20)
    history = compiled().fit(x, y, validation_data=(x, y), epochs=4, validation_freq=2, verbose=0).history
    assert len(history["loss"]) == 4 and len(history["val_loss"]) == 2


# Sources ------------------------------------------------------------------------------------------------------


def batches(x, y, size=8):
    for i in range(0, len(x), size):
        yield x[i : i + size], y[i : i + size]


def test_a_generator_gives_what_arrays_give():
    x, y = data(44)
    a, b = compiled(), compiled()
    ours = a.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    theirs = b.fit(batches(x, y), verbose=0)
    assert_same_weights(a, b, rtol=1e-6)
    np.testing.assert_allclose(ours.history["loss"], theirs.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(b.predict(batches(x, y), verbose=0), a.predict(x, verbose=0), rtol=1e-5)


def test_an_endless_generator_goes_on_between_epochs():
    x, y = data(64)
    served = []

    def endless():
        while True:
            for batch in batches(x, y):
                served.append(len(served))
                yield batch

    history = compiled().fit(endless(), steps_per_epoch=5, epochs=3, verbose=0).history
    assert len(history["loss"]) == 3
    assert 15 <= len(served) <= 40


def test_a_generator_that_ends_early_says_so():
    x, y = data(32)
    with pytest.warns(UserWarning, match="ended after 4 of 6 steps"):
        history = compiled().fit(batches(x, y), steps_per_epoch=6, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 1


def test_an_error_in_a_generator_reaches_the_caller():
    x, y = data(32)

    def broken():
        yield x[:8], y[:8]
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match="on fire"):
        compiled().fit(broken(), verbose=0)


def test_a_loader_of_ours():
    x, y = data(44)
    loader = kerata.data.DataLoader(kerata.data.ArrayDataset(x, y), batch_size=8, shuffle=True)
    history = compiled("adam").fit(loader, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_steps_per_epoch_with_arrays():
    x, y = data(80)
    seen = []
    watch = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    compiled().fit(x, y, batch_size=8, steps_per_epoch=4, epochs=2, verbose=0, callbacks=[watch])
    assert seen == [0, 1, 2, 3] * 2


# Freedom ------------------------------------------------------------------------------------------------------


def test_a_training_step_of_ones_own():
    class Own(kerata.Sequential):
        def train_step(self, batch):
            x, y = batch

            def loss_fn():
                y_pred = self(x, training=True)
                return self.compute_loss(x, y, y_pred), y_pred

            (loss, y_pred), gradients = kerata.value_and_grad(loss_fn, self, has_aux=True)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {**self.compute_metrics(x, y, y_pred), "twice": 2 * loss}

    x, y = data(40)
    theirs = compiled("adam")
    kerata.utils.set_random_seed(1)
    own = Own([layers.Input((6,)), layers.Dense(8, activation="tanh"), layers.Dense(3, activation="softmax")])
    own.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    own.set_weights(theirs.get_weights())
    history = own.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    theirs.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(own, theirs, rtol=1e-6)
    assert "twice" in history and "accuracy" in history


def test_losses_from_layers_and_regularizers_join():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * ops.mean(ops.square(x)))
            return x

    x = np.ones((4, 2), "float32")
    model = kerata.Sequential(
        [
            layers.Input((2,)),
            Penalty(),
            layers.Dense(1, kernel_initializer="ones", kernel_regularizer=kerata.regularizers.L2(0.5), use_bias=False),
        ]
    )
    model.compile("sgd", "mse")
    assert model.evaluate(x, np.full((4, 1), 2.0), verbose=0) == pytest.approx(0.1 + 0.5 * 2)


def test_a_frozen_layer_stays():
    x, y = data(20)
    model = compiled("adam")
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert not np.array_equal(before[2], model.get_weights()[2])
    model.layers[0].trainable = True
    with pytest.raises(kerata.errors.InvalidArgument, match="compile the model anew"):
        model.fit(x, y, verbose=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], model.get_weights()[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns(policy):
    x, y = data(200)
    y = (x[:, 0] > 0).astype("int32")
    kerata.utils.set_random_seed(0)
    model = kerata.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(16, activation="relu", dtype=policy),
            layers.Dense(2, dtype=policy),
            layers.Activation("softmax", dtype="float32"),
        ]
    )
    model.dtype_policy = policy
    model.compile(kerata.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    assert all(v.dtype == "float32" for v in model.weights)
    assert model.layers[0](x[:2]).dtype == policy.removeprefix("mixed_")
    assert model.evaluate(x, y, verbose=0)[1] > 0.9
    assert isinstance(model.optimizer, kerata.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")


def test_several_outputs():
    x, y = data(40)
    inputs = kerata.Input((6,))
    hidden = layers.Dense(8, activation="relu")(inputs)
    outputs = {"kind": layers.Dense(3, name="kind")(hidden), "size": layers.Dense(1, name="size")(hidden)}
    model = kerata.Model(inputs, outputs)
    model.compile(
        "adam",
        loss={"kind": kerata.losses.SparseCategoricalCrossentropy(from_logits=True), "size": "mse"},
        loss_weights={"kind": 1.0, "size": 0.5},
        metrics={"kind": ["accuracy"]},
    )
    size = x[:, :1]
    history = model.fit(x, {"kind": y, "size": size}, epochs=2, verbose=0).history
    assert {"loss", "kind_loss", "size_loss", "kind_accuracy"} <= set(history)
    logs = model.evaluate(x, {"kind": y, "size": size}, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["kind_loss"] + 0.5 * logs["size_loss"], rel=1e-4)
    outputs = model.predict(x, verbose=0)
    assert outputs["kind"].shape == (40, 3) and outputs["size"].shape == (40, 1)


# Ends --------------------------------------------------------------------------------------------------------


def test_an_interrupt_leaves_a_whole_step_and_the_history():
    x, y = data(4000)
    model = compiled("adam")
    model.fit(x, y, batch_size=2, epochs=1, verbose=0)  # compiled now
    epochs = []

    class Note(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append(epoch)
            if epoch == 1:
                threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, batch_size=2, epochs=10_000, verbose=0, callbacks=[Note()])
    assert len(epochs) < 10_000
    steps = int(model.optimizer.iterations.numpy())
    assert steps >= 2000 * (1 + len(epochs))
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.fit(x[:10], y[:10], batch_size=2, verbose=0)  # and it goes on
    assert int(model.optimizer.iterations.numpy()) == steps + 5


def test_early_stopping_restores_the_best_weights():
    x, y = data(30)
    model = compiled(kerata.optimizers.SGD(50.0))  # it gets worse at once
    stop = callbacks.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True)
    best = []

    class Keep(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            best.append((logs["loss"], self.model.get_weights()))

    history = model.fit(x, y, epochs=50, verbose=0, callbacks=[Keep(), stop])
    losses = history.history["loss"]
    assert len(losses) == int(np.argmin(losses)) + 3
    np.testing.assert_array_equal(model.get_weights()[0], best[int(np.argmin(losses))][1][0])


def test_continuing_counts_on():
    x, y = data(20)
    model = compiled()
    model.fit(x, y, epochs=2, verbose=0)
    history = model.fit(x, y, epochs=5, initial_epoch=2, verbose=0)
    assert history.epoch == [2, 3, 4]


# Mistakes ----------------------------------------------------------------------------------------------------

MISTAKES = {
    "not compiled": (lambda m, x, y: network().fit(x, y), kerata.errors.NotCompiled, ["compile", "fit"]),
    "unequal lengths": (lambda m, x, y: m.fit(x, y[:-1]), kerata.errors.KerataError, ["50", "49"]),
    "no data": (lambda m, x, y: m.fit(x[:0], y[:0]), kerata.errors.KerataError, ["fit"]),
    "wrong last dimension": (lambda m, x, y: m.fit(x[:, :5], y), kerata.errors.KerataError, ["6", "5"]),
    "labels out of range": (lambda m, x, y: m.fit(x, y + 1), kerata.errors.KerataError, ["3", "label"]),
    "one-hot labels": (
        lambda m, x, y: m.fit(x, np.eye(3)[y]), kerata.errors.KerataError, ["categorical_crossentropy"],
    ),
    "unknown loss": (
        lambda m, x, y: m.compile("sgd", "categorical_crosentropy"), kerata.errors.UnknownName,
        ["did you mean", "categorical_crossentropy"],
    ),
    "unknown optimizer": (lambda m, x, y: m.compile("adm", "mse"), kerata.errors.UnknownName, ["adam"]),
    "no targets": (lambda m, x, y: m.fit(x), kerata.errors.KerataError, ["target"]),
    "no callback": (lambda m, x, y: m.fit(x, y, callbacks=[3]), kerata.errors.KerataError, ["callback"]),
    "bad split": (lambda m, x, y: m.fit(x, y, validation_split=1.5), kerata.errors.KerataError, ["validation_split"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_answered(name):
    act, kind, words = MISTAKES[name]
    with pytest.raises(kind) as caught:
        act(compiled(), *data())
    for word in words:
        assert word in str(caught.value) + "".join(getattr(caught.value, "__notes__", ())), caught.value


def test_the_traceback_holds_the_users_frames():
    x, y = data()
    with pytest.raises(kerata.errors.KerataError) as caught:
        compiled().fit(x[:, :5], y)
    files = [entry.path for entry in caught.traceback]
    inside = [f for f in map(str, files) if "kerata" in f and "errors.py" not in f and "tests" not in f]
    assert not inside, inside


def test_each_epoch_is_a_line(capsys):
    x, y = data()
    compiled().fit(x, y, epochs=2, verbose=2)
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 and lines[1].startswith("Epoch 2/2") and "accuracy" in lines[1]


def test_an_array_that_someone_holds_outlives_predict_and_evaluate():
    model = kerata.Sequential([kerata.layers.Input((3,)), kerata.layers.Dense(2), kerata.layers.BatchNormalization()])
    model.compile("sgd", "mse")
    x = np.ones((8, 3), "float32")
    held = [w.value for w in model.weights]
    expected = [np.array(value) for value in held]
    model.predict(x, verbose=0)
    model.evaluate(x, np.ones((8, 2), "float32"), verbose=0)
    for value, array in zip(held, expected):
        np.testing.assert_array_equal(np.asarray(value), array)
