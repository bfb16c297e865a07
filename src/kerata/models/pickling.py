"""Pickled models: the bytes of a `.keras` file, and by reference the classes and functions that it names."""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kerata.core import registry

__all__ = ["Pickled"]


class Pickled:
    """Lets `pickle` (and joblib, and worker processes) carry a model; copies in memory need no file.

    A model that has no weights yet is carried as its config.
    """

    built: bool
    jit_compile: Any
    _programs: dict[Any, Any]
    if TYPE_CHECKING:

        def _forget_programs(self) -> None: ...

    def __reduce__(self) -> tuple[Any, ...]:
        with registry.ObjectSharing() as sharing:
            if self.built:
                content = _saved(self)
            else:
                content = json.dumps(registry.serialize_keras_object(self)).encode()
        named = {name: item for name, item in sharing.foreign.items() if _is_importable(item)}
        return _restore, (content, named), {"jit_compile": self.jit_compile}  # a file has no "auto"

    def __copy__(self) -> Self:
        new = type(self).__new__(type(self))
        vars(new).update(vars(self))
        new._forget_programs()
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = type(self).__new__(type(self))
        memo[id(self._programs)] = {}  # they are the original's
        vars(new).update(copy.deepcopy(vars(self), memo))
        new._forget_programs()
        return new


def _saved(model: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _restore(content: bytes, custom_objects: dict[str, Any]) -> Any:
    from kerata import saving

    if content.startswith(b"{"):
        with registry.ObjectSharing():
            return registry.deserialize_keras_object(json.loads(content), custom_objects)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        path.write_bytes(content)
        return saving.load_model(path, custom_objects)


def _is_importable(item: Any) -> bool:
    """Return whether another program finds `item` under its name; pickle says so itself of what is not registered."""
    found: Any = sys.modules.get(item.__module__)
    for name in item.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is item or registry._registered_names.get(item) is None
