"""`PyDataset`: every batch once, in every way of making them, and the calls around an epoch."""

import os
import threading
import time

import numpy as np
import pytest

import kerata
from kerata import errors, layers, utils

os.environ["KERAS_BACKEND"] = "jax"  # before anything imports keras


class Numbers(utils.PyDataset):
    """Batch i is the number i, twice."""

    def __init__(self, count=6, **kwargs):
        super().__init__(**kwargs)
        self.count, self.asked, self.calls, self.offset = count, [], [], 0

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        time.sleep(0.002 * (index % 3))  # so that threads end out of order
        x = np.full((2, 1), index + self.offset, "float32")
        return x, 2 * x

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")
        self.offset += 100


class Seen(kerata.Model):
    """Notes the batches that it is trained with."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        return x

    def train_step(self, batch):
        x, y = batch
        self.seen.append(float(x[0, 0]))
        return {"loss": kerata.ops.sum(y - x)}


def trained(data, **arguments):
    model = Seen()
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(data, verbose=0, **arguments)
    return model.seen


WAYS = [{}, {"workers": 3}, {"workers": 3, "max_queue_size": 1}, {"workers": 0},
        {"workers": 2, "use_multiprocessing": True}, {"workers": 1, "use_multiprocessing": True}]  # fmt: skip


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_batch_once_in_each_epoch(way):
    data = Numbers(**way)
    assert trained(data, epochs=2, shuffle=False) == [0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105]
    assert data.calls == ["begin", "end"] * 2
    shuffled = trained(Numbers(**way), epochs=2)
    assert sorted(shuffled[:6]) == [0, 1, 2, 3, 4, 5]
    assert sorted(shuffled[6:]) == [100, 101, 102, 103, 104, 105]
    assert [x - 100 for x in shuffled[6:]] != shuffled[:6] or shuffled[:6] != sorted(shuffled[:6])


def test_shuffled_by_the_seed():
    orders = []
    for seed in (1, 1, 2):
        utils.set_random_seed(seed)
        orders.append(trained(Numbers(12)))
    assert orders[0] == orders[1] != orders[2]


def test_learning_evaluating_and_predicting():
    data = Numbers()
    model = kerata.Sequential([layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(kerata.optimizers.Adam(0.1), "mse")
    model.fit(data, epochs=40, shuffle=False, verbose=0, validation_data=Numbers(2))
    assert data.calls == ["begin", "end"] * 40
    np.testing.assert_allclose(np.asarray(model.layers[0].kernel), [[2.0]], atol=0.05)
    still = Numbers(3)
    np.testing.assert_allclose(model.predict(still, verbose=0), np.repeat([0, 2, 4], 2)[:, None], atol=0.2)
    assert still.calls == ["begin", "end"]
    assert model.evaluate(still, verbose=0) < 1e4
    assert model.predict(Numbers(3), steps=2, verbose=0).shape == (4, 1)


class Endless(utils.PyDataset):
    num_batches = None

    def __getitem__(self, index):
        return np.full((1, 1), index, "float32"), np.zeros((1, 1))


@pytest.mark.parametrize("workers", [1, 2])
def test_endless_data_go_on(workers):
    assert trained(Endless(workers=workers), epochs=2, steps_per_epoch=3) == [0, 1, 2, 3, 4, 5]


def test_reading_by_hand():
    data = Numbers(3, workers=2)
    assert [int(x[0, 0]) for x, _ in data] == [0, 1, 2]
    assert (len(data), data.num_batches, data.workers, data.max_queue_size) == (3, 3, 2, 10)
    data.workers = 4
    assert (data.workers, data.use_multiprocessing) == (4, False)
    endless = iter(Endless())
    assert [int(next(endless)[0][0, 0]) for _ in range(3)] == [0, 1, 2]
    assert utils.Sequence is utils.PyDataset
    with pytest.raises(NotImplementedError, match="__getitem__"):
        utils.PyDataset()[0]
    with pytest.raises(NotImplementedError, match="num_batches"):
        utils.PyDataset().num_batches  # noqa: B018


class Forgot(utils.PyDataset):
    def __init__(self):
        pass

    __len__, __getitem__ = Numbers.__len__, Endless.__getitem__
    count = 2


def test_a_constructor_that_does_not_call_its_base():
    with pytest.warns(UserWarning, match=r"super\(\).__init__"):
        assert trained(Forgot(), shuffle=False) == [0, 1]


class Broken(Numbers):
    def __getitem__(self, index):
        if index == 3:
            raise KeyError("batch three")
        return super().__getitem__(index)


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning", "ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("way", [{}, {"workers": 2}, {"workers": 2, "use_multiprocessing": True}], ids=str)
def test_errors_of_workers_come_back(way):
    before = threading.active_count()
    with pytest.raises(KeyError, match="batch three"):
        trained(Broken(**way))
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_texts():
    """Batches of text reach a model that starts with a layer for text, with the calls around epochs."""

    class Texts(Numbers):
        def __getitem__(self, index):
            return np.array(["good", "bad"], dtype=object), np.array([1.0, 0.0])

    data = Texts(2)
    vectorize = layers.TextVectorization(output_sequence_length=1, vocabulary=["good", "bad"])
    model = kerata.Sequential([
        kerata.Input((), dtype="string"), vectorize, layers.Embedding(4, 2), layers.Flatten(),
        layers.Dense(1, activation="sigmoid"),
    ])  # fmt: skip
    model.compile("adam", "binary_crossentropy")
    model.fit(data, epochs=2, verbose=0)
    assert data.calls == ["begin", "end"] * 2


def test_keras_sees_the_same_batches():
    """The order without shuffling and the calls are those of real Keras."""
    keras = pytest.importorskip("keras")

    def of(module):
        class Data(module.utils.PyDataset):
            calls = []

            def on_epoch_begin(self):
                self.calls.append("begin")

            def on_epoch_end(self):
                self.calls.append("end")

            __len__ = lambda self: 6  # noqa: E731
            __getitem__ = lambda self, i: (np.full((2, 1), i, "float32"), np.full((2, 1), 2.0))  # noqa: E731

        return Data()

    theirs, ours = of(keras), of(kerata)
    for k, data in ((keras, theirs), (kerata, ours)):
        model = k.Sequential([k.Input((1,)), k.layers.Dense(1, kernel_initializer="zeros")])
        model.compile("sgd", "mse")
        data.loss = model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert ours.calls == theirs.calls[-4:]  # Keras also calls them when it looks at the first batch
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-4)


def test_unusual_batches():
    with pytest.raises(errors.InvalidArgument, match="too many parts"):
        class Four(Numbers):
            def __getitem__(self, index):
                return (np.ones((1, 1)),) * 4

        trained(Four())
