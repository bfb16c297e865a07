"""Checks that many layers share: of constructor arguments, and of what `build` and `call` learn of the input's shape.

Each returns the value in its standard form, or raises an error that names the layer and the argument.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from kerata import errors
from kerata.layers.base import Layer
from kerata.layers.shapes import known_shape

__all__ = [
    "Named", "Pairs", "Sizes", "check_window", "fraction", "known_size", "normalized_axes", "one_of", "pairs",
    "positive", "sizes", "with_defaults",
]  # fmt: skip

Named: TypeAlias = Any
"""A name such as "relu" or "he_normal", a config, or the function or object itself."""

Sizes: TypeAlias = int | Sequence[int]
"""One number for every axis, or a number for each."""

Pairs: TypeAlias = int | Sequence[int] | Sequence[Sequence[int]]
"""Cells at both ends of the axes: one number for all, a number for each axis, or (before, after) for each axis."""


# Constructor arguments ------------------------------------------------------------------------------------------


def _invalid(layer: Layer, name: str, value: Any, expected: Any, hint: str | None = None) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        f"`{name}` cannot be this.", where=type(layer).__name__, expected=expected, got=f"{name}={value!r}", hint=hint
    )


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def positive(layer: Layer, name: str, value: Any) -> int:
    """Return `value`, an int of 1 or more."""
    if not _is_int(value) or value < 1:
        hint = f"{name}={value!r} is no int: divide with //, or int({name})" if isinstance(value, float) else None
        raise _invalid(layer, name, value, "a positive int", hint or "print the value: what is it computed from?")
    return int(value)


def fraction(layer: Layer, name: str, value: Any, below_one: bool = False) -> Any:
    """Return `value`, a number from 0 to 1."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not (0 <= value < 1 if below_one else 0 <= value <= 1):
        hint = f"for {value} % give {value / 100}" if number and 1 < value <= 100 else "a share of the whole"
        raise _invalid(layer, name, value, "0 <= " + name + (" < 1" if below_one else " <= 1"), hint)
    return value


def one_of(layer: Layer, name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return `value` in lower case, one of the `allowed` words."""
    if not isinstance(value, str) or value.lower() not in allowed:
        raise _invalid(layer, name, value, allowed, errors.did_you_mean(str(value), allowed))
    return value.lower()


def sizes(layer: Layer, name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """Return `value`, an int or `count` ints, as `count` ints of `least` or more."""
    given = (value,) * count if _is_int(value) else value
    if (
        not isinstance(given, (tuple, list))
        or len(given) != count
        or not all(_is_int(v) and v >= least for v in given)
    ):
        expected = f"an int or {count} ints" if count > 1 else "an int or a tuple of one"
        hint = f"one number for every axis, or {count} for the {count} axes of its own besides batch and channels"
        raise _invalid(layer, name, value, f"{expected}, each {least} or more", hint if count > 1 else "one number")
    return tuple(int(v) for v in given)


def pairs(layer: Layer, name: str, value: Any, count: int) -> tuple[tuple[int, ...], ...]:
    """Return `value`, in any of the forms of `Pairs`, as (before, after) for each of `count` axes."""
    given = (value,) * count if _is_int(value) else value
    if not isinstance(given, (tuple, list)) or len(given) != count:
        raise _invalid(layer, name, value, f"an int, {count} ints, or {count} pairs (before, after) of ints")
    return tuple(sizes(layer, name, pair, 2, least=0) for pair in given)


# Shapes ---------------------------------------------------------------------------------------------------------


def known_size(layer: Layer, input_shape: Any, axis: int) -> int:
    """Return the size of the input along `axis`, which the layer's weights depend on."""
    rank = len(input_shape)
    if not -rank <= axis < rank:
        raise errors.ShapeMismatch(
            "there is no such axis in the input.", where=layer._where(), expected=f"an axis from {-rank} to {rank - 1}",
            got=f"axis {axis} of shape {tuple(input_shape)}",
            hint="axes count from 0, the batch; -1 is the last, the channels or features",
        )  # fmt: skip
    if input_shape[axis] is None:
        raise errors.ShapeMismatch(
            "the weights depend on a size that is not known yet.", where=layer._where(),
            expected=f"a known size along axis {axis}", got=f"shape {tuple(input_shape)}",
            hint="give this size in Input(shape): only the others, such as the number of steps, may be None",
        )  # fmt: skip
    return input_shape[axis]


def normalized_axes(layer: Layer, axis: Any, rank: int) -> tuple[int, ...]:
    """Return `axis`, an int or several, as sorted axes from 0 to `rank - 1`."""
    given = axis if isinstance(axis, (list, tuple)) else (axis,)
    if not all(-rank <= a < rank for a in given):
        raise errors.ShapeMismatch(
            "there is no such axis in the input.", where=layer._where(), expected=f"axes from {-rank} to {rank - 1}",
            got=f"axis={axis!r}",
        )  # fmt: skip
    return tuple(sorted(a % rank for a in given))


def check_window(layer: Layer, x: Any, axes: Sequence[int], window: Sequence[int], padding: str) -> None:
    """Raise when an unpadded `window` does not fit into `x` along `axes`."""
    shape = known_shape(x)
    if padding == "valid" and any(shape[a] is not None and shape[a] < w for a, w in zip(axes, window)):
        raise errors.ShapeMismatch(
            "the window is larger than the input.", where=layer._where(),
            expected=f"at least {tuple(window)} cells along axes {tuple(axes)}", got=f"shape {shape}",
            hint='padding="same" keeps the size; or there are too many layers before this that make it smaller',
        )  # fmt: skip


# Constructors ---------------------------------------------------------------------------------------------------


def with_defaults(constructor: Callable[..., Any], **defaults: Any) -> Callable[..., Any]:
    """Return a copy of `constructor` whose parameters named in `defaults` have these defaults.

    The kernel size of a 2D layer is a pair and that of a 1D layer an int; the rest of their constructors is the same.
    """
    original: Any = inspect.unwrap(constructor)
    copy = types.FunctionType(
        original.__code__, original.__globals__, original.__name__, original.__defaults__, original.__closure__
    )
    parameters = inspect.signature(original).parameters.values()
    values = [
        defaults.get(p.name, p.default)
        for p in parameters
        if p.kind is p.POSITIONAL_OR_KEYWORD and (p.name in defaults or p.default is not p.empty)
    ]
    copy.__defaults__ = tuple(values)
    copy.__kwdefaults__, copy.__annotations__ = original.__kwdefaults__, original.__annotations__
    copy.__qualname__, copy.__doc__, copy.__module__ = original.__qualname__, original.__doc__, original.__module__
    return copy
