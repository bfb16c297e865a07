"""Pickles of data sets: plain data comes back, everything else is refused, and nothing runs."""

import datetime
import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from kerata import errors
from kerata.data import pickled_arrays
from kerata.data.pickled_arrays import read_npz, read_pickle

RAN = []


def harm(*_):
    RAN.append("harm")


class Reduces:
    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments, state)

    def __reduce__(self):
        return self.reduced


HARMFUL = {
    "a function of the program": pickle.dumps(Reduces(harm)),
    "os.system": pickle.dumps(Reduces(os.system, "true")),
    "eval": pickle.dumps(Reduces(eval, "1")),
    "getattr": pickle.dumps(Reduces(getattr, "a", "upper")),
    "an import": b"cthis\ns\n.",
    "deep in an array": pickle.dumps(np.array([1, Reduces(harm)], object)),
    "deep in a dict": pickle.dumps({b"data": [(1, {b"x": Reduces(harm)})]}),
    "as a key": pickle.dumps({Reduces(tuple, (1,)): 1}),
    "a class of the program": pickle.dumps(Reduces),
    "a scalar of NumPy": pickle.dumps(np.float64(1)),
    "a memory map": b"cnumpy\nmemmap\n(S'/etc/passwd'\ntR.",
    "numpy.load": b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
    "a set": pickle.dumps({1, 2}),
    "a complex number": pickle.dumps(1j),
    "a date": pickle.dumps(datetime.date(2000, 1, 1)),
    "bytes by codecs": pickle.dumps(b"\xff", protocol=2),
    "an array of strings": pickle.dumps(np.array(["a"])),
    "a structured array": pickle.dumps(np.zeros(1, "i4,i4")),
    "numpy.dtype itself": b"cnumpy\ndtype\n.",
    "a dtype": pickle.dumps(np.dtype("f8")),
    "a dtype in a list": pickle.dumps([np.dtype("f8")]),
    "an array without a state": b"cnumpy\nndarray\n)R.",
    "an array that is its own dtype": b"cnumpy\nndarray\n)R(K\x01K\x01\x85cnumpy\nndarray\n)R\x89C\x01at" + b"b.",
    "an array in itself": b"\x80\x02cnumpy\nndarray\n)Rq\x00(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8\x85R\x89](h\x00etb.",
    "a list in itself": b"]q\x00h\x00a.",
    "less data than the shape": b"cnumpy\nndarray\n)R(K\x01K\x09\x85cnumpy\ndtype\n(U\x02u1tR\x89U\x01atb.",
    "the class's own attributes": b"cnumpy\ndtype\n}U\x01xK\x01sb.",
    "the class's slots": b"cnumpy\ndtype\n(N}U\x01xK\x01stb.",
    "a persistent id": b"Pname\n.",
    "an extension": b"\x82\x01.",
    "cut": pickle.dumps({b"data": np.zeros(9)})[:-20],
    "empty": b"",
    "no pickle": b"<html>",
}


@pytest.mark.parametrize("kind", HARMFUL)
@pytest.mark.parametrize("where", ["pickle", "npz"])
def test_pickles_run_nothing(tmp_path, kind, where):
    if where == "pickle":
        (tmp_path / "a").write_bytes(HARMFUL[kind])
    else:
        (tmp_path / "a").write_bytes(npz_of_pickle(HARMFUL[kind]))
    RAN.clear()
    before = {name: dict(vars(item)) for name, item in pickled_arrays._STAND_INS.items()}
    with pytest.raises(errors.CorruptFile) as caught:
        (read_pickle if where == "pickle" else read_npz)(tmp_path / "a")
    assert str(tmp_path / "a") in str(caught.value)
    assert RAN == []
    assert {name: dict(vars(item)) for name, item in pickled_arrays._STAND_INS.items()} == before


def npz_of_pickle(body: bytes) -> bytes:
    member, buffer = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(member, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x.npy", member.getvalue() + body)
    return buffer.getvalue()


OBJECTS = np.empty(3, object)
OBJECTS[:] = [[1, 2], [], (3.5, "x", None, [b"y"])]


@pytest.mark.parametrize("protocol", [3, 4])  # in 2, Python 3 writes bytes as a call of codecs, which is refused
@pytest.mark.parametrize(
    "value",
    [
        np.arange(6, dtype="uint8").reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(4, dtype=">i2"),
        np.array([True, False]),
        np.zeros((0, 3), "float16"),
        np.array(7),
        OBJECTS,
        {"data": np.arange(3), "names": ["a", "ä"], "n": 2**70, "pair": (1.5, None, True)},
    ],
)
def test_plain_values_come_back(tmp_path, value, protocol):
    (tmp_path / "a").write_bytes(pickle.dumps(value, protocol=protocol))
    got = read_pickle(tmp_path / "a")
    if isinstance(value, dict):
        assert repr(got) == repr(value)
        return
    assert (got.dtype, got.shape, got.flags.writeable) == (value.dtype, value.shape, True)
    assert got.tolist() == value.tolist()


def test_what_is_shared_is_read_once(tmp_path):
    """Each list holds the one before twice: two to the power of sixty elements, if each were followed."""
    nested: list = [[1]]
    for _ in range(60):
        nested = [nested, nested]
    (tmp_path / "a").write_bytes(pickle.dumps(nested))
    got = read_pickle(tmp_path / "a")
    assert got[0] is got[1]


def test_damage_anywhere_is_told(tmp_path):
    """Each single byte of a small file changed: plain data or CorruptFile, and nothing else.

    Left out are the two opcodes (p, r) that store under a number, for which Python sets aside as much memory as the
    number says: read_pickle asks its callers to prove a file by its hash first.
    """
    whole = pickle.dumps({b"data": np.arange(4, dtype="uint8"), b"labels": [1, 2]}, protocol=3)
    path = tmp_path / "a"
    refused = 0
    for position in range(len(whole)):
        for change in (0x01, 0x20, 0xFF):
            byte = whole[position] ^ change
            if byte in b"pr":
                continue
            path.write_bytes(whole[:position] + bytes([byte]) + whole[position + 1 :])
            try:
                assert_plain(read_pickle(path))
            except errors.CorruptFile:
                refused += 1
    assert refused > len(whole)


def assert_plain(value) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for item in value:
            assert_plain(item)
    else:
        assert type(value) in (bool, int, float, str, bytes, type(None), np.ndarray)
