"""Names that stand in `keras.utils` though their home is on another floor. Nothing is made here but `clear_session`."""

from __future__ import annotations

import gc

from kerata.config import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
)
from kerata.core import scopes
from kerata.core.dtypes import standardize as standardize_dtype
from kerata.core.registry import (
    CustomObjectScope,
    custom_object_scope,
    deserialize_keras_object,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
    serialize_keras_object,
)
from kerata.core.rng import set_random_seed
from kerata.core.symbolic import get_source_inputs, is_keras_tensor

__all__ = [
    "CustomObjectScope", "clear_session", "custom_object_scope", "deserialize_keras_object",
    "disable_interactive_logging", "enable_interactive_logging", "get_custom_objects", "get_registered_name",
    "get_registered_object", "get_source_inputs", "is_interactive_logging_enabled", "is_keras_tensor",
    "register_keras_serializable", "serialize_keras_object", "set_random_seed", "standardize_dtype",
]  # fmt: skip


def clear_session(free_memory: bool = True) -> None:
    """Start automatic names anew; with `free_memory`, also collect what no one refers to any more.

    Example:
        >>> kerata.utils.clear_session()
        >>> kerata.layers.Dense(1).name
        'dense'
    """
    scopes.reset_names()
    if free_memory:
        gc.collect()
