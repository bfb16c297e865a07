"""Elementwise formulas over many arrays: an engine that runs one operation after the other may run them as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kerata import engine

__all__ = ["elementwise", "is_elementwise", "jointly"]

F = TypeVar("F", bound=Callable[..., Any])


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
    way = engine.active().fast_ways.get(f"{__name__}.jointly")
    return [function(*row) for row in rows] if way is None else way(function, rows)
