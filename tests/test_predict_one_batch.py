"""`predict` for a single batch that nobody watches: the short way gives what the long one does."""

import collections

import numpy as np
import pytest

import kerata
from kerata import callbacks, layers

ROWS = np.random.default_rng(0).random((40, 3), dtype="float32")
Pair = collections.namedtuple("Pair", "first second")


def both_ways(net, x, **options):
    """Predict twice by the short way, which remembers the program, and once watched; return the three results."""
    short = [net.predict(x, verbose=0, **options) for _ in range(2)]
    return *short, net.predict(x, verbose=0, callbacks=[callbacks.Callback()], **options)


@pytest.fixture
def net():
    return kerata.Sequential([kerata.Input((3,)), layers.Dense(4, activation="tanh"), layers.Dropout(0.5)])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ">f4", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("rows", [1, 7])
def test_arrays_of_every_dtype(net, dtype, rows):
    first, again, watched = both_ways(net, (ROWS[:rows] * 9).astype(dtype), batch_size=None if rows == 1 else 7)
    assert first.shape == (rows, 4) and first.dtype == watched.dtype
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, watched, rtol=1e-6)


@pytest.mark.parametrize(
    "x", [ROWS[:8:2], np.asfortranarray(ROWS[:4]), ROWS[:4].tolist()], ids=["strided", "F", "list"]
)
def test_however_the_rows_lie(net, x):
    first, again, watched = both_ways(net, x)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, watched, rtol=1e-6)


def test_what_changes_between_two_calls_is_seen(net):
    one = ROWS[:1]
    net.predict(one, verbose=0)
    net.set_weights([np.zeros((3, 4)), np.ones(4)])
    np.testing.assert_allclose(net.predict(one, verbose=0), np.full((1, 4), np.tanh(1)), rtol=1e-6)
    net.layers[0].trainable = False
    net.compile("sgd", "mse")
    net.layers[0].bias.assign(np.zeros(4))
    np.testing.assert_array_equal(net.predict(one, verbose=0), np.zeros((1, 4)))
    net.predict_step = lambda data: net(data) + 5
    net.make_predict_function(force=True)
    net.predict_function = None
    np.testing.assert_array_equal(net.predict(one, verbose=0), np.full((1, 4), 5))
    net.run_eagerly = True
    net.predict_step = lambda data: net(data) + 7
    net.predict_function = None
    np.testing.assert_array_equal(net.predict(one, verbose=0), np.full((1, 4), 7))


def test_rows_are_cut_into_batches_as_asked(net):
    seen = []
    net.predict_step = lambda data: seen.append(data.shape) or net(data)
    net.predict(ROWS[:6], verbose=0)
    net.predict(ROWS[:6], batch_size=2, verbose=0)
    assert {shape[0] for shape in seen} == {6, 2}


def test_nests_go_in_and_come_out():
    a, b = kerata.Input((3,), name="a"), kerata.Input((3,), name="b")
    net = kerata.Model({"a": a, "b": b}, {"sum": a + b, "parts": [a * 2, Pair(b, a)]})
    x = {"a": ROWS[:2], "b": ROWS[2:4]}
    for result in both_ways(net, x):
        assert set(result) == {"sum", "parts"} and isinstance(result["parts"][1], Pair)
        np.testing.assert_allclose(result["sum"], x["a"] + x["b"])
        np.testing.assert_array_equal(result["parts"][0], x["a"] * 2)
        np.testing.assert_array_equal(result["parts"][1].first, x["b"])


@pytest.mark.parametrize("size", [2, 200])  # on one thread, and on all
def test_small_and_large_samples(size):
    net = kerata.Sequential([kerata.Input((size, size)), layers.Activation("tanh")])
    x = np.random.default_rng(1).random((1, size, size), dtype="float32")
    for result in both_ways(net, x):
        np.testing.assert_allclose(result, np.tanh(x), rtol=1e-5)


def test_a_number_for_a_batch():
    class Total(kerata.Model):
        def call(self, x):
            return kerata.ops.sum(x)

    for result in both_ways(Total(), ROWS[:2]):
        np.testing.assert_allclose(result, [ROWS[:2].sum()], rtol=1e-6)


def test_what_the_step_writes_is_kept():
    class Counts(kerata.Model):
        def __init__(self):
            super().__init__()
            self.seen = self.add_weight((), initializer="zeros", trainable=False, name="seen")

        def call(self, x):
            self.seen.assign_add(1.0)
            return x + self.seen.value

    net = Counts()
    results = both_ways(net, ROWS[:1])
    assert float(net.seen.numpy()) == 3
    for count, result in enumerate(results, start=1):
        np.testing.assert_allclose(result, ROWS[:1] + count, rtol=1e-6)


def test_the_result_belongs_to_the_caller(net):
    same = kerata.Sequential([kerata.Input((3,)), layers.Activation("linear")])
    for model in (net, same):
        x = ROWS[:1].copy()
        result = model.predict(x, verbose=0)
        result[:] = -1
        np.testing.assert_array_equal(x, ROWS[:1])
        assert (model.predict(x, verbose=0) != -1).all()


def test_callbacks_get_their_calls(net):
    net.predict(ROWS[:1], verbose=0)
    heard = []
    note = callbacks.LambdaCallback()
    note.on_predict_begin = lambda logs=None: heard.append("begin")
    note.on_predict_batch_end = lambda batch, logs=None: heard.append(logs["outputs"].shape)
    note.on_predict_end = lambda logs=None: heard.append("end")
    net.predict(ROWS[:1], verbose=0, callbacks=[note])
    assert heard == ["begin", (1, 4), "end"]


def test_mistakes_are_told_after_right_calls(net):
    net.predict(ROWS[:1], verbose=0)
    with pytest.raises(kerata.errors.KerataError):
        net.predict(ROWS[:1, :2], verbose=0)
    with pytest.raises(kerata.errors.KerataError):
        net.predict(ROWS[:0], verbose=0)
