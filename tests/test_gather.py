"""Gathering rows into stacks of batches, against plain indexing."""

import functools
import gc
import math
from typing import Literal

import numpy as np
import pytest

import kerata
from kerata import engine
from kerata.data import gather as gather_module
from kerata.data.gather import gathered
from kerata.data.rows import Rows
from kerata.data.sources import ArraySource
from kerata.engine.picking import Picked

VALUES = np.arange(60.0, dtype="float32").reshape(20, 3)
ORDER = np.random.default_rng(0).permutation(20)
INDEX = ORDER[:12].reshape(3, 4)


def read_rows(path):
    mapped = np.memmap(path, "float32", "w+", shape=VALUES.shape)
    mapped[:] = VALUES
    return Rows(mapped.__getitem__, VALUES.shape, VALUES.dtype)


@pytest.mark.parametrize("name", ["jax", "torch"])
@pytest.mark.parametrize("kind", ["host", "engine", "file"])
def test_rows_in_any_order(name, kind, tmp_path):
    with engine.using(name):
        array = {"host": VALUES, "engine": engine.arrays.as_array(VALUES), "file": read_rows(tmp_path / "x.bin")}[kind]
        for index in (INDEX, INDEX[:2], np.arange(8).reshape(2, 4), np.arange(20)[None]):
            found = kerata.ops.convert_to_numpy(gathered(array, index, 3))
            assert found.shape == (3, index.shape[1], 3)
            np.testing.assert_array_equal(found[: len(index)], VALUES[index])


def misaligned(shape, dtype, cells, order: Literal["C", "F"] = "C"):
    """Return different numbers in an array that begins so many cells behind a multiple of 64 bytes."""
    memory = np.empty(math.prod(shape) * np.dtype(dtype).itemsize + 128, "uint8")
    start = -memory.ctypes.data % 64 + cells * np.dtype(dtype).itemsize
    array = memory[start : start + memory.size - 128].view(dtype).reshape(shape, order=order)
    array[:] = (np.arange(array.size).reshape(shape) % 251).astype(dtype)
    return array


@pytest.mark.parametrize("name", ["jax", "torch", "numpy"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int32", "int64", "bool"])
@pytest.mark.parametrize("cells", [0, 1, 4, 7])
@pytest.mark.parametrize("row", [(3, 23), "64 bytes"])
def test_batches_are_picked_from_where_the_array_lies(name, dtype, cells, row, monkeypatch):
    with engine.using(name):
        if name == "jax":
            monkeypatch.setattr("kerata.engine.jax.placing.SMALL", 0)
        row = (64 // np.dtype(dtype).itemsize,) if row == "64 bytes" else row
        array = misaligned((9, *row), dtype, cells)
        table = (gather_module.tables([array]) or [None])[0]
        if name == "jax" and dtype != "int64":  # which its programs do not count in
            assert table.cells.unsafe_buffer_pointer() - array.ctypes.data == -array.ctypes.data % 64
        assert tuple(table.shape) == array.shape
        index = np.array([[0, 8, 3], [8, 0, 0], [7, 1, 2], [4, 5, 6]])
        stack = Picked(table, engine.arrays.as_array(index))
        assert tuple(stack.shape) == (4, 3, *row)
        for i, rows in enumerate(index):
            np.testing.assert_array_equal(engine.arrays.to_numpy(stack[i]), array[rows])


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_what_cannot_be_read_in_place_is_copied_as_far_as_it_is_small(name, monkeypatch):
    monkeypatch.setattr("kerata.engine.jax.placing.SMALL", 0)
    arrays = [misaligned((9, 30), "float32", 4, order="F"), misaligned((9, 90), "float32", 4)[:, ::2]]
    arrays += [misaligned((90, 3), "float32", 4)] * (name == "jax")  # rows of less than 64 bytes
    read_only = misaligned((9, 30), "float32", 4)
    read_only.flags.writeable = False
    arrays += [read_only] * (name == "torch")
    with engine.using(name):
        for array in arrays:
            table = (gather_module.tables([array]) or [None])[0]
            np.testing.assert_array_equal(engine.arrays.to_numpy(table), array)
        monkeypatch.setattr(gather_module, "COPIED_BYTES", 100)
        assert [gather_module.tables([array]) for array in arrays] == [None] * len(arrays)
        assert gather_module.tables([VALUES[:2, :3], arrays[0]]) is None


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_training_is_the_same_from_rows_in_place_and_from_gathered_ones(name, monkeypatch):
    x = misaligned((203, 30), "float32", 4) / np.float32(251)
    y = (np.arange(203) % 5).astype("float32")

    def trained():
        kerata.utils.set_random_seed(0)
        model = kerata.Sequential([kerata.layers.Dense(8, activation="tanh"), kerata.layers.Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(x, y, batch_size=20, epochs=2, verbose=0, sample_weight=y)
        return [*history.history["loss"], model.evaluate(x, y, batch_size=20, verbose=0)], model.predict(x, verbose=0)

    with engine.using(name):
        monkeypatch.setattr("kerata.engine.jax.placing.SMALL", 0)
        monkeypatch.setattr("kerata.data.sources.BLOCK_BYTES", 1000)
        losses, outputs = trained()
        monkeypatch.setattr("kerata.data.sources.tables", lambda arrays: None)
        others, expected = trained()
    np.testing.assert_allclose(losses, others, rtol=1e-6)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_rows_are_picked_from_large_data_that_are_shuffled(name, monkeypatch):
    x = np.zeros((64, 30), "float32")
    kinds = lambda **options: [type(b.data).__name__ for b in ArraySource(x, batch_size=20, **options).blocks()]  # noqa: E731
    with engine.using(name):
        stack = type(engine.arrays.as_array(x)).__name__
        assert kinds(shuffle=True) == [stack, stack]
        monkeypatch.setattr("kerata.data.sources.BLOCK_BYTES", x.nbytes - 1)
        assert kinds(shuffle=True) == ["Picked", stack]  # the last batch is smaller
        assert kinds(shuffle=False)[-1] == stack
        monkeypatch.setattr("kerata.data.sources.BATCHES", 2)
        assert kinds(shuffle="batch") == ["Picked", "Picked", stack]


@pytest.mark.parametrize("name", ["jax", "torch"])
@pytest.mark.parametrize("block", [1000, 1 << 20])
def test_what_a_callback_changes_is_seen_in_the_next_epoch(name, block, monkeypatch):
    monkeypatch.setattr("kerata.data.sources.BLOCK_BYTES", block)
    x, y = np.ones((40, 30), "float32"), np.ones((40, 1), "float32")

    class Zeros(kerata.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            x[:], y[:] = 0, 0

    with engine.using(name):
        model = kerata.Sequential([kerata.layers.Dense(1, use_bias=False)])
        model.compile("sgd", "mse")
        losses = model.fit(x, y, batch_size=20, epochs=2, verbose=0, callbacks=[Zeros()]).history["loss"]
    assert losses[0] > 0 and losses[1] == 0


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_buffer_is_written_again_only_when_nobody_holds_it(name, monkeypatch):
    monkeypatch.setattr(gather_module, "_pool", gather_module._Pool())
    with engine.using(name):
        gather = functools.partial(gathered, VALUES)
        first = gather(INDEX, 3)
        kept = engine.arrays.row(first, 1)  # a part of it counts, where it is a view
        others = [gather(INDEX[::-1], 3) for _ in range(3)]
        np.testing.assert_array_equal(engine.arrays.to_numpy(first), VALUES[INDEX])
        del first
        gc.collect()
        gather(INDEX[::-1], 3)
        np.testing.assert_array_equal(engine.arrays.to_numpy(kept), VALUES[INDEX[1]])
        for other in others:
            np.testing.assert_array_equal(engine.arrays.to_numpy(other), VALUES[INDEX[::-1]])
        del others, other, kept
        gc.collect()
        (free,) = gather_module._pool._free.values()
        buffers = {buffer.ctypes.data for buffer in free}
        again = gather(INDEX, 3)
        assert len(free) == len(buffers) - 1 and engine.arrays.to_numpy(again).ctypes.data in buffers


def test_whole_numbers_of_64_bits_become_those_of_the_engine():
    with engine.using("jax"):
        found = gathered(np.arange(20), INDEX, 3)
    assert str(found.dtype) == "int32"
    np.testing.assert_array_equal(found, INDEX)


def test_little_memory_is_kept(monkeypatch):
    monkeypatch.setattr(gather_module, "KEPT_BYTES", 1000)
    pool = gather_module._Pool()
    for shape in [(100,), (100,), (200,), (60,), (2**18,)]:
        buffers = [pool.buffer(shape, np.dtype("float32")) for _ in range(2)]
        assert all(b.ctypes.data % 64 == 0 and b.flags.writeable for b in buffers)
        del buffers
    assert {size: len(free) for size, free in pool._free.items() if free} == {240: 2}
