"""Callbacks of kerata: checkpoints, progress, and what they cost the loop."""

import os

import numpy as np
import pytest

import kerata
from kerata import callbacks, layers
from kerata.callbacks.base import CallbackList

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X @ np.array([[1.0], [2.0], [-1.0], [0.5]], "float32")


def model():
    kerata.utils.set_random_seed(0)
    net = kerata.Sequential([kerata.Input((4,)), layers.Dense(1)])
    net.compile(kerata.optimizers.SGD(0.05), "mse")
    return net


def test_checkpoints_keep_the_best(tmp_path):
    net = model()
    path = tmp_path / "new" / "m-{epoch:02d}-{loss:.3f}.keras"
    history = net.fit(X, Y, epochs=3, verbose=0, callbacks=[callbacks.ModelCheckpoint(path)]).history
    names = sorted(os.listdir(tmp_path / "new"))
    assert names == [f"m-{i + 1:02d}-{loss:.3f}.keras" for i, loss in enumerate(history["loss"])]
    last = kerata.models.load_model(tmp_path / "new" / names[-1])
    np.testing.assert_allclose(last.predict(X, verbose=0), net.predict(X, verbose=0), rtol=1e-6)
    best = callbacks.ModelCheckpoint(
        tmp_path / "best.weights.h5", monitor="loss", save_best_only=True, save_weights_only=True
    )
    net.optimizer.learning_rate = 1e3  # from here on it only gets worse
    weights = []
    keep = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(net.get_weights()))
    net.fit(X, Y, epochs=3, verbose=0, callbacks=[keep, best])
    net.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(net.get_weights()[0], weights[0][0])


def test_checkpoints_by_batches(tmp_path):
    path = tmp_path / "b{batch}.weights.h5"
    saver = callbacks.ModelCheckpoint(path, save_freq=2, save_weights_only=True)
    model().fit(X, Y, batch_size=8, verbose=0, callbacks=[saver])
    assert sorted(os.listdir(tmp_path)) == ["b2.weights.h5", "b4.weights.h5"]


def test_mistakes_of_checkpoints(tmp_path):
    with pytest.raises(kerata.errors.InvalidArgument, match="weights.h5"):
        callbacks.ModelCheckpoint("m.keras", save_weights_only=True)
    with pytest.raises(kerata.errors.KerataError, match="acuracy"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint(tmp_path / "{acuracy}.keras")])
    with pytest.warns(UserWarning, match="val_loss"):
        saver = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
        model().fit(X, Y, verbose=0, callbacks=[saver])


def test_a_loss_that_is_no_number_ends_training():
    net = model()
    bad = Y.copy()
    bad[9] = np.nan
    history = net.fit(X, bad, batch_size=8, shuffle=False, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert len(history.history["loss"]) == 1


@pytest.mark.parametrize(
    "callback, exact",
    [
        (callbacks.History(), False),
        (callbacks.EarlyStopping("loss"), False),
        (callbacks.TerminateOnNaN(), False),
        (callbacks.ModelCheckpoint("m.keras"), False),
        (callbacks.ModelCheckpoint("m.keras", save_freq=5), True),
        (callbacks.LambdaCallback(on_epoch_end=print), False),
        (callbacks.LambdaCallback(on_train_batch_end=print), True),
    ],
    ids=lambda v: type(v).__name__,
)
def test_only_callbacks_that_act_between_batches_slow_the_loop(callback, exact):
    assert CallbackList([callback]).needs_exact_steps("train") is exact


def test_a_callback_may_change_the_model_between_batches():
    rates = []

    class Halve(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.model.optimizer.learning_rate = 0.1 / 2**batch
            rates.append(float(self.model.optimizer.learning_rate))

    net = model()
    net.fit(X, Y, batch_size=8, verbose=0, callbacks=[Halve()])
    assert rates == pytest.approx([0.1, 0.05, 0.025, 0.0125, 0.00625])


def test_stopping_within_an_epoch():
    seen = []

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            self.model.stop_training = batch == 2

    model().fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[Stop()])
    assert seen == [0, 1, 2]


def test_progress_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("kerata.callbacks.progress._can_redraw", lambda: True)
    model().fit(X, Y, batch_size=8, epochs=2)
    text = capsys.readouterr().out
    assert "Epoch 2/2" in text and "5/5" in text and "loss" in text


def test_progress_as_lines(capsys):
    net = model()
    net.fit(X, Y, batch_size=8, epochs=2, validation_data=(X, Y), verbose=2)
    net.predict(X[:8])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Epoch 1/2: 5 steps") and "val_loss" in lines[0]
    assert lines[2].startswith("Predicting: 1 step,")
    net.fit(X, Y, verbose=0)
    assert capsys.readouterr().out == ""
