"""What people hold data in: each kind of container, and what the model receives of it."""

import array
import collections
import decimal
import multiprocessing
import os
import random
import threading
import time
import traceback
import types

import datasets
import grain
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch

import kerata
from kerata import errors, layers
from kerata.data import sources
from kerata.data.arrays import arrays_of

F, I = "float32", "int32"  # noqa: E741


class Spy(kerata.Model):
    """Notes the batches that it is given: of each array the dtype, the shape and the values."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.compile("sgd", "mse", run_eagerly=True)

    def call(self, x):
        return x

    def train_step(self, batch):
        self.seen.append(kerata.tree.map_structure(lambda a: None if a is None else np.asarray(a), batch))
        return {"loss": kerata.ops.zeros(())}

    test_step = train_step

    def predict_step(self, batch):
        return self.train_step(batch)["loss"]


def received(x, *rest, **arguments):
    """Return the one batch (or the list of them) that a step receives of this data."""
    spy = Spy()
    spy.fit(x, *rest, verbose=0, **{"shuffle": False, **arguments})
    return spy.seen[0] if len(spy.seen) == 1 else spy.seen


def same(got, dtype, values):
    assert isinstance(got, np.ndarray), type(got)
    assert (str(got.dtype), got.shape) == (dtype, np.shape(values))
    np.testing.assert_allclose(got.astype("complex64"), np.asarray(values, "complex64"))


TABLE = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


class Stand:
    """Stands in for the tensor of a library that is not here: it can become an array, and no more."""

    def __init__(self, values):
        self._values = np.asarray(values)
        self.shape = self._values.shape

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._values, dtype)


def frame():
    return pd.DataFrame({"a": [1.0, 3.0, 5.0], "b": [2, 4, 6]})


def pa_fixed():
    return pa.FixedSizeListArray.from_arrays(pa.array(np.arange(1.0, 7.0)), 2)


CONTAINERS = [  # what is given as x, and what comes: dtype, values
    ("numpy float64", lambda: np.array(TABLE), F, TABLE),
    ("numpy float16", lambda: np.array(TABLE, "float16"), "float16", TABLE),
    ("numpy int64", lambda: np.array([[1], [2]]), I, [[1], [2]]),
    ("numpy uint8", lambda: np.array([[200], [255]], "uint8"), "uint8", [[200], [255]]),
    ("numpy bool", lambda: np.array([True, False]), "bool", [1, 0]),
    ("numpy complex", lambda: np.array([1 + 2j]), "complex64", [1 + 2j]),
    ("NaN and infinity stay", lambda: np.array([np.nan, np.inf]), F, [np.nan, np.inf]),
    ("objects that are numbers", lambda: np.array([1, 2.5, decimal.Decimal(3)], dtype=object), F, [1, 2.5, 3]),
    ("objects that are rows", lambda: np.array([None, None], dtype=object), F, [np.nan, np.nan]),
    ("jax", lambda: kerata.ops.array(TABLE), F, TABLE),
    ("torch", lambda: torch.tensor(TABLE, dtype=torch.float64, requires_grad=True), F, TABLE),
    ("torch bfloat16", lambda: torch.tensor(TABLE, dtype=torch.bfloat16), F, TABLE),
    ("torch sparse", lambda: torch.tensor(TABLE).to_sparse(), F, TABLE),
    ("a tensor of elsewhere", lambda: Stand(TABLE), F, TABLE),
    ("a sparse tensor of elsewhere", lambda: types.SimpleNamespace(
        shape=(2, 2), dense_shape=np.array([2, 2]), indices=np.array([[0, 1]]), values=np.array([5.0])),
     F, [[0, 5], [0, 0]]),
    ("list", lambda: TABLE, F, TABLE),
    ("tuple of numbers", lambda: (1, 2, 3), I, [1, 2, 3]),
    ("list of NumPy numbers", lambda: [np.float32(1), np.float64(2)], F, [1, 2]),
    ("list of 0-d tensors", lambda: [torch.tensor(1.0), torch.tensor(2.0)], F, [1, 2]),
    ("range", lambda: range(3), I, [0, 1, 2]),
    ("array.array", lambda: array.array("d", [1, 2]), F, [1, 2]),
    ("scipy csr", lambda: scipy.sparse.csr_matrix(TABLE), F, TABLE),
    ("scipy coo array", lambda: scipy.sparse.coo_array(np.array(TABLE, "float32")), F, TABLE),
    ("scipy csc int", lambda: scipy.sparse.csc_matrix([[0, 1], [2, 0]]), I, [[0, 1], [2, 0]]),
    ("pandas frame, floats and ints", frame, F, TABLE),
    ("pandas, ints and bools", lambda: pd.DataFrame({"a": [1, 2], "b": [True, False]}), I, [[1, 1], [2, 0]]),
    ("pandas, one column", lambda: frame()[["b"]], I, [[2], [4], [6]]),
    ("pandas, a name twice", lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]), I, [[1, 2]]),
    ("pandas series", lambda: frame()["b"], I, [2, 4, 6]),
    ("pandas index out of order", lambda: frame()["b"].iloc[::-1], I, [6, 4, 2]),
    ("pandas Int64", lambda: pd.Series([1, 2], dtype="Int64"), I, [1, 2]),
    ("pandas Int64 with a gap", lambda: pd.Series([1, None], dtype="Int64"), F, [1, np.nan]),
    ("pandas boolean with a gap", lambda: pd.Series([True, None], dtype="boolean"), F, [1, np.nan]),
    ("pandas category of numbers", lambda: pd.Series([7, 8, 7], dtype="category"), I, [7, 8, 7]),
    ("pandas objects that are rows", lambda: pd.Series([np.zeros(2), np.ones(2)]), F, [[0, 0], [1, 1]]),
    ("polars frame", lambda: pl.from_pandas(frame()), F, TABLE),
    ("polars lazy frame", lambda: pl.from_pandas(frame()).lazy(), F, TABLE),
    ("polars series with a gap", lambda: pl.Series([1, None, 3]), F, [1, np.nan, 3]),
    ("polars bools with a gap", lambda: pl.Series([True, None]), F, [1, np.nan]),
    ("polars lists", lambda: pl.Series([[1, 2], [3, 4]]), I, [[1, 2], [3, 4]]),
    ("arrow table", lambda: pa.Table.from_pandas(frame()), F, TABLE),
    ("arrow record batch", lambda: pa.RecordBatch.from_pandas(frame()), F, TABLE),
    ("arrow array with a gap", lambda: pa.array([1, None]), F, [1, np.nan]),
    ("arrow chunks", lambda: pa.chunked_array([[1, 2], [3]]), I, [1, 2, 3]),
    ("arrow lists of one size", pa_fixed, F, TABLE),
    ("arrow decimals", lambda: pa.array([decimal.Decimal("1.5")]), F, [1.5]),
    ("hub, columns of numbers", lambda: datasets.Dataset.from_pandas(frame()), F, TABLE),
    ("hub, rows of numbers", lambda: datasets.Dataset.from_dict({"x": TABLE}), F, TABLE),
    ("hub, with a format", lambda: datasets.Dataset.from_dict({"x": TABLE}).with_format("torch"), F, TABLE),
    ("hub, chosen rows", lambda: datasets.Dataset.from_dict({"x": TABLE}).select([2, 0]), F, [TABLE[2], TABLE[0]]),
    ("hub column", lambda: datasets.Dataset.from_dict({"x": [4, 5]})["x"], I, [4, 5]),
    ("hub transform", lambda: datasets.Dataset.from_dict({"x": [1, 2]}).with_transform(
        lambda rows: {"x": [np.full(2, v, "float64") for v in rows["x"]]}), F, [[1, 1], [2, 2]]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "dtype", "values"), [c[1:] for c in CONTAINERS], ids=[c[0] for c in CONTAINERS])
@pytest.mark.filterwarnings("error")
def test_what_a_container_becomes(make, dtype, values):
    x = arrays_of(make(), "x")
    block = next(sources.ArraySource(x, batch_size=8).blocks())
    same(np.asarray(block.batch(0)), dtype, values)


def test_in_each_method():
    """The same sources feed all of them: one kind of data each."""
    x, y = scipy.sparse.csr_matrix(TABLE), pd.Series([0.0, 1.0, 0.0])
    got = received(x, y, batch_size=2)
    same(got[0][0], F, TABLE[:2])
    same(got[1][1], F, [0])
    model = kerata.Sequential([layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    np.testing.assert_allclose(model.predict(pl.DataFrame(TABLE, orient="row"), verbose=0), [[3], [7], [11]])
    assert model.evaluate(pa.table({"a": [1.0], "b": [2.0]}), [3.0], verbose=0) == 0
    assert model.evaluate(x, sum(np.array(TABLE).T), verbose=0) == 0
    assert model.test_on_batch([[1, 2]], [3]) == 0
    assert model.train_on_batch(frame(), torch.tensor([3.0, 7.0, 11.0])) == 0
    assert model.train_on_batch(pl.DataFrame({"a": [1], "b": [2], "c": [3]}), "c") == 0
    np.testing.assert_allclose(model.predict_on_batch(x), [[3], [7], [11]])
    history = model.fit(frame().assign(y=[3, 7, 11]), "y", validation_split=0.4, verbose=0).history
    assert history["loss"] == [0] and history["val_loss"] == [0]


Pair = collections.namedtuple("Pair", "left right")

NESTS = [  # data, and what the step receives
    ("dict of lists", lambda: ({"a": [1, 2], "b": [[3.0], [4.0]]},), {"a": (I, [1, 2]), "b": (F, [[3], [4]])}),
    ("dict of series", lambda: (dict(frame()),), {"a": (F, [1, 3, 5]), "b": (I, [2, 4, 6])}),
    ("list of arrays", lambda: ([np.zeros((2, 1)), torch.ones(2)],), ([(F, [[0], [0]]), (F, [1, 1])],)),
    ("named tuple", lambda: (Pair(np.zeros(2), [1, 2]), np.ones(2)), (Pair((F, [0, 0]), (I, [1, 2])), (F, [1, 1]))),
    ("a dict in a dict", lambda: ({"a": {"b": np.ones(2)}},), {"a": {"b": (F, [1, 1])}}),
    ("tables in a list", lambda: ([frame(), frame()[["b"]]],), ([(F, TABLE), (I, [[2], [4], [6]])],)),
    ("y by its name", lambda: (pd.DataFrame({"u": [1, 2], "v": [3, 4]}), "v"), ((I, [[1], [2]]), (I, [3, 4]))),
    ("y by its name, of a dict", lambda: ({"u": [1, 2], "v": [3, 4]}, "v"), ((I, [1, 2]), (I, [3, 4]))),
    ("ArrayDataset", lambda: (kerata.data.ArrayDataset([[1], [2]], [3, 4]),), ((I, [[1], [2]]), (I, [3, 4]))),
    ("torch Dataset", lambda: (torch.utils.data.TensorDataset(torch.ones(2, 1), torch.zeros(2)),),
     ((F, [[1], [1]]), (F, [0, 0]))),
    ("hub, y by its name", lambda: (datasets.Dataset.from_dict({"x": [[1], [2]], "label": [0, 1], "t": [5, 6]})
                                    .remove_columns("t"), "label"), ((I, [[1], [2]]), (I, [0, 1]))),
]  # fmt: skip


def check_nest(got, expected):
    if isinstance(expected, tuple) and len(expected) == 2 and isinstance(expected[0], str):
        same(got, *expected)
    elif isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            check_nest(got[key], expected[key])
    else:
        assert len(got) == len(expected) and isinstance(got, type(expected))
        for g, e in zip(got, expected):
            check_nest(g, e)


@pytest.mark.parametrize(("make", "expected"), [n[1:] for n in NESTS], ids=[n[0] for n in NESTS])
def test_nests(make, expected):
    check_nest(received(*make()), expected)


# Batches ------------------------------------------------------------------------------------------------------

X, Y = np.arange(8.0).reshape(4, 2), np.arange(4)
HUB = {"x": X.tolist(), "label": Y.tolist()}


def generated(*batches):
    yield from batches


class TfStandIn:
    """Behaves as a tf.data.Dataset: elements that only become arrays, a length that may not be known."""

    def __init__(self, count):
        self._count = count

    def __iter__(self):
        return ((Stand(X[i : i + 2]), Stand(Y[i : i + 2])) for i in (0, 2))

    def __len__(self):
        if self._count < 0:
            raise TypeError("the length is unknown")
        return self._count

    def cardinality(self):
        return np.int64(self._count)


class ByNumber:
    """Only `__getitem__` and `__len__`, as old Keras sequences."""

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return X[2 * i : 2 * i + 2], Y[2 * i : 2 * i + 2]


def pairs(source):
    """Return a grain data set of batches (x, y)."""
    return source.map(lambda i: (X[i], Y[i])).batch(2)


ITERABLES = [  # each gives the batches (X, Y) of two rows
    ("generator", lambda: generated((X[:2], Y[:2]), (X[2:], Y[2:]))),
    ("generator of lists", lambda: generated([X[:2], Y[:2]], [X[2:].tolist(), Y[2:].tolist()])),
    ("generator of tensors and series", lambda: generated((torch.tensor(X[:2]), pd.Series(Y[:2])),
                                                          (scipy.sparse.csr_array(X[2:]), Y[2:]))),
    ("by number", ByNumber),
    ("torch", lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), 2)),
    ("torch, dicts", lambda: (torch.utils.data.DataLoader(datasets.Dataset.from_dict(HUB).with_format("torch"), 2),
                              "label")),
    ("tf.data", lambda: TfStandIn(2)),
    ("tf.data of unknown length", lambda: TfStandIn(-2)),
    ("grain map", lambda: pairs(grain.MapDataset.range(4))),
    ("grain iter", lambda: pairs(grain.MapDataset.range(4).to_iter_dataset())),
    ("grain loader", lambda: grain.DataLoader(
        data_source=list(zip(X, Y)), sampler=grain.samplers.IndexSampler(4, grain.sharding.NoSharding(), num_epochs=1),
        operations=[grain.transforms.Batch(2)])),
    ("hub, batches", lambda: (datasets.Dataset.from_dict(HUB).with_format("numpy").iter(2), "label")),
    ("hub, a stream", lambda: (datasets.Dataset.from_dict(HUB).to_iterable_dataset(), "label")),
    ("our Dataset", lambda: kerata.data.Dataset.from_tensor_slices((X, Y)).batch(2)),
    ("our DataLoader", lambda: kerata.data.DataLoader(kerata.data.ArrayDataset(X, Y), 2, num_workers=2)),
    ("our Subset", lambda: kerata.data.Subset(kerata.data.ArrayDataset(X, Y), range(4))),
]  # fmt: skip


@pytest.mark.parametrize("make", [i[1] for i in ITERABLES], ids=[i[0] for i in ITERABLES])
def test_iterables_of_batches(make):
    given = make()
    got = received(*(given if isinstance(given, tuple) else (given,)), batch_size=2)
    assert len(got) == 2
    for (x, y), at in zip(got, (0, 2)):
        same(x, F, X[at : at + 2])
        same(y, I, Y[at : at + 2])


BATCHES = [  # one batch as a generator yields it, and what the step receives
    ("x alone", X, (F, X)),
    ("x in a list", [X], (F, X)),
    ("x in a tuple", (X,), (F, X)),
    ("a dict", {"a": X, "b": Y}, {"a": (F, X), "b": (I, Y)}),
    ("a dict and y", ({"a": X}, Y), ({"a": (F, X)}, (I, Y))),
    ("with weights", (X, Y, [1, 1, 1, 2]), ((F, X), (I, Y), (I, [1, 1, 1, 2]))),
    ("two inputs", ((X, Y), Y), (((F, X), (I, Y)), (I, Y))),
    ("plain numbers", [1.0, 2.0], (F, [1, 2])),
    ("a table", frame(), (F, TABLE)),
]  # fmt: skip


@pytest.mark.parametrize(("batch", "expected"), [b[1:] for b in BATCHES], ids=[b[0] for b in BATCHES])
def test_forms_of_a_batch(batch, expected):
    check_nest(received(generated(batch)), expected)


def test_batches_of_many_shapes():
    got = received(generated(*((np.ones((rows, length)), np.ones(rows)) for rows, length in [(2, 3), (2, 5), (1, 3)])))
    assert [x.shape for x, _ in got] == [(2, 3), (2, 5), (1, 3)]


# What is not loaded at once -----------------------------------------------------------------------------------


def test_maps_and_files_are_read_by_rows(tmp_path, monkeypatch):
    values = np.arange(40.0).reshape(20, 2)
    mapped = np.memmap(tmp_path / "x.bin", "float64", "w+", shape=(20, 2))
    mapped[:] = values
    np.save(tmp_path / "y.npy", np.arange(20))
    monkeypatch.setattr(sources, "BLOCK_BYTES", 4 * 12)  # two batches of two rows in a block
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = values
        read = []
        most = h5py.Dataset.__getitem__

        def noted(self, rows, **arguments):
            found = most(self, rows, **arguments)
            read.append(len(found))
            return found

        monkeypatch.setattr(h5py.Dataset, "__getitem__", noted)
        y = np.load(tmp_path / "y.npy", mmap_mode="r")
        for x in (file["x"], mapped):
            for shuffle in (False, True):
                got = received(x, y, batch_size=2, shuffle=shuffle)
                rows = np.concatenate([x for x, _ in got])
                assert rows.dtype == F
                np.testing.assert_array_equal(rows[:, 0], 2 * np.concatenate([y for _, y in got]))
                assert (np.sort(rows[:, 0]) == values[:, 0]).all()
                assert (rows[:, 0] == values[:, 0]).all() != shuffle
        got = received(file["x"], y, batch_size=2, validation_split=0.2)
        assert len(got) == 8 + 2 and got[-1][0].tolist() == values[18:].tolist()
    assert max(read) <= 4


def test_sparse_rows_are_filled_in_by_batches(monkeypatch):
    x = scipy.sparse.random(400, 5000, 0.01, "csr", random_state=0)
    monkeypatch.setattr(sources, "BLOCK_BYTES", 1 << 17)
    filled = []
    whole = scipy.sparse.csr_matrix.toarray
    monkeypatch.setattr(
        type(x), "toarray", lambda self, *a, **k: filled.append(self.shape[0]) or whole(self, *a, **k)
    )
    source = sources.make_source(x, batch_size=10, shuffle=True)
    batches = (block.batch(i) for block in source.blocks() for i in range(block.steps))
    assert sum(float(batch.sum()) for batch in batches) == pytest.approx(x.sum(), rel=1e-5)
    assert max(filled) <= 10 and sum(filled) == 400


def test_pictures_of_the_hub_are_read_when_needed():
    from PIL import Image

    pictures = [Image.fromarray(np.full((3, 4, 3), i, "uint8")) for i in range(6)]
    data = datasets.Dataset.from_dict({"image": pictures, "label": list(range(6))}).cast_column(
        "image", datasets.Image()
    )
    got = received(data, "label", batch_size=4, shuffle=True)
    assert [(x.shape, str(x.dtype)) for x, _ in got] == [((4, 3, 4, 3), "uint8"), ((2, 3, 4, 3), "uint8")]
    for x, y in got:
        assert (x[:, 0, 0, 0] == y).all()


# Tables and models --------------------------------------------------------------------------------------------


def test_columns_go_to_the_inputs_of_their_names():
    a, word = kerata.Input((1,), name="age"), kerata.Input((1,), name="word", dtype="string")
    ids = layers.StringLookup(vocabulary=["cat", "dog"], num_oov_indices=1)(word)
    model = kerata.Model([a, word], layers.Add()([a, layers.Rescaling(10.0)(ids)]))
    model.compile("sgd", "mse")
    table = pd.DataFrame({"word": ["dog", "cat", "emu"], "rest": [pd.Timestamp(0)] * 3, "age": [1, 2, 3], "y": 0.0})
    expected = [[21], [12], [3]]
    for data in (
        table, table.astype({"word": "category"}), table.astype({"word": object}), pl.from_pandas(table),
        pa.Table.from_pandas(table), datasets.Dataset.from_pandas(table), dict(table[["word", "age"]]),
    ):  # fmt: skip
        assert model.predict(data, verbose=0).tolist() == expected
    batches = generated({"age": [1], "word": ["dog"]}, {"age": np.array([2]), "word": pa.array(["cat"])})
    assert model.predict(batches, verbose=0).tolist() == expected[:2]
    assert model.predict_on_batch(table).tolist() == expected
    np.testing.assert_allclose(model.evaluate(table, "y", verbose=0), np.mean(np.square(expected)))
    np.testing.assert_allclose(model.evaluate(table, table["y"], verbose=0), np.mean(np.square(expected)))
    with pytest.raises(errors.InvalidArgument, match="lacks columns"):
        model.predict(table[["age"]], verbose=0)


def test_a_list_of_rows_for_one_input():
    x = kerata.Input((2,))
    model = kerata.Model(x, layers.Dense(1, kernel_initializer="ones")(x))
    assert model.predict([np.array([1, 2]), np.array([3, 4]), np.array([5, 6])], verbose=0).tolist() == [[3], [7], [11]]
    with pytest.raises(ValueError, match="number of inputs"):
        model.predict([np.ones((3, 2)), np.ones((3, 2))], verbose=0)


# Mistakes -----------------------------------------------------------------------------------------------------

AMISS = [  # x, y, the error, parts of what it says
    ("unequal lengths", lambda: (np.ones((3, 1)), np.ones(4)), ValueError, ["x: 3", "y: 4"]),
    ("unequal columns", lambda: ({"a": [1, 2], "b": [1]}, [1, 2]), ValueError, ["x['a']: 2", "x['b']: 1"]),
    ("empty", lambda: (np.ones((0, 2)), np.ones(0)), ValueError, ["empty", "0 rows"]),
    ("empty list", lambda: ([], []), ValueError, ["empty"]),
    ("empty frame", lambda: (frame()[:0], []), ValueError, ["empty"]),
    ("nothing", lambda: (None, None), TypeError, ["fit: x", "NoneType"]),
    ("0-d", lambda: (np.array(1.0), np.array(1.0)), ValueError, ["no rows", "a single number"]),
    ("ragged lists", lambda: ([[1, 2], [3]], [0, 1]), ValueError, ["unequal shapes", "(1,), (2,)", "pad_sequences"]),
    ("ragged objects", lambda: (np.array([np.ones(2), np.ones(3)], object), [0, 1]), ValueError, ["(2,), (3,)"]),
    ("ragged column", lambda: (pa.table({"l": [[1], [1, 2]]}), [0, 1]), ValueError, ["x['l']", "(1,), (2,)"]),
    ("text", lambda: (np.array(["a", "b"]), [0, 1]), TypeError, ["text", "<U1", "StringLookup"]),
    ("text in lists", lambda: ([["a"], ["b"]], [0, 1]), TypeError, ["text", "object"]),
    ("text in a column", lambda: (pd.DataFrame({"n": [1], "s": ["a"]}), [0]), TypeError, ["text in ['s']"]),
    ("missing text", lambda: (pd.Series(["a", None], dtype=object), [0, 1]), ValueError, ["1 empty cells", "fillna"]),
    ("numbers and text", lambda: (np.array([1, "a"], object), [0, 1]), TypeError, ["int, str"]),
    ("objects", lambda: (np.array([{}, {}], object), [0, 1]), TypeError, ["dict"]),
    ("dates", lambda: (frame().assign(t=pd.Timestamp(0)), [0] * 3), TypeError, ["x['t']", "datetime64", "weekday"]),
    ("durations", lambda: (pl.Series([1]).cast(pl.Duration), [0]), TypeError, ["timedelta64"]),
    ("too large", lambda: (np.array([2**40, 1]), [0, 1]), ValueError, ["int32", "1099511627776", "float32"]),
    ("no such column", lambda: (frame(), "c"), ValueError, ["column", "'c'", "fit: y"]),
    ("a column of an array", lambda: (np.ones((2, 1)), "c"), TypeError, ["ndarray", "table"]),
    ("targets twice", lambda: (generated((X, Y)), Y), ValueError, ["brings its own targets"]),
    ("all parts of the hub", lambda: (datasets.DatasetDict({"train": datasets.Dataset.from_dict(HUB)}), None),
     TypeError, ["train"]),
    ("not understood", lambda: (3, None), TypeError, ["int"]),
    ("four parts", lambda: (generated((X, Y, Y, Y)), None), ValueError, ["too many parts", "4"]),
    ("single samples", lambda: (grain.MapDataset.source([1.0, 2.0]), None), ValueError, ["no rows", ".batch("]),
    ("nothing generated", lambda: (generated(), None), ValueError, ["empty|ended before"]),
    ("no end: grain", lambda: (pairs(grain.MapDataset.range(4).repeat()), None), ValueError, ["no end", "steps_per_e"]),
    ("no end: tf.data", lambda: (TfStandIn(-1), None), ValueError, ["no end", "steps_per_epoch"]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "said"), [a[1:] for a in AMISS], ids=[a[0] for a in AMISS])
def test_data_amiss(make, kind, said):
    x, y = make()
    with pytest.raises(kind) as caught:
        Spy().fit(x, y, verbose=0)
    assert isinstance(caught.value, errors.KerataError)
    for part in said:
        assert any(p in str(caught.value) for p in part.split("|")), str(caught.value)


def test_tensors_of_the_engine_itself():
    with kerata.engine.using("torch"):
        block = next(sources.make_source(torch.tensor([2**40, 1])).blocks())
        assert block.data.dtype == torch.int64 and int(block.batch(0)[0]) == 2**40
        assert next(sources.make_source(torch.ones(2, dtype=torch.float64)).blocks()).data.dtype == torch.float32


# Exceptions ---------------------------------------------------------------------------------------------------


def failing(i):
    if i == 2:
        raise ArithmeticError(f"no batch {i}")
    return X[:2], Y[:2]


def failing_generator():
    for i in range(4):
        yield failing(i)


class Failing(kerata.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return failing(i)


class FailingSamples:
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return tuple(part[0] for part in failing(i))


FAILURES = [
    ("generator", failing_generator),
    ("PyDataset", Failing),
    ("threads", lambda: Failing(workers=2)),
    ("processes", lambda: Failing(workers=2, use_multiprocessing=True)),
    ("map", lambda: kerata.data.Dataset.range(4).map(failing, num_parallel_calls=2)),
    ("loader", lambda: kerata.data.DataLoader(FailingSamples(), 2)),
    ("loader, processes", lambda: kerata.data.DataLoader(FailingSamples(), 2, num_workers=2, use_multiprocessing=True)),
    ("mapped by name", lambda: ({"x": x, "y": y} for x, y in failing_generator())),
]


def none_left():
    """Return whether no thread or process of kerata's is left, giving them a moment."""
    for _ in range(40):
        left = [t.name for t in threading.enumerate() if t.name.startswith("kerata")]
        left += [p.name for p in multiprocessing.active_children()]
        if not left:
            return True
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("make", [f[1] for f in FAILURES], ids=[f[0] for f in FAILURES])
def test_a_failure_of_ones_own_shows_ones_own_lines(make):
    data = make()
    with pytest.raises(ArithmeticError, match="no batch 2") as caught:
        Spy().fit(data, "y" if isinstance(data, types.GeneratorType) and "genexpr" in data.__name__ else None,
                  shuffle=False, verbose=0)  # fmt: skip
    frames = traceback.extract_tb(errors.as_shown(caught.value))
    assert frames[-1].name == "failing" and "raise ArithmeticError" in frames[-1].line
    assert {os.path.basename(frame.filename) for frame in frames} == {os.path.basename(__file__)}, frames
    assert none_left() is True


def test_a_failure_in_a_loop_of_ones_own():
    with pytest.raises(ArithmeticError) as caught:
        list(kerata.data.DataLoader(FailingSamples(), 2, num_workers=2, use_multiprocessing=True))
    frames = traceback.extract_tb(errors.as_shown(caught.value))
    assert {os.path.basename(frame.filename) for frame in frames} == {os.path.basename(__file__)}, frames
    assert none_left() is True


class Odd(Exception):
    def __init__(self, one, two):
        super().__init__(one)


class Dying(kerata.utils.PyDataset):
    """Batches that a process cannot give: it dies, its exception or its batch does not travel."""

    def __init__(self, how):
        super().__init__(workers=2, use_multiprocessing=True)
        self.how = how

    def __len__(self):
        return 3

    def __getitem__(self, i):
        if self.how == "dies":
            os._exit(7)
        if self.how == "odd":
            raise Odd("of its kind", 2)
        return (lambda: 0), X


@pytest.mark.parametrize(("how", "said"), [("dies", "exit code 7"), ("odd", "Odd: of its kind"), ("fn", "cannot be")])
def test_processes_that_fail_say_so(how, said):
    with pytest.raises(Exception, match=said):
        list(sources.make_source(Dying(how)).blocks())
    assert none_left() is True


# Interrupts ---------------------------------------------------------------------------------------------------


class Slow(kerata.utils.PyDataset):
    def __len__(self):
        return 1000

    def __getitem__(self, i):
        time.sleep(0.01)
        return X[:2], Y[:2]


class SlowSamples:
    def __len__(self):
        return 10000

    def __getitem__(self, i):
        time.sleep(0.005)
        return X[0], Y[0]


class EndlessSlow(Slow):
    __len__ = None  # type: ignore[assignment]
    num_batches = None


def endless():
    while True:
        yield X[:2], Y[:2]


INTERRUPTED = [
    ("generator", endless),
    ("threads", lambda: Slow(workers=2)),
    ("processes", lambda: Slow(workers=2, use_multiprocessing=True)),
    ("endless processes", lambda: EndlessSlow(workers=2, use_multiprocessing=True)),
    ("loader of threads", lambda: kerata.data.DataLoader(SlowSamples(), 2, num_workers=2)),
    ("loader of processes", lambda: kerata.data.DataLoader(SlowSamples(), 2, num_workers=2, use_multiprocessing=True)),
    ("torch's loader", lambda: torch.utils.data.DataLoader(SlowSamples(), 2, num_workers=1)),
]


@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.parametrize("make", [i[1] for i in INTERRUPTED], ids=[i[0] for i in INTERRUPTED])
def test_an_interrupt_ends_what_works_in_the_background(make):
    def press(batch, logs):
        if batch == 1:
            raise KeyboardInterrupt

    stop = kerata.callbacks.LambdaCallback(on_train_batch_end=press)
    data = make()
    with pytest.raises(KeyboardInterrupt) as caught:  # whose traceback keeps all frames alive
        Spy().fit(data, steps_per_epoch=100, verbose=0, callbacks=[stop])
    assert none_left() is True
    assert caught.value.__traceback__ is not None


def test_a_generator_that_ends_early_stops_the_training():
    spy = Spy()
    with pytest.warns(UserWarning, match="ended after 3 of 5 steps") as warned:
        spy.fit((b for b in [(X, Y)] * 8), steps_per_epoch=5, epochs=4, verbose=0)
    assert len(spy.seen) == 8 and len(warned) == 1 and len(spy.history.epoch) == 2


def test_a_generator_goes_on_where_it_stopped():
    spy = Spy()
    spy.fit(({"n": np.array([i])} for i in range(100)), steps_per_epoch=3, epochs=2, verbose=0)
    assert [int(b["n"][0]) for b in spy.seen] == list(range(6))
    assert none_left() is True


# DataLoader ---------------------------------------------------------------------------------------------------


class Noisy:
    """Samples that are drawn at random as they are made."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        time.sleep(0.001 * (i % 3))
        return {"i": i, "noise": kerata.data.batch_random().normal(), "text": f"no. {i}"}


class Stream:
    """An iterable that knows nothing of workers."""

    def __iter__(self):
        return iter(np.arange(10.0))


class Sharded:
    """An iterable that reads its own part."""

    def __iter__(self):
        info = kerata.data.get_worker_info()
        start, step = (0, 1) if info is None else (info.id, info.num_workers)
        yield from range(start, 10, step)


WORKERS = [{}, {"num_workers": 1}, {"num_workers": 3}, {"num_workers": 3, "persistent_workers": True},
           {"num_workers": 2, "use_multiprocessing": True, "persistent_workers": True}]  # fmt: skip


def listed(loader):
    return [kerata.tree.map_structure(lambda a: a.tolist(), batch) for batch in loader]


def test_batches_are_the_same_whatever_the_workers():
    found = []
    for way in WORKERS:
        loader = kerata.data.DataLoader(Noisy(), 4, shuffle=True, seed=5, **way)
        stream = kerata.data.DataLoader(Stream(), 3, drop_last=True, **way)
        found.append([listed(loader), listed(loader), listed(stream), listed(stream)])
        loader.__del__()
        stream.__del__()
    first = found[0]
    assert all(other == first for other in found[1:])
    numbers = [[i for batch in epoch for i in batch["i"]] for epoch in first[:2]]
    assert sorted(numbers[0]) == sorted(numbers[1]) == list(range(10)) and numbers[0] != numbers[1]
    assert first[0][0]["text"] == [f"no. {i}" for i in first[0][0]["i"]]
    assert first[2] == first[3] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert none_left() is True


def test_iterables_may_share_themselves_out():
    assert listed(kerata.data.DataLoader(Sharded(), 2)) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    expected = [[0, 3], [1, 4], [2, 5], [6, 9], [7], [8]]
    for processes in (False, True):
        loader = kerata.data.DataLoader(Sharded(), 2, num_workers=3, use_multiprocessing=processes)
        assert listed(loader) == listed(loader) == expected
    assert kerata.data.get_worker_info() is None


def squares(i):
    return np.random.rand(), random.random()


def test_processes_have_seeds_of_their_own():
    class Drawn:
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return squares(i)

    one, two = (
        listed(kerata.data.DataLoader(Drawn(), 1, seed=1, num_workers=n, use_multiprocessing=True)) for n in (1, 2)
    )
    assert one == two and len({x[0] for x, _ in one}) == len({x[0] for _, x in one}) == 4


def test_a_loader_goes_on_where_it_stood():
    for data, way in [(Noisy(), {}), (Noisy(), {"num_workers": 2}), (Stream(), {}), (Stream(), {"num_workers": 2})]:
        shuffle = isinstance(data, Noisy)
        loader = kerata.data.DataLoader(data, 2, shuffle=shuffle, seed=9, **way)
        list(loader)  # an epoch
        batches = iter(loader)
        begun = [next(batches), next(batches)]
        state = loader.state_dict()
        rest = listed(batches)
        later = kerata.data.DataLoader(data, 2, shuffle=shuffle)
        later.load_state_dict(state)
        assert (len(begun), len(rest)) == (2, 3)
        assert listed(later) == rest
        assert listed(later) == listed(loader)  # the epoch after
        assert len(listed(later)) == 5
    assert none_left() is True


def test_samplers_collate_and_the_like():
    data = kerata.data.ArrayDataset(np.arange(6.0))
    loader = kerata.data.DataLoader
    assert listed(loader(data, 4, sampler=[5, 4, 3, 2, 1])) == [([5, 4, 3, 2],), ([1],)]
    assert len(loader(data, 4, sampler=torch.utils.data.RandomSampler(data))) == 2
    assert listed(loader(data, batch_sampler=[[0, 1], [5]], num_workers=2)) == [([0, 1],), ([5],)]
    assert list(loader([[1, 2], [3]], batch_size=None)) == [[1, 2], [3]]
    assert list(loader(["ab", "c"], 2, collate_fn="+".join)) == ["ab+c"]
    assert list(loader(iter("abc"), 2, collate_fn="+".join, num_workers=1)) == ["a+b", "c"]
    assert [len(loader(range(7), 2, drop_last=d)) for d in (True, False)] == [3, 4]
    seeds = [torch.Generator().manual_seed(4), torch.Generator().manual_seed(4)]
    assert len({str(listed(loader(range(9), 9, True, generator=g, pin_memory=True))) for g in seeds}) == 1
    begun = []
    list(loader(data, num_workers=2, worker_init_fn=begun.append))
    assert sorted(begun) == [0, 1]
    assert loader(range(2), 2, collate_fn=lambda s: s).__iter__().__next__() == [0, 1]
    x, none, (text, flag) = kerata.data.collate([(torch.ones(2), None, ("a", True)), (np.zeros(2), None, ("b", False))])
    assert (x.tolist(), none, text.tolist(), flag.dtype) == ([[1, 1], [0, 0]], None, ["a", "b"], bool)
    assert kerata.data.collate([1.5, 2.0]).dtype == F


def test_parts_of_data_sets():
    data = kerata.data.ArrayDataset(np.arange(10))
    a, b, c = kerata.data.random_split(data, [0.5, 0.25, 0.25], seed=1)
    assert [len(a), len(b), len(c)] == [6, 2, 2] and isinstance(a, kerata.data.Subset)
    assert sorted(int(part[i][0]) for part in (a, b, c) for i in range(len(part))) == list(range(10))
    again = [kerata.data.random_split(data, [6, 4], seed=1)[1].indices for _ in range(2)]
    assert again[0] == again[1]
    both = kerata.data.ConcatDataset([data, kerata.data.Subset(data, [3, 1])])
    assert [int(both[i][0]) for i in (9, 10, 11, -1)] == [9, 3, 1, 1] and len(both) == 12
    with pytest.raises(IndexError):
        both[12]
    with pytest.raises(errors.InvalidArgument, match="add up"):
        kerata.data.random_split(data, [3, 3])


WRONG = [
    ({"batch_size": 0}, "at least one"),
    ({"num_workers": -1}, "at least 0"),
    ({"sampler": [0], "shuffle": True}, "exclude"),
    ({"batch_sampler": [[0]], "batch_size": 2}, "excludes"),
    ({"dataset": 3}, "no data set"),
    ({"dataset": iter([1]), "shuffle": True}, "cannot be shuffled"),
    ({"dataset": iter([1]), "num_workers": 2}, "one worker alone"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[w[1] for w in WRONG])
def test_loaders_amiss(arguments, said):
    with pytest.raises(errors.KerataError, match=said):
        kerata.data.DataLoader(**{"dataset": [1, 2], **arguments})


def test_samples_that_do_not_fit_and_workers_too_slow():
    with pytest.raises(errors.ShapeMismatch, match="unequal shapes"):
        list(kerata.data.DataLoader([np.ones(2), np.ones(3)], 2))
    with pytest.raises(TimeoutError):
        list(kerata.data.DataLoader(SlowSamples(), 20, num_workers=1, timeout=0.01))
