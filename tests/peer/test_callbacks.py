"""Callbacks are called here as Keras calls them: the same hooks in the same order with the same logs."""

import os

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


def recorder(k, stops):
    """Return a callback that notes its calls, and stops what goes on as `stops` says: {hook: (batch, what)}."""
    calls = []

    class Recorder(k.callbacks.Callback):
        pass

    def hook(name):
        def record(self, *args, logs=None):
            logs = next((a for a in args if isinstance(a, dict)), logs) or {}
            calls.append((name, *(a for a in args if isinstance(a, int)), tuple(sorted(logs))))
            batch, what = stops.get(name, (None, None))
            if batch in args:
                setattr(self.model, what, True)

        return record

    for name in HOOKS:
        setattr(Recorder, name, hook(name))
    return Recorder(), calls


def model(k, optimizer="SGD", **options):
    net = k.Sequential([k.Input((4,)), k.layers.Dense(1)])
    net.compile(getattr(k.optimizers, optimizer)(0.1, **options), "mse", metrics=["mae"])
    net.set_weights([np.arange(4, dtype="float32")[:, None] / 4, np.zeros(1, "float32")])
    return net


X = np.random.default_rng(0).normal(size=(22, 4)).astype("float32")
Y = X[:, :1]
FIT = {"epochs": 2, "batch_size": 8, "verbose": 0}



def fit(**options):
    return lambda net, callbacks: net.fit(X, Y, callbacks=callbacks, **FIT | options)


def other(method):
    return lambda net, callbacks: getattr(net, method)(
        X, *[Y] * (method == "evaluate"), batch_size=8, verbose=0, callbacks=callbacks
    )


VALIDATED = {"validation_data": (X, Y)}
RUNS = {
    "fit": (fit(), {}),
    "fit with validation": (fit(validation_split=0.3), {}),
    "fit goes on": (fit(initial_epoch=1, epochs=3, validation_freq=[3], **VALIDATED), {}),
    "fit stops within an epoch": (fit(**VALIDATED), {"on_train_batch_end": (1, "stop_training")}),
    "fit stops before a batch": (fit(), {"on_train_batch_begin": (1, "stop_training")}),
    "fit stops after an epoch": (fit(), {"on_epoch_end": (0, "stop_training")}),
    "evaluate": (other("evaluate"), {}),
    "evaluate stops": (other("evaluate"), {"on_test_batch_end": (1, "stop_evaluating")}),
    "predict": (other("predict"), {}),
    "predict stops": (other("predict"), {"on_predict_batch_end": (0, "stop_predicting")}),
}


def test_calls_and_their_order():
    nets = {k: model(k) for k in (keras, kerata)}
    for name, (run, stops) in RUNS.items():
        sequences = []
        for k, net in nets.items():
            callback, calls = recorder(k, stops)
            run(net, [callback])
            sequences.append(calls)
        assert sequences[1] == sequences[0], name
        assert len(sequences[0]) >= 4


def test_lambda_callbacks_are_called_alike():
    sequences = []
    for k in (keras, kerata):
        calls = []

        def hook(name, calls=calls):
            return lambda *args, **named: calls.append((name, *map(type, args), sorted(named)))

        callback = k.callbacks.LambdaCallback(**{name: hook(name) for name in HOOKS})
        fit(**VALIDATED)(model(k), [callback])
        sequences.append(calls)
    assert sequences[1] == sequences[0]


def test_outputs_of_predict_reach_the_callbacks():
    seen = []
    note = kerata.callbacks.LambdaCallback(on_predict_batch_end=lambda batch, logs: seen.append(logs["outputs"]))
    predicted = model(kerata).predict(X, batch_size=8, verbose=0, callbacks=[note])
    np.testing.assert_array_equal(np.concatenate([np.asarray(part) for part in seen]), predicted)


def test_weights_changed_between_batches():
    """A callback sees the weights after exactly its step, and what it assigns is where the next step begins."""
    records = []
    for k in (keras, kerata):
        seen = []

        class Meddle(k.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                self.seen.append(np.array(self.model.get_weights()[0]))

            def on_train_batch_end(self, batch, logs=None):
                self.seen.append(np.array(self.model.get_weights()[0]))
                if batch == 1:
                    self.model.layers[0].kernel.assign(np.ones((4, 1), "float32"))
                    self.model.optimizer.learning_rate = 0.05

        callback = Meddle()
        callback.seen = seen
        net = model(k, momentum=0.9)
        history = net.fit(X, Y, shuffle=False, callbacks=[callback], **FIT).history
        records.append([*seen, *net.get_weights(), *map(np.array, history.values())])
    for theirs, ours in zip(*records, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(records[1][4], np.ones((4, 1)))  # what the third step saw


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


def by_hand(k, callback, net, epochs=NOISY, batches=0):
    """Play the loop, so that both see the very same numbers."""
    callback.set_model(net)
    callback.set_params({"epochs": len(epochs), "verbose": 0})
    net.stop_training = False
    callback.on_train_begin()
    for epoch, loss in enumerate(epochs):
        callback.on_epoch_begin(epoch)
        for batch in range(batches):
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, {"loss": loss + batch, "mae": 1 - loss})
        net.set_weights([np.full((4, 1), epoch, "float32"), np.zeros(1, "float32")])
        callback.on_epoch_end(epoch, {"loss": loss, "mae": 1 - loss, "val_loss": loss / 2})
        if net.stop_training:
            break
    callback.on_train_end()
    return epoch


@pytest.mark.parametrize(
    "arguments",
    [
        {"monitor": "loss", "patience": 2},
        {"monitor": "loss", "patience": 2, "start_from_epoch": 4},
        {"monitor": "val_loss", "patience": 1, "baseline": 0.1},
        {"monitor": "mae", "mode": "max", "patience": 30},
        {"monitor": "loss", "min_delta": 0.1, "patience": 3},
    ],
    ids=str,
)
def test_the_best_weights_come_back(arguments):
    found = []
    for k in (keras, kerata):
        net, callback = model(k), k.callbacks.EarlyStopping(restore_best_weights=True, **arguments)
        last = by_hand(k, callback, net)
        found.append((last, net.get_weights()[0][0, 0], callback.best_epoch, callback.stopped_epoch, callback.wait))
    assert found[1] == found[0]


CHECKPOINTS = [
    {"filepath": "m-{epoch:02d}-{val_loss:.2f}.keras"},
    {"filepath": "m.keras", "monitor": "loss", "save_best_only": True},
    {"filepath": "m-{epoch}.keras", "monitor": "loss", "save_best_only": True, "initial_value_threshold": 0.7},
    {"filepath": "m-{epoch}.weights.h5", "save_weights_only": True, "verbose": 1},
    {"filepath": "m-{epoch}.keras", "monitor": "mae", "mode": "max", "save_best_only": True},
    {"filepath": "m-{epoch}-{batch:03d}.keras", "save_freq": 5},
    {"filepath": "m-{epoch}-{batch}-{loss:.1f}.keras", "save_freq": 2, "monitor": "loss", "save_best_only": True},
    {"filepath": "m-{epoch}.keras", "monitor": "acc", "mode": "max", "save_best_only": True},
]


@pytest.mark.filterwarnings("ignore:Can save best model only", "ignore:ModelCheckpoint watches")
@pytest.mark.parametrize("arguments", CHECKPOINTS, ids=str)
def test_models_are_saved_alike(arguments, tmp_path):
    names = []
    for k in (keras, kerata):
        net, saved = model(k), []
        net.save = net.save_weights = lambda path, overwrite, saved=saved: saved.append(os.path.basename(path))
        arguments = {**arguments, "filepath": tmp_path / os.path.basename(arguments["filepath"])}
        by_hand(k, k.callbacks.ModelCheckpoint(**arguments), net, batches=3)
        names.append(saved)
    assert names[1] == names[0] and names[0]


@pytest.mark.parametrize("append, separator", [(False, ","), (True, ";")])
def test_the_lines_of_csv_files(append, separator, tmp_path):
    texts = []
    for k in (keras, kerata):
        log = k.callbacks.CSVLogger(tmp_path / f"{k.__name__}.csv", separator=separator, append=append)
        for start in (0, 2):  # a training that goes on
            log.on_train_begin()
            for epoch in range(start, start + 2):
                numbers = {"loss": 1 / (epoch + 3), "counts": np.arange(3), "name": "a,b"}
                log.on_epoch_end(epoch, numbers | ({"val_loss": np.float32(0.5)} if epoch % 2 else {}))
            log.on_train_end()
        texts.append((tmp_path / f"{k.__name__}.csv").read_bytes())
    assert texts[1] == texts[0]
    assert texts[1].count(b"epoch") == 1


def test_training_that_is_no_number():
    for k in (keras, kerata):
        net, callback = model(k), k.callbacks.TerminateOnNaN()
        callback.set_model(net)
        for loss, stopped in ((1.0, False), (np.inf, True), (np.nan, True)):
            net.stop_training = False
            callback.on_train_batch_end(0, {"loss": loss})
            assert net.stop_training is stopped
        with pytest.raises(RuntimeError):
            strict = k.callbacks.TerminateOnNaN(raise_error=True)
            strict.set_model(model(k))
            strict.on_train_batch_end(0, {"loss": np.nan})


class Crash(Exception):
    pass


def crashing(k, epoch, batch):
    """A callback that breaks training off after a batch of an epoch."""

    class Breaking(k.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_end(self, at, logs=None):
            if (self.epoch, at) == (epoch, batch):
                raise Crash

    return Breaking()


@pytest.mark.parametrize("save_freq", ["epoch", 2])
def test_a_training_that_broke_off_goes_on(save_freq, tmp_path):
    """Epochs of three batches, the fourth of them broken off after its second: both end with the same weights."""
    ends, arguments = [], {"shuffle": False, **FIT, "epochs": 5}
    for k in (keras, kerata):
        folder = tmp_path / k.__name__
        with pytest.raises(Crash):
            keep = k.callbacks.BackupAndRestore(folder, save_freq=save_freq, double_checkpoint=True)
            model(k, momentum=0.9).fit(X, Y, callbacks=[keep, crashing(k, 3, 1)], **arguments)
        assert sorted(os.listdir(folder)) == [
            f"{name}{end}" for name in ("latest.weights.h5", "training_metadata.json") for end in ("", ".bkp")
        ]
        net = model(k, momentum=0.9)
        keep = k.callbacks.BackupAndRestore(folder, save_freq=save_freq)
        history = net.fit(X, Y, callbacks=[keep], **arguments)
        assert not folder.exists()
        ends.append([np.array(history.epoch), *map(np.array, history.history.values()), *net.get_weights()])
    for theirs, ours in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert list(ends[1][0]) == [3, 4]


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_averaged_weights_are_judged(swap_on_epoch):
    ends = []
    for k in (keras, kerata):
        net, seen = model(k, use_ema=True, ema_momentum=0.7), []
        look = k.callbacks.LambdaCallback(on_epoch_end=lambda *_, net=net, seen=seen: seen.extend(net.get_weights()))
        swap = k.callbacks.SwapEMAWeights(swap_on_epoch)
        history = net.fit(X, Y, shuffle=False, validation_data=(X, Y), callbacks=[swap, look], **FIT)
        ends.append([*seen, *net.get_weights(), *map(np.array, history.history.values())])
    for theirs, ours in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
