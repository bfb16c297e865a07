"""`kerata summary FILE`: the layers of a model, or the arrays of a file of weights. No code from the file runs."""

from __future__ import annotations

import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kerata import errors

__all__ = ["arrays_in", "show"]


def show(file: str, format: str = "text", expand: bool = False, arrays: bool = False) -> int:
    """Print the table and return the exit status: 2 when the file is missing, damaged or of another kind."""
    from kerata.saving.files import clear_errors, existing

    try:
        path = existing(file, "file")
        with clear_errors(path):
            table = _table_of(path, expand, arrays)
    except errors.KerataError as error:
        print(f"kerata summary: {error}", file=sys.stderr)
        return 2
    if format == "text":
        table.print()
    else:
        print(table.html() if format == "html" else table.markdown(), end="")
    return 0


def _table_of(path: Path, expand: bool, arrays: bool) -> Any:
    if path.is_dir():
        raise errors.Unsupported("this is a folder, and a model is one file.", where=str(path))
    if not arrays and _holds_model(path):
        from kerata import saving
        from kerata.models import summary

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return summary.table(saving.load_model(path, compile=False), expand)
        except errors.UnknownName as error:  # a class that only its program knows: the arrays tell something still
            print(f"kerata summary: {error}\nSo here are the arrays alone.", file=sys.stderr)
    return _table_of_arrays(path)


def _kind(path: Path) -> str:
    """Return what a file is by its first bytes, and for want of these by its name."""
    with open(path, "rb") as file:
        start = file.read(8)
    if start == b"\x89HDF\r\n\x1a\n":
        return "hdf5"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return "npz" if any(name.endswith(".npy") for name in archive.namelist()) else "keras"
    endings = {".h5": "hdf5", ".hdf5": "hdf5", ".npz": "npz", ".safetensors": "safetensors", ".keras": "keras"}
    if path.suffix in endings:
        return endings[path.suffix]
    raise errors.CorruptFile(
        "this is no file of a model or of weights.", where=str(path), expected=", ".join(endings),
        got=f"a file that begins with {start!r}" if start else "an empty file",
    )  # fmt: skip


def _holds_model(path: Path) -> bool:
    kind = _kind(path)
    if kind != "hdf5":
        return kind == "keras"
    from kerata.saving.stores import HDF5Store

    with HDF5Store(path, "r", str(path)) as store:
        return "model_config" in store.file.attrs


# Arrays -------------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """An array in a file, of which nothing is read but what it is."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    bits: int

    @property
    def count(self) -> int:
        """The number of its elements."""
        count = 1
        for n in self.shape:
            count *= n
        return count

    @property
    def bytes(self) -> int:
        """How much memory it takes."""
        return -(-self.count * self.bits // 8)


def arrays_in(path: Path) -> list[Entry]:
    """Return the arrays in a file, in its order; their values are not read."""
    readers = {"hdf5": _in_hdf5, "keras": _in_keras, "npz": _in_npz, "safetensors": _in_safetensors}
    return list(readers[_kind(path)](path))


def _table_of_arrays(path: Path) -> Any:
    from kerata.models.summary import readable
    from kerata.models.tables import Named, Row, Table

    found = arrays_in(path)
    rows = [Row([Named(e.name), str(e.shape), e.dtype, f"{e.count:,}", readable(e.bytes)]) for e in found]
    total, size = sum(e.count for e in found), readable(sum(e.bytes for e in found))
    lines = [f"{len(found):,} arrays, {total:,} numbers ({size}) in a file of {readable(path.stat().st_size)}"]
    columns = ["Array", "Shape", "Dtype", "Numbers", "Size"]
    return Table("File", Named(path.name), columns, rows, lines, right=("Numbers", "Size"))


def _in_hdf5(file: Any, where: str | None = None) -> Iterator[Entry]:
    from kerata.saving.stores import HDF5Store

    with HDF5Store(file, "r", where or str(file)) as store:
        yield from _datasets(store.file, "", set())


def _datasets(group: Any, path: str, open_groups: set[Any]) -> Iterator[Entry]:
    import h5py

    open_groups = {*open_groups, group}  # a group may be a member of itself
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue  # a link to somewhere else
        inner, inside = group[name], f"{path}/{name}" if path else name
        if isinstance(inner, h5py.Dataset) and inner.shape is not None:
            kept = inner.attrs.get("dtype")  # of dtypes that HDF5 lacks
            dtype = kept if isinstance(kept, str) else str(inner.dtype)
            yield Entry(inside, inner.shape, dtype, inner.dtype.itemsize * 8)
        elif isinstance(inner, h5py.Group) and inner not in open_groups:
            yield from _datasets(inner, inside, open_groups)


def _in_keras(path: Path) -> Iterator[Entry]:
    from kerata.saving.files import open_archive, open_member

    with open_archive(path) as archive, open_member(archive, "model.weights.h5") as member:
        yield from _in_hdf5(member, f"{path}: model.weights.h5")


def _in_npz(path: Path) -> Iterator[Entry]:
    from numpy.lib import format as npy

    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                version = npy.read_magic(member)
                header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                shape, _, dtype = header(member)
            yield Entry(name.removesuffix(".npy"), shape, str(dtype), dtype.itemsize * 8)


_SAFETENSORS = {
    "BOOL": "bool", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    **{f"{short}{bits}": f"{name}{bits}" for short, name in (("I", "int"), ("U", "uint"), ("F", "float"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip


def _in_safetensors(path: Path) -> Iterator[Entry]:
    from kerata.saving.stores import SafetensorsStore

    with SafetensorsStore(path, "r", str(path)) as store:
        for name in store._open.keys():  # noqa: SIM118  (it is no dictionary)
            part = store._open.get_slice(name)
            kept = str(part.get_dtype())
            dtype = _SAFETENSORS.get(kept, kept)
            bits = 8 if dtype == "bool" or "8_" in dtype else int("".join(c for c in dtype if c.isdigit()) or 8)
            yield Entry(name, tuple(part.get_shape()), dtype, bits)
