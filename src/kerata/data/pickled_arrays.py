"""Arrays in old data files that were pickled, read without running anything from the file.

Some well-known data sets hold pickles (CIFAR's batches, the ragged sequences of IMDB and Reuters). A pickle may name
any function; here each name it may give stands for a small class of this file, which takes plain values alone and
checks them. NumPy's own unpickling code is never reached. Nothing but data sets is read this way.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerata import errors

__all__ = ["read_npz", "read_pickle"]


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file by name; arrays of objects may hold numbers, strings and lists of them.

    Raises:
        CorruptFile: the file is damaged, or asks for more than plain data.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                arrays[name.removesuffix(".npy")] = _read_npy(io.BytesIO(archive.read(name)))
    except errors.CorruptFile as error:
        raise errors.CorruptFile(error.what, where=str(path), got=error.got) from None
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise errors.CorruptFile("the file cannot be read as .npz.", where=str(path), got=error) from error
    return arrays


def read_pickle(path: str | Path) -> Any:
    """Return the plain values and arrays of a pickle, with the strings of Python 2 as bytes.

    Raises:
        CorruptFile: the file is damaged, or names anything but an array.
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
    if dtype.hasobject:
        return np.asarray(_load(file))
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _load(file: IO[bytes]) -> Any:
    try:
        return _finished(_PlainUnpickler(file, encoding="bytes").load())
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


class _Dtype:
    """Stands for numpy.dtype: a number's kind and size, or "O" for objects."""

    def __init__(self, code: str | bytes, *_: Any) -> None:
        code = code.decode() if isinstance(code, bytes) else code
        if code[:1] not in tuple("biufO") or not code[1:].isdigit():
            raise errors.CorruptFile("the file holds an array of an unusual dtype.", got=code)
        self.dtype = np.dtype(code.rstrip("0123456789") if code[0] == "O" else code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.dtype = self.dtype.newbyteorder(order.decode() if isinstance(order, bytes) else order)


class _Array:
    """Stands for numpy.ndarray, made empty and given its state afterwards."""

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        dtype = dtype.dtype
        if dtype.hasobject:
            flat = np.empty(len(data), dtype=object)
            for i, value in enumerate(data):
                flat[i] = value.array if isinstance(value, _Array) else value
        else:
            flat = np.frombuffer(data, dtype=dtype)
        if math.prod(shape) != flat.size:
            raise errors.CorruptFile("an array's data does not fill its shape.", got=shape)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


def _finished(value: Any) -> Any:
    """Return `value`, a dict or an array, with real arrays for the stand-ins."""
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return value.array if isinstance(value, _Array) else value


def _encode(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, by which Python 3 writes bytes in the older pickle protocols."""
    if encoding not in ("latin1", "latin-1", b"latin1"):
        raise errors.CorruptFile("the file asks for an unusual text encoding.", got=encoding)
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}
