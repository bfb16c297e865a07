"""Arrays in old data files that were pickled, read without running anything from the file.

Some well-known data sets hold pickles (CIFAR's batches, the ragged sequences of IMDB and Reuters). A pickle may name
any function; here the four names that an array needs stand for small classes of this file, which take plain values
alone and check them, and every other name is refused. NumPy's own unpickling code is never reached. What a pickle can
still do is to ask for more memory than there is, so its hash is checked before. Nothing but data sets is read this way.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerata import errors

__all__ = ["read_npz", "read_pickle"]


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file by name; arrays of objects may hold plain values and lists of them.

    Raises:
        CorruptFile: the file is damaged, or asks for more than plain data.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                # Whole members, because zipfile compares the checksum at a member's end.
                arrays[name.removesuffix(".npy")] = _read_npy(io.BytesIO(archive.read(name)))
    except errors.CorruptFile as error:
        raise errors.CorruptFile(error.what, where=str(path), got=error.got) from None
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError) as error:
        raise errors.CorruptFile("the file cannot be read as .npz.", where=str(path), got=error) from error
    return arrays


def read_pickle(path: str | Path) -> Any:
    """Return the plain values and arrays of a pickle, with the strings of Python 2 as bytes.

    Raises:
        CorruptFile: the file is damaged, or asks for more than plain data.
    """
    try:
        with open(path, "rb") as file:
            return _load(file)
    except errors.CorruptFile as error:
        raise errors.CorruptFile(error.what, where=str(path), got=error.got) from None


def _read_npy(file: io.BytesIO) -> np.ndarray:
    version = np.lib.format.read_magic(file)
    # Versions 2 and 3 differ in the encoding of field names alone.
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    array = _load(file)
    if not isinstance(array, np.ndarray):
        raise errors.CorruptFile("the pickled data is no array.", got=type(array).__name__)
    return array


def _load(file: IO[bytes]) -> Any:
    try:
        return _Finisher().finished(_PlainUnpickler(file, encoding="bytes").load())
    except errors.CorruptFile:
        raise
    # A damaged stream can end in almost any error of the values it builds.
    except Exception as error:
        raise errors.CorruptFile("the pickled data is damaged.", got=error) from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if stand_in := _STAND_INS.get((module, name)):
            return stand_in
        raise errors.CorruptFile(
            "the file asks for more than plain arrays, which data never needs.", got=f"{module}.{name}"
        )


# The stand-ins are classes with a `__setstate__` and without writable class state: a pickle can set the attributes of
# whatever object it gets hold of, and a function has some.


class _Dtype:
    """Stands for numpy.dtype: a number's kind and size, or "O" for objects."""

    __slots__ = ("dtype",)

    def __init__(self, code: str | bytes, *_: Any) -> None:
        code = code.decode() if isinstance(code, bytes) else code
        if code[:1] not in tuple("biufO") or not code[1:].isdigit():
            raise errors.CorruptFile("the file holds an array of an unusual dtype.", got=code)
        self.dtype = np.dtype("O" if code[0] == "O" else code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        is_big = {"<": False, b"<": False, ">": True, b">": True, "|": False, b"|": False}[state[1]]
        self.dtype = self.dtype.newbyteorder(">" if is_big else "<")


class _Array:
    """Stands for numpy.ndarray, made empty and given its state afterwards."""

    __slots__ = ("data", "dtype", "is_fortran", "shape")

    def __init__(self, *_: Any) -> None:
        """Take what `_reconstruct` is given; it says nothing about the array that is to come."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, self.is_fortran, self.data = state
        self.dtype = dtype.dtype


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
}

_PLAIN = {bool, int, float, str, bytes, type(None)}


class _Finisher:
    """Puts real arrays for the stand-ins, and lets nothing through but dicts, lists, tuples and plain values."""

    def __init__(self) -> None:
        # By identity, so that what a file refers to often is made once; the values are kept alive beside.
        self.known: dict[int, tuple[Any, Any]] = {}

    def finished(self, value: Any) -> Any:
        if type(value) in _PLAIN:
            return value
        if id(value) not in self.known:
            self.known[id(value)] = (value, self._make(value))
        return self.known[id(value)][1]

    def _make(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            # Reviews are long lists of ints, and there are many.
            return value if set(map(type, value)) <= _PLAIN else type(value)(map(self.finished, value))
        if type(value) is dict and set(map(type, value)) <= _PLAIN:
            return {key: self.finished(item) for key, item in value.items()}
        if isinstance(value, _Array):
            return self._array(value)
        raise errors.CorruptFile("the file holds more than plain data.", got=f"a {type(value).__name__}")

    def _array(self, value: _Array) -> np.ndarray:
        if value.dtype.hasobject:
            items = list(map(self.finished, value.data))
            flat = np.fromiter(items, dtype=object, count=len(items))
        else:
            flat = np.frombuffer(value.data, dtype=value.dtype).copy()  # a buffer of bytes cannot be written to
        if math.prod(value.shape) != flat.size:
            raise errors.CorruptFile("an array's data does not fill its shape.", got=value.shape)
        return flat.reshape(value.shape, order="F" if value.is_fortran else "C")
