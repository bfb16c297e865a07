"""Elementwise formulas over many arrays: an engine may run one operation for all of them, or for all the small ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from kerata import engine
from kerata.core.packing import joined, parted
from kerata.core.scopes import around

__all__ = ["elementwise", "is_elementwise", "jointly", "small_ones"]

F = TypeVar("F", bound=Callable[..., Any])

_FEW = 16  # arrays; XLA compiles a ResNet's 53 small ones 0.8 s longer when they are joined


def elementwise(rule: F) -> F:
    """Mark an update rule that treats each element by itself, so that its Variables' shapes do not matter.

    An `update_step` that is marked does no more than the rule, which may stand in its place.

    Example:
        >>> from kerata.optimizers.joining import elementwise
        >>> class SignDescent(kerata.optimizers.Optimizer):
        ...     @elementwise
        ...     def rule(self, w, g, lr, t):
        ...         return (w - lr * kerata.ops.sign(g),)
    """
    rule.is_elementwise = True  # type: ignore[attr-defined]
    return rule


def is_elementwise(rule: Callable[..., Any]) -> bool:
    """Return whether `rule` is marked; a rule that overrides a marked one is not, unless it is marked too."""
    return getattr(rule, "is_elementwise", False)


def jointly(function: Callable[..., tuple[Any, ...]], rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return `function(*row)` for each row.

    Args:
        function: elementwise; takes arrays of one shape and returns a tuple of such.
        rows: the arrays of each call.
    """
    rows = list(rows)
    if (way := engine.active().fast_ways.get(f"{__name__}.jointly")) is not None:
        return way(function, rows)
    done: dict[int, tuple[Any, ...]] = {}
    for places in _joinable(rows) if around.state is not None else ():  # outside of programs each shape compiles
        results = function(*(joined(column) for column in zip(*(rows[i] for i in places))))
        shapes = [tuple(rows[i][0].shape) for i in places]
        done.update(zip(places, zip(*(parted(vector, shapes) for vector in results))))
    return [done[i] if i in done else function(*row) for i, row in enumerate(rows)]


def small_ones(arrays: Sequence[Any]) -> list[int]:
    """Return the places of the arrays, or Variables, that `jointly` treats side by side.

    None where there are many and yet most elements lie in large ones: these take the time then, and to join many takes
    XLA long to compile.
    """
    sizes, most = [math.prod(x.shape) for x in arrays], engine.transforms.joined_up_to()
    small = [i for i, size in enumerate(sizes) if size <= most]
    return small if len(small) <= _FEW or 2 * sum(sizes[i] for i in small) >= sum(sizes) else []


def _joinable(rows: list[tuple[Any, ...]]) -> list[list[int]]:
    """Return the places of rows of small arrays, those of the same dtypes together."""
    alike: dict[Any, list[int]] = {}
    for i in small_ones([row[0] for row in rows]):
        alike.setdefault(tuple(x.dtype for x in rows[i]), []).append(i)
    return [places for places in alike.values() if len(places) > 1]
