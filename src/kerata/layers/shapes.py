"""Shapes as layers are told them: by old arguments, by data, by files."""

from __future__ import annotations

from typing import Any

from kerata import engine, errors, tree

__all__ = ["as_tuples", "early_input_shape", "known_shape"]


def early_input_shape(kwargs: dict[str, Any]) -> tuple | None:
    """Take the old ways to give a first layer its input shape out of `kwargs`."""
    given = {k: kwargs.pop(k) for k in ("input_dim", "input_shape", "batch_input_shape", "batch_shape") if k in kwargs}
    batch_size = kwargs.pop("batch_size", None) if given else None
    given = {k: v for k, v in given.items() if v is not None}
    if not given:
        return None
    key, value = next(iter(given.items()))
    errors.warn_once(
        f"`{key}` of a layer is the old spelling; it works, and today one starts the model with "
        "`kerata.Input(shape)` instead."
    )
    if key in ("batch_input_shape", "batch_shape"):
        return tuple(value)
    if key == "input_shape":
        shape = (value,) if isinstance(value, int) else tuple(value)
    else:
        length = kwargs.pop("input_length", None)
        shape = (value,) if length is None else (length, value)
    return (batch_size, *shape)


def known_shape(x: Any) -> Any:
    """Return the shape of `x`; a dimension that abstract evaluation is only trying, or a symbol, is unknown."""
    if not hasattr(x, "shape"):
        return None
    if engine.arrays.is_traced(x):
        tried = engine.transforms.unknown_sizes
        return tuple(None if not isinstance(d, int) or d in tried else d for d in x.shape)
    return tuple(x.shape)


def as_tuples(shapes: Any) -> Any:
    """Return shapes as JSON gave them, lists of numbers, as tuples."""
    return tree.map_shape_structure(tuple, shapes) if not isinstance(shapes, dict) else {
        k: as_tuples(v) for k, v in shapes.items()
    }  # fmt: skip
