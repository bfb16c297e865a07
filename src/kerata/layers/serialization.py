"""Layers as data, and back."""

from __future__ import annotations

from typing import Any

from kerata import errors
from kerata.core import registry
from kerata.core.symbolic import Operation

__all__ = ["deserialize", "serialize"]


def serialize(layer: Any) -> dict[str, Any]:
    """Return a layer as data: its class and config, without weights.

    Example:
        >>> kerata.layers.serialize(kerata.layers.Dense(3))["class_name"]
        'Dense'
    """
    return registry.serialize_keras_object(layer)


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """Return a new layer made as `serialize` described it.

    Args:
        custom_objects: classes and functions by name that the data may mean besides kerata's own.

    Raises:
        InvalidType: when the data describe something that is no layer.

    Example:
        >>> kerata.layers.deserialize(kerata.layers.serialize(kerata.layers.Dense(3))).units
        3
    """
    found = registry.deserialize_keras_object(config, custom_objects)
    if not isinstance(found, Operation):
        raise errors.InvalidType("this is no layer.", where="layers.deserialize", got=repr(found)[:80])
    return found
