"""Callbacks are called here as Keras calls them: the same hooks in the same order with the same logs."""

import keras
import numpy as np
import pytest

import kerata

HOOKS = [
    f"on_{mode}_{part}{edge}"
    for mode in ("train", "test", "predict", "epoch")
    for part in ("", "batch_")[: 1 if mode == "epoch" else 2]
    for edge in ("begin", "end")
]


def recorder(k):
    calls = []

    class Recorder(k.callbacks.Callback):
        pass

    def hook(name):
        def record(self, *args, logs=None):
            logs = next((a for a in args if isinstance(a, dict)), logs) or {}
            calls.append((name, *(a for a in args if isinstance(a, int)), tuple(sorted(logs))))

        return record

    for name in HOOKS:
        setattr(Recorder, name, hook(name))
    return Recorder(), calls


def model(k):
    net = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    net.compile(k.optimizers.SGD(0.1), "mse", metrics=["mae"])
    return net


X = np.random.default_rng(0).normal(size=(22, 4)).astype("float32")
Y = X[:, :1]

RUNS = {
    "fit": lambda m, c: m.fit(X, Y, epochs=2, batch_size=8, verbose=0, callbacks=c),
    "fit with validation": lambda m, c: m.fit(
        X, Y, epochs=2, batch_size=8, verbose=0, callbacks=c, validation_split=0.3
    ),
    "evaluate": lambda m, c: m.evaluate(X, Y, batch_size=8, verbose=0, callbacks=c),
    "predict": lambda m, c: m.predict(X, batch_size=8, verbose=0, callbacks=c),
}


@pytest.mark.parametrize("name", RUNS)
def test_calls_and_their_order(name):
    sequences = []
    for k in (keras, kerata):
        callback, calls = recorder(k)
        RUNS[name](model(k), [callback])
        sequences.append(calls)
    # Keras hands the outputs of `predict` to the batch hooks; here a batch's outputs stay on the device.
    theirs, ours = ([(c[0], *c[1:-1], () if "predict" in c[0] else c[-1]) for c in calls] for calls in sequences)
    assert ours == theirs


NOISY = [0.9, 0.7, 0.71, 0.69, 0.72, 0.73, 0.68, 0.75, 0.76, 0.77, 0.9, 0.91]

WATCHERS = [
    ("EarlyStopping", {"monitor": "loss", "patience": 2}),
    ("EarlyStopping", {"monitor": "loss", "patience": 3, "min_delta": 0.05}),
    ("EarlyStopping", {"monitor": "accuracy", "mode": "max", "patience": 1, "start_from_epoch": 3}),
    ("EarlyStopping", {"monitor": "loss", "patience": 2, "baseline": 0.5}),
    ("ReduceLROnPlateau", {"monitor": "loss", "patience": 2, "factor": 0.5}),
    ("ReduceLROnPlateau", {"monitor": "loss", "patience": 1, "factor": 0.1, "cooldown": 2, "min_lr": 0.005}),
    ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * 0.9}),
    ("LearningRateScheduler", {"schedule": lambda epoch: 1 / (1 + epoch)}),
]


@pytest.mark.parametrize("name, arguments", WATCHERS, ids=lambda v: str(v).partition(" at 0x")[0])
def test_watchers_decide_alike(name, arguments):
    """The loop is played by hand, so that both see the very same numbers."""
    decisions = []
    for k in (keras, kerata):
        net, callback = model(k), getattr(k.callbacks, name)(**arguments)
        callback.set_model(net)
        net.stop_training = False
        callback.on_train_begin()
        seen = []
        for epoch, loss in enumerate(NOISY):
            callback.on_epoch_begin(epoch)
            logs = {"loss": loss, "accuracy": 1 - loss}
            callback.on_epoch_end(epoch, logs)
            seen.append((net.stop_training, round(float(net.optimizer.learning_rate), 6)))
            if net.stop_training:
                break
        decisions.append(seen)
    assert decisions[0] == decisions[1]
