"""What an object holds: Variables and other objects with state, found by walking its attributes.

Nothing is registered when attributes are set: a plain list or dict of layers, changed at any time, just works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from kerata.core.variable import Variable

__all__ = ["Stateful", "members", "unique"]

T = TypeVar("T")


class Stateful:
    """Something that holds Variables: a layer, a metric, a seed generator."""

    # Attributes that refer to things which belong to others.
    _not_members: frozenset[str] = frozenset()

    @property
    def variables(self) -> list[Variable]:
        """Every Variable held, at any depth."""
        return unique(v for m in members(self) for v in ([m] if isinstance(m, Variable) else m.variables))


def members(item: Stateful) -> Iterator[Any]:
    """Yield the Variables and stateful objects that `item` holds directly, in the order of its attributes."""
    skip = item._not_members
    for name, value in vars(item).items():
        if type(value) not in _PLAIN and name not in skip:  # most attributes are plain, and this is asked often
            yield from _within(value)


_PLAIN = frozenset({bool, int, float, str, type(None)})


def _within(value: Any) -> Iterator[Any]:
    if isinstance(value, (Variable, Stateful)):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _within(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _within(item)


def unique(items: Iterable[T]) -> list[T]:
    """Return `items` without repetitions of the same object, in order."""
    return list({id(item): item for item in items}.values())
