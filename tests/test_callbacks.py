"""Callbacks of kerata: checkpoints, progress, and what they cost the loop."""

import http.server
import io
import json
import os
import sys
import threading
import types
import urllib.parse

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def
from tensorboard.plugins.projector import projector_plugin
from tensorboard.util.tensor_util import make_ndarray

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
        (callbacks.TensorBoard(), False),
        (callbacks.TensorBoard(update_freq=3), False),
        (callbacks.TensorBoard(update_freq="batch", write_steps_per_second=True), True),
        (callbacks.TensorBoard(profile_batch=2), True),
        (callbacks.BackupAndRestore("backup"), False),
        (callbacks.BackupAndRestore("backup", save_freq=3), True),
        (callbacks.SwapEMAWeights(), False),
        (callbacks.WandbLogger(log_freq="batch"), False),
        (type("Own", (callbacks.ModelCheckpoint,), {"on_train_batch_end": lambda *a: None})("m.keras"), True),
        (type("Own", (callbacks.TerminateOnNaN,), {"on_batch_end": lambda *a: None})(), True),
        (type("Own", (callbacks.TerminateOnNaN,), {"on_epoch_end": lambda *a: None})(), False),
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
    later = CallbackList([])
    later.append(callback)
    assert later.needs_exact_steps("train") is exact


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


# A training that goes on -----------------------------------------------------------------------------------------


def deep():
    kerata.utils.set_random_seed(3)
    net = kerata.Sequential([kerata.Input((4,)), layers.Dense(8, "tanh"), layers.Dropout(0.5), layers.Dense(1)])
    net.compile(kerata.optimizers.SGD(0.05, momentum=0.9), "mse")
    return net


def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(tmp_path):
    """Shuffled rows, dropout and momentum: all go on as they would have."""
    whole, arguments = deep(), {"batch_size": 20, "epochs": 4, "verbose": 0}
    losses = whole.fit(X, Y, **arguments).history["loss"]

    def crash(epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep = [callbacks.BackupAndRestore(tmp_path / "b"), callbacks.LambdaCallback(on_epoch_begin=crash)]
        deep().fit(X, Y, callbacks=keep, **arguments)
    (tmp_path / "b" / "mine.txt").write_text("stays")
    net = deep()
    keep = callbacks.BackupAndRestore(tmp_path / "b")
    history = net.fit(X, Y, callbacks=[keep], **arguments)
    assert history.epoch == [2, 3]
    assert history.history["loss"] == losses[2:]
    for ours, theirs in zip(net.get_weights(), whole.get_weights()):
        np.testing.assert_array_equal(ours, theirs)
    assert os.listdir(tmp_path / "b") == ["mine.txt"]
    assert net.fit(X, Y, **arguments).epoch == [0, 1, 2, 3]  # what was put back holds for one fit


def test_the_backup_before_a_damaged_one(tmp_path):
    net = model()
    keep = callbacks.BackupAndRestore(tmp_path, double_checkpoint=True, delete_checkpoint=False)
    net.fit(X, Y, epochs=3, verbose=0, callbacks=[keep])
    (tmp_path / "latest.weights.h5").write_bytes(b"cut")
    assert net.fit(X, Y, epochs=3, verbose=0, callbacks=[keep]).epoch == [2]
    (tmp_path / "latest.weights.h5.bkp").unlink()
    (tmp_path / "latest.weights.h5").write_bytes(b"cut")
    with pytest.raises(kerata.errors.KerataError, match="latest.weights.h5"):
        net.fit(X, Y, epochs=3, verbose=0, callbacks=[keep])


def test_averages_and_the_end_of_a_training():
    """However training ends, the model keeps the average; and its own weights come back after `predict`."""
    net = model()
    net.compile(kerata.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9), "mse")
    swap = callbacks.SwapEMAWeights(swap_on_epoch=True)
    stop = callbacks.LambdaCallback(on_epoch_end=lambda *_: setattr(net, "stop_training", True))
    averages = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda *_: averages.append(net.get_weights()[0]))
    net.fit(X, Y, batch_size=8, epochs=9, verbose=0, callbacks=[swap, stop, look])
    np.testing.assert_array_equal(net.get_weights()[0], averages[0])
    own = np.ones((4, 1), "float32")
    net.layers[0].kernel.assign(own)
    seen = net.predict(X, verbose=0, callbacks=[swap])
    np.testing.assert_allclose(seen, X @ averages[0] + net.get_weights()[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.get_weights()[0], own)
    with pytest.raises(ValueError, match="use_ema=True"):
        model().evaluate(X, Y, verbose=0, callbacks=[callbacks.SwapEMAWeights()])


def test_averages_where_weights_change_in_place(tmp_path):
    with kerata.engine.using("torch"):
        net = model()
        net.compile(kerata.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9), "mse")
        own, seen, outputs = [], [], []
        look = callbacks.LambdaCallback(
            on_epoch_begin=lambda *_: own.append(net.get_weights()[0].copy()),
            on_train_batch_begin=lambda batch, logs: own.append(net.get_weights()[0].copy()),
            on_epoch_end=lambda *_: seen.append(net.get_weights()[0].copy()),
            on_predict_batch_end=lambda batch, logs: outputs.append(logs["outputs"].numpy()),
        )
        board = callbacks.TensorBoard(tmp_path, histogram_freq=1, profile_batch=2)
        swap = callbacks.SwapEMAWeights(swap_on_epoch=True)
        net.fit(X, Y, batch_size=20, epochs=2, verbose=0, callbacks=[swap, board, look])
        predicted = net.predict(X, batch_size=20, verbose=0, callbacks=[look])
    np.testing.assert_array_equal(own[3], own[4])  # the second epoch begins with the weights themselves
    assert abs(own[3] - seen[0]).min() > 1e-3
    np.testing.assert_array_equal(net.get_weights()[0], seen[1])
    np.testing.assert_array_equal(np.concatenate(outputs), predicted)
    assert list((tmp_path / "train").glob("*.pt.trace.json"))


def test_rates_of_several_optimizers():
    net = model()
    fast = kerata.optimizers.SGD(0.1, name="fast")
    table = kerata.optimizers.OptimizerMap(kerata.optimizers.SGD(0.2, name="slow"), {".*kernel": fast})
    net.compile(kerata.optimizers.MultiOptimizer(table), "mse")
    history = net.fit(X, Y, epochs=3, verbose=0, callbacks=[
        callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate),
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1e9, factor=0.5),
    ]).history  # fmt: skip
    assert history["learning_rate_fast"] == pytest.approx([0.1, 0.05, 0.0125])
    assert history["learning_rate_slow"] == pytest.approx([0.2, 0.1, 0.025])


# Numbers that go elsewhere ---------------------------------------------------------------------------------------


def test_a_server_hears_of_each_epoch():
    heard = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            heard.append((self.path, self.headers["Content-Type"], self.headers["X-Key"], body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    logs = {"loss": np.float32(0.5), "counts": np.arange(2)}
    callbacks.RemoteMonitor(root, headers={"X-Key": "7"}).on_epoch_end(3, logs)
    callbacks.RemoteMonitor(root, "/in", send_as_json=True).on_epoch_end(4, logs)
    server.shutdown()
    server.server_close()
    (path, kind, key, form), (path_2, kind_2, _, text) = heard
    assert (path, kind, key) == ("/publish/epoch/end/", "application/x-www-form-urlencoded", "7")
    assert json.loads(urllib.parse.parse_qs(form)["data"][0]) == {"epoch": 3, "loss": 0.5, "counts": [0, 1]}
    assert (path_2, kind_2, json.loads(text)["epoch"]) == ("/in", "application/json", 4)
    with pytest.warns(UserWarning, match=root):  # nobody listens any more
        callbacks.RemoteMonitor(root).on_epoch_end(5, logs)


def test_a_csv_file_of_a_training(tmp_path):
    history = model().fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(tmp_path / "log.csv")]).history
    table = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)
    assert table["loss"].tolist() == pytest.approx(history["loss"])
    assert np.isnan(table["val_loss"]).all()


# TensorBoard -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """One training with everything switched on, and what TensorBoard reads of it."""
    logs = tmp_path_factory.mktemp("logs")
    (logs / "words.tsv").write_text("a\nb\nc\nd\ne\n")
    kerata.utils.set_random_seed(0)
    words = kerata.Input((2,), dtype="int32", name="words")
    inner = kerata.Sequential([kerata.Input((4,)), layers.Dense(4, name="twice")], name="inner")
    x = layers.Flatten(name="flatten")(layers.Embedding(5, 2, name="table")(words))
    net = kerata.Model(words, layers.Dense(1, name="out")(inner(inner(x)) + x))
    net.compile("adam", "mse", metrics=["mae"])
    callback = callbacks.TensorBoard(
        logs, histogram_freq=2, write_images=True, write_steps_per_second=True, update_freq=2, profile_batch=(2, 3),
        embeddings_freq=1, embeddings_metadata={"table": "words.tsv"},
    )  # fmt: skip
    weights = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda *_: weights.append([w.numpy().copy() for w in net.weights]))
    batches = []
    note = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: batches.append(logs["loss"]))
    x, y = np.arange(40).reshape(20, 2) % 5, np.ones((20, 1))
    history = net.fit(
        x, y, batch_size=4, epochs=3, verbose=0, callbacks=[callback, look, note], validation_data=(x, y)
    ).history
    callback.summary.text("note", "*words*", step=0)
    callback.summary.close()
    runs = {run: EventAccumulator(str(logs / run), size_guidance={"tensors": 0}) for run in ("train", "validation")}
    for run in runs.values():
        run.Reload()
    return types.SimpleNamespace(net=net, logs=logs, runs=runs, history=history, weights=weights, batches=batches)


def read(run, tag):
    return {event.step: make_ndarray(event.tensor_proto) for event in run.Tensors(tag)}


def plugin(run, tag):
    return run.SummaryMetadata(tag).plugin_data.plugin_name


def test_scalars_of_tensorboard(board):
    train, validation = board.runs["train"], board.runs["validation"]
    for name, run, tag in [
        ("loss", train, "epoch_loss"), ("mae", train, "epoch_mae"), ("val_loss", validation, "epoch_loss"),
    ]:  # fmt: skip
        found = read(run, tag)
        assert list(found) == [0, 1, 2] and plugin(run, tag) == "scalars"
        np.testing.assert_allclose([found[i] for i in range(3)], board.history[name], rtol=1e-6)
    assert read(train, "epoch_learning_rate")[2] == pytest.approx(1e-3)
    batches = read(train, "batch_loss")
    assert list(batches) == [2, 4, 6, 8, 10, 12, 14]
    np.testing.assert_allclose(list(batches.values()), board.batches[1::2], rtol=1e-6)
    assert min(read(train, "batch_steps_per_second").values()) > 0
    assert min(read(train, "epoch_steps_per_second").values()) > 0
    found = read(validation, "evaluation_mae_vs_iterations")
    assert list(found) == [5, 10, 15]
    np.testing.assert_allclose(list(found.values()), board.history["val_mae"], rtol=1e-6)
    assert read(train, "note")[0] == b"*words*"


def test_histograms_and_images_of_tensorboard(board):
    train = board.runs["train"]
    for i, weight in enumerate(board.net.weights):
        tag = f"{weight.path}/histogram"
        found = read(train, tag)
        assert list(found) == [0, 2] and plugin(train, tag) == "histograms"
        for epoch, buckets in found.items():
            values = board.weights[epoch][i].ravel()
            assert buckets.shape == (30, 3) and buckets[:, 2].sum() == values.size
            assert (buckets[0, 0], buckets[-1, 1]) == pytest.approx((values.min(), values.max()))
            inside = [((values >= low) & (values < high)).sum() for low, high, _ in buckets[:-1]]
            if values.min() < values.max():
                np.testing.assert_array_equal(buckets[:-1, 2], inside)
    images = read(train, "table/embeddings/image")
    width, height, png = images[2]
    kernel = board.weights[2][0].T
    shades = (kernel - kernel.min()) / np.ptp(kernel) * 255
    assert plugin(train, "table/embeddings/image") == "images" and (int(width), int(height)) == (5, 2)
    np.testing.assert_allclose(np.asarray(Image.open(io.BytesIO(png))), shades, atol=0.51)


@pytest.mark.parametrize(
    "shape, images",
    [((3,), (1, 1, 3, 1)), ((5, 2), (1, 2, 5, 1)), ((1, 4, 3), (1, 3, 4, 1)), ((2, 3, 6), (6, 2, 3, 1)),
     ((5, 5, 3, 8), (8, 5, 5, 3)), ((3, 3, 16, 8), None), ((), None)],
    ids=str,
)  # fmt: skip
def test_weights_as_images(shape, images):
    from kerata.callbacks.event_files import as_images

    found = as_images(np.arange(np.prod(shape, dtype=int)).reshape(shape))
    assert found is None if images is None else (found.shape, found.min(), found.max()) == (images, 0, 1)


def test_graph_of_tensorboard(board):
    train = board.runs["train"]
    nodes = {node.name: (node.op, list(node.input)) for node in train.Graph().node}
    assert nodes["table"] == ("Embedding", ["words"])
    assert nodes["inner/twice"] == ("Dense", ["flatten"])
    assert nodes["inner/twice_call_1"] == ("Dense", ["inner/twice"])
    assert nodes[nodes["out"][1][0]][1] == ["inner/twice_call_1", "flatten"]
    assert plugin(train, "keras") == "graph_keras_model"
    concept = keras_model_to_graph_def(json.loads(read(train, "keras")[0].item()))
    assert {node.name.rpartition("/")[2] for node in concept.node} >= {"words", "table", "twice", "out"}


def test_embeddings_and_profile_of_tensorboard(board):
    reader = projector_plugin.ProjectorPlugin(types.SimpleNamespace(logdir=str(board.logs), data_provider=None))
    configs, _ = reader._read_latest_config_files([(".", str(board.logs))])
    (entry,) = configs["."].embeddings
    assert (entry.tensor_name, entry.metadata_path) == ("table", "words.tsv")
    table = projector_plugin._read_tensor_tsv_file(str(board.logs / entry.tensor_path))
    np.testing.assert_allclose(table, board.weights[-1][0], rtol=1e-6)
    assert list(entry.tensor_shape) == [5, 2]
    assert list((board.logs / "train" / "plugins" / "profile").glob("*/*.xplane.pb"))


def test_mistakes_with_tensorboard(tmp_path, monkeypatch):
    for wrong in (-1, (3, 2), "a", (1, 2, 3), None):
        with pytest.raises(ValueError, match="profile_batch"):
            callbacks.TensorBoard(tmp_path, profile_batch=wrong)
    with pytest.raises(ValueError, match="update_freq"):
        callbacks.TensorBoard(tmp_path, update_freq=0)
    with pytest.raises(ValueError, match="Embedding layer named 'tabel'"):
        callbacks.TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata={"tabel": "x.tsv"}).set_model(model())
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        model().fit(X, Y, verbose=0, callbacks=[callbacks.TensorBoard(tmp_path)])


# Pictures and trackers -------------------------------------------------------------------------------------------


def test_curves_in_a_file_and_in_a_notebook(tmp_path, monkeypatch):
    def crash(epoch, logs=None):
        if epoch == 2:
            raise ZeroDivisionError

    path, net = tmp_path / "new" / "curves.png", model()
    with pytest.raises(ZeroDivisionError):
        drawn = [callbacks.Plot(path), callbacks.LambdaCallback(on_epoch_begin=crash)]
        net.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), validation_freq=2, callbacks=drawn)
    assert np.asarray(Image.open(path)).std() > 1  # what was there until the error

    shown = []

    class Handle:
        update = shown.append

    def display(figure, display_id):
        shown.append(figure)
        return Handle

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    notebook = types.ModuleType("IPython.display")
    notebook.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.chdir(tmp_path)
    history = net.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=[callbacks.Plot(every=2)]).history
    assert len(shown) == 2 and os.listdir(tmp_path) == ["new"]
    (panel,) = shown[-1].axes
    lines = {line.get_label(): line.get_data() for line in panel.lines}
    np.testing.assert_array_equal(lines["validation"], [[1, 2, 3], history["val_loss"]])
    np.testing.assert_array_equal(lines["training"][1], history["loss"])


def stand_in_mlflow(calls):
    module = types.ModuleType("mlflow")
    module.active_run = lambda: None
    for name in ("set_experiment", "start_run", "log_params", "log_metrics", "end_run"):
        setattr(module, name, lambda *a, name=name, **k: calls.append((name, a, k)))
    return module


def stand_in_wandb(calls):
    def note(name):
        return lambda *a, **k: calls.append((name, a, k))

    run = types.SimpleNamespace(
        config=types.SimpleNamespace(update=note("config")), define_metric=note("define_metric"), log=note("log"),
        finish=note("finish"),
    )  # fmt: skip
    module = types.ModuleType("wandb")
    module.run = None
    module.init = lambda **k: calls.append(("init", (), k)) or run
    return module


def test_runs_of_mlflow(monkeypatch):
    with monkeypatch.context() as missing, pytest.raises(ImportError, match="pip install mlflow"):
        missing.setitem(sys.modules, "mlflow", None)
        model().fit(X, Y, verbose=0, callbacks=[callbacks.MLflowLogger()])
    calls = []
    monkeypatch.setitem(sys.modules, "mlflow", stand_in_mlflow(calls))
    log = callbacks.MLflowLogger("digits", "first", params={"layers": 1}, log_freq=2)
    history = model().fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[log]).history
    names = [name for name, *_ in calls]
    assert names == ["set_experiment", "start_run", "log_params", *["log_metrics"] * 7, "end_run"]
    facts = calls[2][1][0]
    assert (facts["layers"], facts["epochs"], facts["optimizer_learning_rate"]) == (1, 2, 0.05)
    steps = [(sorted(numbers), k["step"]) for name, (numbers,), k in calls[3:-1]]
    batch, epoch = ["batch_loss"], ["learning_rate", "loss"]
    assert steps == [(batch, 2), (batch, 4), (epoch, 0), (batch, 6), (batch, 8), (batch, 10), (epoch, 1)]
    assert calls[-2][1][0]["loss"] == history["loss"][-1] and calls[-1][1] == ("FINISHED",)

    calls.clear()  # a run that the user has begun, and told the number of epochs
    run = types.SimpleNamespace(info=types.SimpleNamespace(run_id=1), data=types.SimpleNamespace(params={"epochs": 2}))
    sys.modules["mlflow"].active_run, sys.modules["mlflow"].get_run = lambda: run, lambda run_id: run
    model().fit(X, Y, verbose=0, callbacks=[callbacks.MLflowLogger("digits")])
    assert [name for name, *_ in calls] == ["log_params", "log_metrics"]
    assert "epochs" not in calls[0][1][0] and calls[0][1][0]["optimizer"] == "SGD"


def test_runs_of_wandb(monkeypatch):
    calls = []
    monkeypatch.setitem(sys.modules, "wandb", stand_in_wandb(calls))
    fail = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: 1 / (1 - epoch))
    log = callbacks.WandbLogger("digits", "first", config={"layers": 1}, mode="offline")
    with pytest.raises(ZeroDivisionError):
        model().fit(X, Y, epochs=3, verbose=0, callbacks=[log, fail])
    assert calls[0] == ("init", (), {"project": "digits", "name": "first", "mode": "offline"})
    assert calls[1][1][0]["layers"] == 1
    assert [sorted(a[0]) for name, a, _ in calls if name == "log"] == [["epoch", "learning_rate", "loss"]]
    assert calls[-1] == ("finish", (), {"exit_code": 1})


def test_checkpoints_of_orbax(monkeypatch, tmp_path):
    with monkeypatch.context() as missing, pytest.raises(ImportError, match="pip install orbax-checkpoint"):
        missing.setitem(sys.modules, "orbax.checkpoint", None)
        callbacks.OrbaxCheckpoint(tmp_path)
    calls = []

    def checkpointer(**options):
        calls.append(("made", options))
        note = types.SimpleNamespace(wait=lambda: calls.append(("wait",)))
        for name in ("save_checkpointables", "save_checkpointables_async"):
            setattr(note, name, lambda step, content, name=name: calls.append((name, step, content)))
        return note

    policies = types.SimpleNamespace(LatestN=lambda n: n, FixedIntervalPolicy=lambda n: n)
    v1 = types.SimpleNamespace(
        training=types.SimpleNamespace(
            Checkpointer=checkpointer, preservation_policies=policies, save_decision_policies=policies
        ),
        multihost=types.SimpleNamespace(process_count=lambda: 1, process_index=lambda: 0),
    )
    orbax, module = types.ModuleType("orbax"), types.ModuleType("orbax.checkpoint")
    module.v1 = v1
    monkeypatch.setitem(sys.modules, "orbax", orbax)
    monkeypatch.setitem(sys.modules, "orbax.checkpoint", module)
    net = model()
    keep = callbacks.OrbaxCheckpoint(tmp_path, save_freq=2, max_to_keep=3)
    net.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[keep])
    assert calls[0][1]["preservation_policy"] == 3 and calls[-1] == ("wait",)
    saved = [call for call in calls if call[0] == "save_checkpointables_async"]
    assert [step for _, step, _ in saved] == [2, 4, 6, 8, 10]
    kernel = saved[-1][2]["pytree"]["trainable_variables"]
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in _leaves(kernel)]), _flat(net))
    assert json.loads(saved[0][2]["model_config"]["config"])["class_name"] == "Sequential"
    assert (keep.is_multihost_enabled(), keep.is_primary_host()) == (False, True)

    calls.clear()
    best = callbacks.OrbaxCheckpoint(
        tmp_path, "loss", save_best_only=True, save_on_background=False, save_weights_only=True
    )
    net.optimizer.learning_rate = 1e3  # it only gets worse
    net.fit(X, Y, epochs=2, verbose=0, callbacks=[best])
    (saved,) = [call for call in calls if call[0] == "save_checkpointables"]
    assert saved[1] == 0 and list(saved[2]["pytree"]) == ["trainable_variables", "non_trainable_variables"]


def _leaves(nest):
    return kerata.tree.flatten(nest)


def _flat(net):
    by_path = net.get_state_tree(value_format="numpy_array")["trainable_variables"]
    return np.concatenate([a.ravel() for a in _leaves(by_path)])
