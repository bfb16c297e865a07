"""What `fit`, `evaluate` and `predict` promise: exact batches, equal results however the loop is cut, honest errors."""

import copy
import os
import signal
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import kerata
from kerata import callbacks, errors, layers, ops
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
    monkeypatch.setattr(loop, "STILL_SECONDS", seconds)
    model = compiled("adam", dropout=0.3)
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0)
    assert_same_weights(model, reference)
    assert history.history == reference_history.history


@pytest.mark.parametrize(
    ("seconds", "steps"), [(None, 4), (1e-9, 100), (0.01, 25), (0.05, 16), (0.1, 15), (0.4, 3), (0.9, 1), (20.0, 1)]
)
def test_a_chunk_is_short_for_the_eye_and_slow_steps_come_by_several(seconds, steps):
    block = SimpleNamespace(shape="a shape")
    program = SimpleNamespace(_seconds={"a shape": seconds})
    assert loop.Program.steps_at_once(program, block, remaining=100) == steps
    assert loop.Program.steps_at_once(program, block, remaining=1) == 1
    assert loop.Program.steps_at_once(program, SimpleNamespace(shape="another"), remaining=100) == 1


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


@pytest.fixture
def listening():
    """Python hears Ctrl-C, also where it was started in the background, with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_leaves_a_whole_step_and_the_history(listening):
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


class _PressesCtrlC:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_heard_where_python_may_not_raise_it(listening):
    x, y = data(40)
    model = compiled()
    epochs = []

    class Press(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            epochs.append(epoch)
            if epoch == 1:
                _PressesCtrlC()

    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, epochs=100, verbose=0, callbacks=[Press()])
    assert len(epochs) < 4
    hook = sys.unraisablehook
    model.fit(x, y, verbose=0)  # nothing is left of it
    assert sys.unraisablehook is hook


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


# What surrounds a step -------------------------------------------------------------------------------------------


def test_a_train_function_of_ones_own():
    class Counting(kerata.Sequential):
        def make_train_function(self, force=False):
            step = super().make_train_function(force)

            def two_batches_are_one(iterator):
                return {**step(iterator), "doubled": 2.0 * self.optimizer.iterations}

            self.train_function = two_batches_are_one
            return two_batches_are_one

    model = Counting([kerata.Input((4,)), layers.Dense(1)])
    for times in (1, 2):
        model.compile("sgd", "mse")
        history = model.fit(np.ones((12, 4)), np.ones(12), batch_size=4, epochs=2, verbose=0).history
        assert history["doubled"] == [6.0, 12.0], times
    assert model.make_train_function() is not None and model.evaluate(np.ones((4, 4)), np.ones(4), verbose=0) >= 0


def test_a_function_set_by_hand_is_what_predict_runs():
    model = kerata.Sequential([kerata.Input((4,)), layers.Dense(1, kernel_initializer="ones")])
    model.predict_function = lambda iterator: -model(next(iterator))
    np.testing.assert_allclose(model.predict(np.ones((3, 4)), verbose=0), np.full((3, 1), -4.0))


def test_add_metric_keeps_the_mean_of_an_epoch():
    class Spread(layers.Layer):
        def call(self, x):
            self.add_metric(kerata.ops.mean(x), name="spread")
            return x

    x = np.arange(12, dtype="float32")[:, None]
    model = kerata.Sequential([kerata.Input((1,)), Spread(), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(x, x, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert history["spread"] == [5.5, 5.5]
    assert model.evaluate(x[:4], x[:4], verbose=0, return_dict=True)["spread"] == 1.5
    with pytest.raises(errors.Unsupported, match="only the mean"):
        layers.Dense(1).add_metric(1.0, name="most", aggregation="max")


def test_metrics_that_layers_hold_are_logged():
    class Spread(layers.Layer):
        def __init__(self):
            super().__init__()
            self.spread = kerata.metrics.Mean(name="spread")

        def call(self, x):
            self.spread.update_state(x)
            return x

    x = np.arange(12, dtype="float32")[:, None]
    model = kerata.Sequential([kerata.Input((1,)), Spread(), layers.Dense(1)])
    model.compile("sgd", "mse")
    assert model.fit(x, x, batch_size=5, epochs=2, verbose=0).history["spread"] == [5.5, 5.5]


def test_a_compiled_model_inside_another_keeps_its_metrics_to_itself():
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    inner = kerata.Sequential([kerata.Input((3,)), layers.Dense(1)])
    inner.compile("sgd", "mse", metrics=["mae"])
    inner.fit(x, y, verbose=0)
    outer = kerata.Sequential([inner])
    outer.compile("sgd", "mse", metrics=["mae"])
    logs = outer.evaluate(x, y, verbose=0, return_dict=True)
    error = abs(float(inner.predict(x[:1], verbose=0)[0, 0]) - 1)
    assert logs == {"loss": pytest.approx(error**2, rel=1e-5), "mae": pytest.approx(error, rel=1e-5)}


def test_a_copy_trains_itself_alone():
    x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    model = kerata.Sequential([kerata.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    other = copy.deepcopy(model)
    other.fit(x, y, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert (other.get_weights()[0] != before[0]).all()


def test_a_step_of_ones_own_decides_what_its_layers_see():
    class OfNoise(kerata.Model):
        def __init__(self):
            super().__init__()
            self.generator = kerata.Sequential([kerata.Input((2,)), layers.Dense(3)])

        def call(self, noise):  # which the data of `fit` are not
            return self.generator(noise)

        def train_step(self, data):
            def loss_fn():
                return kerata.ops.mean(kerata.ops.square(data - self(kerata.ops.ones((data.shape[0], 2)))))

            loss, gradients = kerata.value_and_grad(loss_fn, self)()
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"loss": loss}

    model = OfNoise()
    model.compile(kerata.optimizers.SGD(0.3))
    losses = model.fit(np.full((16, 3), 2.0), batch_size=8, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 1e-3 < losses[0]


def numbered(count):
    i = 0
    while count is None or i < count:
        yield np.full((1, 1), i, "float32"), np.zeros((1, 1), "float32")
        i += 1


def test_a_generator_validates_every_epoch_by_the_same_batches():
    model = kerata.Sequential([kerata.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(kerata.optimizers.SGD(0.0), "mae")
    x = np.ones((4, 1))
    endless, finite = numbered(None), numbered(4)
    arguments = {"epochs": 3, "verbose": 0, "validation_data": endless, "validation_steps": 2}
    assert model.fit(x, x, **arguments).history["val_loss"] == [0.5] * 3
    assert next(endless)[0] == 2  # no more was taken than asked for
    assert model.fit(x, x, epochs=3, verbose=0, validation_data=finite).history["val_loss"] == [1.5] * 3


def test_no_more_is_taken_from_a_generator_than_asked_for():
    model = kerata.Sequential([kerata.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(kerata.optimizers.SGD(0.0), "mae")
    generator = numbered(None)
    assert model.fit(generator, steps_per_epoch=3, epochs=3, verbose=0).history["loss"] == [1.0, 4.0, 7.0]
    assert next(generator)[0] == 9
    assert model.evaluate(generator, steps=2, verbose=0) == 10.5
    np.testing.assert_array_equal(model.predict(generator, steps=2, verbose=0)[:, 0], [12, 13])
    assert next(generator)[0] == 14
