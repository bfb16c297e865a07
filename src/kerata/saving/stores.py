"""Stores: where the arrays of a model lie in a file, by path. HDF5 and safetensors, in Keras's layout.

A path follows the attributes that lead to a layer; layers in a list go by their class ("layers/dense_1"), because names
of layers differ from one program to the next. The arrays of one layer are `<path>/vars/0`, `1` …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from kerata import errors
from kerata.core.symbolic import snake_case

__all__ = ["Arrays", "HDF5Store", "SafetensorsStore", "holders"]

LARGEST_RATIO = 1000  # an array that claims more than this many times its bytes, and is not small, is a bomb
SMALL = 64 << 20


# What there is to store -----------------------------------------------------------------------------------------


def holders(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield `(path, object)` for the model and everything in it that holds arrays of its own."""
    yield from _walk(root, "", set())


def _is_holder(x: Any) -> bool:
    return hasattr(x, "save_own_variables") and not isinstance(x, type)


def _walk(item: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(item) in seen:
        return
    yield path, item
    seen.add(id(item))
    for name, child in _children(item):
        inner = f"{path}/{name}" if path else name
        if _is_holder(child):
            yield from _walk(child, inner, seen)
        elif isinstance(child, (list, tuple, dict)):
            yield from _walk_container(child, inner, seen, set())


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield what `item` refers to, by attribute, in the order in which Keras looks at it."""
    attributes = dict(vars(item))
    if "_graph" in attributes:  # Sequential and functional models
        yield "layers", item.layers
        del attributes["_layers"]
    elif hasattr(type(item), "layers"):  # other models: in its place in the alphabet, for want of a better name
        attributes["layers"] = item.layers
    # A layer that is found twice is stored once, under the first name: of a property and the attribute behind it,
    # under the property's.
    for cls in type(item).__mro__:
        if cls.__module__.partition(".")[0] in ("kerata", "builtins"):
            continue
        for name, value in vars(cls).items():
            if isinstance(value, property) and name not in attributes:
                try:
                    attributes[name] = getattr(item, name)
                except Exception:  # whatever a user's property does, it is no reason not to save
                    continue
    for name in sorted(attributes, key=_order):
        if name not in _SKIPPED:
            yield name, attributes[name]


_SKIPPED = frozenset({"_inbound_nodes", "_weights", "_captured", "_call_losses", "_compile_arguments", "_programs"})


def _order(name: str) -> str:
    return "~" + name if name.startswith("_") else name


def _walk_container(container: Any, path: str, seen: set[int], open_: set[int]) -> Iterator[tuple[str, Any]]:
    if id(container) in open_:
        return
    open_.add(id(container))
    used: dict[str, int] = {}

    def unique(name: str) -> str:
        count = used[name] = used.get(name, -1) + 1
        return f"{path}/{name}_{count}" if count else f"{path}/{name}"

    for item in container.values() if isinstance(container, dict) else container:
        if _is_holder(item):
            yield from _walk(item, unique(snake_case(type(item).__name__)), seen)
        elif isinstance(item, (list, tuple, dict)):
            yield from _walk_container(item, unique("container"), seen, open_)


# Arrays in files ------------------------------------------------------------------------------------------------


class Arrays(Mapping):
    """The arrays of one holder, by "0", "1" …; each is read when it is asked for."""

    def shape(self, key: str) -> tuple[int, ...]:
        """Return an array's shape, without reading it."""
        raise NotImplementedError

    def __contains__(self, key: object) -> bool:
        return any(key == name for name in self)


class HDF5Store:
    """Arrays in an HDF5 file.

    Args:
        file: a path or an open binary file.
        mode: "r" or "w".
        where: what messages call the file.
    """

    def __init__(self, file: Any, mode: str, where: str) -> None:
        import h5py

        self.where = where
        try:
            self.file = h5py.File(file, mode)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            if mode == "w":
                raise
            raise errors.CorruptFile(
                "the file is no whole HDF5 file: it is cut, damaged or of another kind.", where=where, got=error,
                expected="what save_weights wrote", hint="copy or download it again, and compare the sizes",
            ) from None  # fmt: skip

    def __enter__(self) -> HDF5Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, path: str, arrays: dict[str, Any], name: Any) -> None:
        """Write the arrays of one holder."""
        group = self.file.create_group(f"{path}/vars" if path else "vars")
        if isinstance(name, str):
            group.attrs["name"] = name
        for key, array in arrays.items():
            array = np.asarray(array)
            dataset = group.create_dataset(key, data=array.view(_raw(array)) if _is_extended(array.dtype) else array)
            if _is_extended(array.dtype):
                dataset.attrs["dtype"] = array.dtype.name

    def read(self, path: str) -> Arrays:
        """Return the arrays of one holder."""
        if _OLD_LAYERS in self.file:
            path = path.replace("layers", _OLD_LAYERS)
        group = self.group(f"{path}/vars" if path else "vars")
        return HDF5Arrays({} if group is None else group, f"{self.where}: {path}")

    def paths(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the path of each holder that the file has arrays for, with their names."""
        for path, names in _holders_in(self.file, "", set()):
            yield path.replace(_OLD_LAYERS, "layers"), names

    def group(self, path: str, within: Any = None) -> Any:
        """Return the group at `path`, or None; links to anywhere else are refused."""
        import h5py

        group = self.file if within is None else within
        for part in filter(None, path.split("/")):
            if not _is_inside(group, part, f"{self.where}: {path}"):
                return None
            group = group[part]
            if not isinstance(group, h5py.Group):
                return None
        return group


_OLD_LAYERS = "_layer_checkpoint_dependencies"  # what the first files of this layout call "layers"


def _holders_in(group: Any, path: str, seen: set[Any]) -> Iterator[tuple[str, list[str]]]:
    import h5py

    if group in seen:  # a group may be a member of itself
        return
    seen.add(group)
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue  # what is refused when it is read
        inner = group[name]
        if name == "vars" and isinstance(inner, h5py.Group):
            yield path, list(inner)
        elif isinstance(inner, h5py.Group):
            yield from _holders_in(inner, f"{path}/{name}" if path else name, seen)


def _is_inside(group: Any, name: str, where: str) -> bool:
    """Return whether `group` has a member `name`; one that is only a link is refused."""
    import h5py

    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise errors.CorruptFile(
            "the file links to somewhere else, which is refused.", where=where, got=f"{name}: {type(link).__name__}"
        )
    return link is not None


class HDF5Arrays(Arrays):
    """The arrays of an HDF5 group (or of none), checked before they are read."""

    def __init__(self, group: Any, where: str) -> None:
        self._group, self._where = group, where

    def __getitem__(self, key: str) -> np.ndarray:
        dataset = self._dataset(key)
        name = dataset.attrs.get("dtype")
        try:
            array = np.asarray(dataset[()])
        except (OSError, RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise errors.CorruptFile("an array is damaged.", where=f"{self._where}/{key}", got=error) from None
        extended = _EXTENDED.get(name) if isinstance(name, str) else None
        if extended is not None and extended.itemsize == array.dtype.itemsize and array.dtype != extended:
            array = array.view(extended)
        return array

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._dataset(key).shape)

    def _dataset(self, key: str) -> Any:
        import h5py

        if key not in self or not _is_inside(self._group, key, self._where):
            raise errors.CorruptFile("the file lacks an array.", where=self._where, expected=key, got=list(self._group))
        dataset = self._group[key]
        if not isinstance(dataset, h5py.Dataset) or dataset.shape is None or dataset.dtype.kind not in "biufcV":
            got = getattr(dataset, "dtype", None) or type(dataset).__name__
            raise errors.CorruptFile("this is no array of numbers.", where=f"{self._where}/{key}", got=got)
        if dataset.dtype.kind == "V" and str(dataset.attrs.get("dtype")) not in _EXTENDED:
            raise errors.CorruptFile("this is no array of numbers.", where=f"{self._where}/{key}", got=dataset.dtype)
        if dataset.is_virtual or dataset.external:
            raise errors.CorruptFile("an array lies outside the file, which is refused.", where=self._where, got=key)
        stored = dataset.id.get_storage_size()
        if dataset.nbytes > LARGEST_RATIO * stored + SMALL:
            raise errors.CorruptFile(
                "an array claims an absurd size.", where=f"{self._where}/{key}",
                got=f"shape {dataset.shape} in {stored} bytes",
            )  # fmt: skip
        return dataset

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)


# Dtypes that NumPy lacks; HDF5 keeps them as raw bytes, with the name beside.
_EXTENDED = {
    name: np.dtype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4")
}  # fmt: skip


def _is_extended(dtype: np.dtype) -> bool:
    return dtype.name in _EXTENDED


def _raw(array: np.ndarray) -> np.dtype:
    return np.dtype(f"V{array.dtype.itemsize}")


class SafetensorsStore:
    """Arrays in a safetensors file, memory-mapped when read."""

    def __init__(self, file: Any, mode: str, where: str) -> None:
        self.where, self._file, self._mode = where, file, mode
        self._arrays: dict[str, Any] = {}
        if mode == "r":
            from safetensors import SafetensorError, safe_open

            try:
                self._open = safe_open(str(file), framework="np")
                names = list(self._open.keys())
            except (SafetensorError, OSError, ValueError) as error:
                raise errors.CorruptFile(
                    "the file is no whole safetensors file: it is cut, damaged or of another kind.", where=where,
                    expected="what save_weights wrote", got=error,
                    hint="copy or download it again, and compare the sizes",
                ) from None  # fmt: skip
            self._names: dict[str, list[str]] = {}
            for name in names:
                path, _, key = name.rpartition("/")
                self._names.setdefault(path, []).append(key)

    def __enter__(self) -> SafetensorsStore:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self._mode == "w" and kind is None:
            from safetensors import SafetensorError
            from safetensors.numpy import save_file

            try:
                save_file(self._arrays, str(self._file))
            except SafetensorError as error:
                raise OSError(str(error)) from error

    def write(self, path: str, arrays: dict[str, Any], name: Any) -> None:
        """Write the arrays of one holder."""
        for key, array in arrays.items():
            array = np.asarray(array)
            self._arrays[f"{path}/vars/{key}".lstrip("/")] = np.ascontiguousarray(array).reshape(array.shape)

    def read(self, path: str) -> Arrays:
        """Return the arrays of one holder."""
        prefix = f"{path}/vars".lstrip("/")
        return SafetensorsArrays(self._open, prefix, self._names.get(prefix, []), self.where)

    def paths(self) -> Iterator[tuple[str, list[str]]]:
        """Yield the path of each holder that the file has arrays for, with their names."""
        for path, keys in self._names.items():
            yield path.removesuffix("vars").rstrip("/"), keys


class SafetensorsArrays(Arrays):
    """The arrays of a safetensors file under one path."""

    def __init__(self, file: Any, prefix: str, keys: list[str], where: str) -> None:
        self._file, self._prefix, self._keys, self._where = file, prefix, keys, f"{where}: {prefix}"

    def __getitem__(self, key: str) -> np.ndarray:
        return self._file.get_tensor(self._name(key))

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self._file.get_slice(self._name(key)).get_shape())

    def _name(self, key: str) -> str:
        if key not in self._keys:
            raise errors.CorruptFile("the file lacks an array.", where=self._where, expected=key, got=self._keys)
        return f"{self._prefix}/{key}"

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)
