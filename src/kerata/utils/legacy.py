"""Objects as data in the way of old Keras: a class's name and its config, or a function's name."""

from __future__ import annotations

from typing import Any

from kerata import errors
from kerata.core.registry import CustomObjectScope, get_custom_objects, get_registered_name

__all__ = ["deserialize_keras_object", "serialize_keras_object"]


def serialize_keras_object(instance: Any) -> Any:
    """Return an object as `{"class_name": …, "config": …}`, a function as its name, None as None."""
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        return {"class_name": get_registered_name(type(instance)), "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return get_registered_name(instance)
    raise errors.InvalidArgument(
        "this cannot be written as data.", where="serialize_keras_object", got=repr(instance),
        expected="an object with `get_config`, or a function",
    )  # fmt: skip


def deserialize_keras_object(
    identifier: Any,
    module_objects: dict[str, Any] | None = None,
    custom_objects: dict[str, Any] | None = None,
    printable_module_name: str = "object",
) -> Any:
    """Return the object that `serialize_keras_object` wrote.

    Args:
        identifier: what was written; anything else than data is returned as it is.
        module_objects: where names are looked up, after the custom objects.
        custom_objects: further objects by their names.
        printable_module_name: what errors call it.

    Example:
        >>> from kerata.utils import legacy
        >>> data = legacy.serialize_keras_object(kerata.layers.Dense(3))
        >>> legacy.deserialize_keras_object(data, {"Dense": kerata.layers.Dense}).units
        3
    """
    if not isinstance(identifier, (str, dict)):
        return identifier
    name, config = (identifier, None) if isinstance(identifier, str) else _parts(identifier, printable_module_name)
    known = {**(module_objects or {}), **get_custom_objects(), **(custom_objects or {})}
    if name not in known:
        raise errors.UnknownName(printable_module_name, name, known)
    found = known[name]
    if config is None:
        return found() if isinstance(found, type) else found
    with CustomObjectScope(custom_objects):
        return found.from_config(config) if hasattr(found, "from_config") else found(**config)


def _parts(data: dict[str, Any], what: str) -> tuple[str, dict[str, Any]]:
    if not {"class_name", "config"} <= data.keys():
        raise errors.InvalidArgument(
            f"these are no data of an {what}.", where="deserialize_keras_object",
            expected="{'class_name': …, 'config': …}", got=repr(data)[:80],
        )  # fmt: skip
    return data["class_name"], data["config"]
