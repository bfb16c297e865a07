"""Gathering rows into stacks of batches, against plain indexing."""

import gc

import numpy as np
import pytest

import kerata
from kerata import engine
from kerata.data import gather as gather_module
from kerata.data.gather import gatherer
from kerata.data.rows import Rows

VALUES = np.arange(60.0, dtype="float32").reshape(20, 3)
ORDER = np.random.default_rng(0).permutation(20)
INDEX = ORDER[:12].reshape(3, 4)


def read_rows(path):
    mapped = np.memmap(path, "float32", "w+", shape=VALUES.shape)
    mapped[:] = VALUES
    return Rows(mapped.__getitem__, VALUES.shape, VALUES.dtype)


@pytest.mark.parametrize("name", ["jax", "torch"])
@pytest.mark.parametrize("kind", ["host", "resident", "file"])
def test_rows_in_any_order(name, kind, tmp_path):
    array = read_rows(tmp_path / "x.bin") if kind == "file" else VALUES
    with engine.using(name):
        gather = gatherer(array, resident=kind == "resident")
        for index in (INDEX, INDEX[:2], np.arange(8).reshape(2, 4), np.arange(20)[None]):
            found = kerata.ops.convert_to_numpy(gather(index, 3))
            assert found.shape == (3, index.shape[1], 3)
            np.testing.assert_array_equal(found[: len(index)], VALUES[index])


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_buffer_is_written_again_only_when_nobody_holds_it(name, monkeypatch):
    monkeypatch.setattr(gather_module, "_pool", gather_module._Pool())
    with engine.using(name):
        gather = gatherer(VALUES, resident=False)
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
        found = gatherer(np.arange(20), resident=False)(INDEX, 3)
    assert str(found.dtype) == "int32"
    np.testing.assert_array_equal(found, INDEX)


def test_little_memory_is_kept(monkeypatch):
    monkeypatch.setattr(gather_module, "KEPT_BYTES", 1000)
    pool = gather_module._Pool()
    for shape in [(100,), (100,), (200,), (60,), (2**18,)]:
        buffers = [pool.buffer(shape, np.dtype("float32")) for _ in range(2)]
        assert all(b.ctypes.data % 64 == 0 and b.flags.writeable for b in buffers)
        del buffers
    assert {size: len(free) for size, free in pool._free.items() if free} == {400: 2}
