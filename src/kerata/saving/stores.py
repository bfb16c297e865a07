"""Stores: where the arrays of a model lie in a file, by path. HDF5 and safetensors, in Keras's layout.

A path follows the attributes that lead to a layer; layers in a list go by their class ("layers/dense_1"), because names
of layers differ from one program to the next. The arrays of one layer are `<path>/vars/0`, `1` …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerata import errors
from kerata.core.symbolic import snake_case

__all__ = ["HDF5Store", "SafetensorsStore", "holders"]

LARGEST_RATIO = 1000  # a compressed dataset that claims more than this many times its bytes is a bomb


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
    children: list[tuple[str, Any]] = []
    if hasattr(item, "_layers"):
        children.append(("layers", item.layers))
    attributes = vars(item)
    # Private attributes come last, as Keras sorts them.
    children += [(n, attributes[n]) for n in sorted(attributes, key=_order) if n not in _SKIPPED]
    for name, child in children:
        inner = f"{path}/{name}" if path else name
        if _is_holder(child):
            yield from _walk(child, inner, seen)
        elif isinstance(child, (list, tuple, dict)):
            yield from _walk_container(child, inner, seen, set())


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


class HDF5Store:
    """Arrays in an HDF5 file.

    Args:
        file: a path or an open binary file.
        mode: "r" or "w".
    """

    def __init__(self, file: Any, mode: str, where: str) -> None:
        import h5py

        self.where = where
        try:
            self.file = h5py.File(file, mode)
        except OSError as error:
            raise errors.CorruptFile(
                "the file is no whole HDF5 file: it is cut, damaged or of another kind.", where=where, got=error
            ) from None

    def __enter__(self) -> HDF5Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, path: str, arrays: dict[str, np.ndarray], name: str | None) -> None:
        """Write the arrays of one holder."""
        group = self.file.create_group(f"{path}/vars" if path else "vars")
        if name:
            group.attrs["name"] = name
        for key, array in arrays.items():
            if array.dtype.name == "bfloat16":  # HDF5 has no such type
                group.create_dataset(key, data=array.view(np.uint16)).attrs["dtype"] = "bfloat16"
            else:
                group.create_dataset(key, data=array)

    def read(self, path: str) -> Mapping[str, Any]:
        """Return the arrays of one holder, each read when it is asked for."""
        group = self._group(f"{path}/vars" if path else "vars")
        return _Arrays(group, self.where) if group is not None else {}

    def has(self, path: str) -> bool:
        """Return whether the file holds anything for this holder."""
        return self._group(path) is not None if path else True

    def _group(self, path: str) -> Any:
        import h5py

        group = self.file
        for part in filter(None, path.split("/")):
            link = group.get(part, getlink=True)
            if link is None:
                return None
            _refuse_foreign(link, f"{self.where}: {path}")
            group = group[part]
            if not isinstance(group, h5py.Group):
                return None
        return group


def _refuse_foreign(link: Any, where: str) -> None:
    import h5py

    if not isinstance(link, h5py.HardLink):
        raise errors.CorruptFile(
            "the file links to somewhere else, which is refused.", where=where, got=type(link).__name__
        )


class _Arrays(Mapping):
    """The arrays of an HDF5 group, checked before they are read."""

    def __init__(self, group: Any, where: str) -> None:
        self._group, self._where = group, f"{where}: {group.name}"

    def __getitem__(self, key: str) -> np.ndarray:
        link = self._group.get(key, getlink=True)
        if link is None:
            raise errors.CorruptFile("the file lacks an array.", where=self._where, expected=key, got=list(self._group))
        _refuse_foreign(link, self._where)
        dataset = self._group[key]
        if getattr(dataset, "is_virtual", False) or getattr(dataset, "external", None):
            raise errors.CorruptFile("an array lies outside the file, which is refused.", where=self._where, got=key)
        stored = dataset.id.get_storage_size()
        if dataset.size and dataset.nbytes > LARGEST_RATIO * max(stored, 1) + (1 << 20):
            raise errors.CorruptFile(
                "an array claims an absurd size.", where=self._where,
                got=f"shape {dataset.shape} in {stored} bytes",
            )  # fmt: skip
        try:
            array = np.asarray(dataset[()])
        except OSError as error:
            raise errors.CorruptFile("an array is damaged.", where=f"{self._where}/{key}", got=error) from None
        if dataset.attrs.get("dtype") == "bfloat16":
            import ml_dtypes

            array = array.view(ml_dtypes.bfloat16)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __len__(self) -> int:
        return len(self._group)


class SafetensorsStore:
    """Arrays in a safetensors file, memory-mapped when read."""

    def __init__(self, file: Any, mode: str, where: str) -> None:
        self.where, self._file, self._mode = where, file, mode
        self._arrays: dict[str, Any] = {}
        if mode == "r":
            from safetensors import SafetensorError, safe_open

            try:
                self._open = safe_open(str(file), framework="np")
                self._names = set(self._open.keys())
            except (SafetensorError, OSError) as error:
                raise errors.CorruptFile(
                    "the file is no whole safetensors file: it is cut, damaged or of another kind.", where=where,
                    got=error,
                ) from None  # fmt: skip

    def __enter__(self) -> SafetensorsStore:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if self._mode == "w" and kind is None:
            from safetensors.numpy import save_file

            save_file(self._arrays, str(self._file))

    def write(self, path: str, arrays: dict[str, np.ndarray], name: str | None) -> None:
        """Write the arrays of one holder."""
        for key, array in arrays.items():
            self._arrays[f"{path}/vars/{key}".lstrip("/")] = np.ascontiguousarray(array)

    def read(self, path: str) -> Mapping[str, Any]:
        """Return the arrays of one holder."""
        prefix = f"{path}/vars/".lstrip("/")
        keys = [n[len(prefix) :] for n in self._names if n.startswith(prefix)]
        return {key: self._open.get_tensor(prefix + key) for key in keys}

    def has(self, path: str) -> bool:
        """Return whether the file holds anything for this holder."""
        return any(n.startswith(f"{path}/") for n in self._names) if path else True
