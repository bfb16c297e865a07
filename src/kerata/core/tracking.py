"""What an object holds: Variables and other objects with state, found by walking its attributes.

Nothing is registered when attributes are set: a plain list or dict of layers, changed at any time, just works.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from kerata.core.scopes import around
from kerata.core.variable import Variable

__all__ = ["Stateful", "members", "remembered", "unique"]

T = TypeVar("T")


class Stateful:
    """Something that holds Variables: a layer, a metric, a seed generator."""

    # Attributes that refer to things which belong to others.
    _not_members: frozenset[str] = frozenset()

    @property
    def variables(self) -> list[Variable]:
        """Every Variable held, at any depth."""
        return unique(v for m in members(self) for v in ([m] if isinstance(m, Variable) else m.variables))


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Walk each object once inside the block, and again once a Variable has been made there.

    For code that asks often what a model holds, and makes nothing that holds weights of old: a training step.
    """
    before, around.held = around.held, {}
    try:
        yield
    finally:
        around.held = before


def members(item: Stateful) -> list[Any]:
    """Return the Variables and stateful objects that `item` holds directly, in the order of its attributes."""
    if around.held is None:
        return _walked(item)
    known = around.held.get(id(item))
    if known is None or known[0] is not item:
        known = around.held[id(item)] = item, _walked(item)
    return known[1]


def _walked(item: Stateful) -> list[Any]:
    skip, found = item._not_members, []
    for name, value in vars(item).items():
        if _may_hold(type(value)) and name not in skip:
            _gather(value, found)
    return found


@functools.lru_cache(maxsize=4096)
def _may_hold(kind: type) -> bool:
    """Return whether a value of this type is asked for, or a container; most are neither, and this is asked often."""
    return issubclass(kind, (Variable, Stateful, list, tuple, dict))


def _gather(value: Any, found: list[Any]) -> None:
    """Add to `found` what `value` is, or holds as a container."""
    if isinstance(value, (Variable, Stateful)):
        found.append(value)
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            if _may_hold(type(item)):
                _gather(item, found)


def unique(items: Iterable[T]) -> list[T]:
    """Return `items` without repetitions of the same object, in order."""
    return list({id(item): item for item in items}.values())
