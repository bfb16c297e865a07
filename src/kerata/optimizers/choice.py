"""A choice inside a step: one of two functions runs, and either may assign Variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kerata import engine
from kerata.core.scopes import StateScope
from kerata.core.variable import Variable

__all__ = ["either"]


def either(
    predicate: Any, on_true: Callable[[], None], on_false: Callable[[], None], variables: Sequence[Variable]
) -> None:
    """Run one of two functions, also where `predicate` is known only when the compiled program runs.

    Args:
        predicate: a boolean scalar.
        on_true, on_false: may assign `variables`, and nothing else.
    """
    if not engine.arrays.is_traced(predicate):
        (on_true if predicate else on_false)()
        return

    def pure(function: Callable[[], None]) -> Callable[[Sequence[Any]], list[Any]]:
        def branch(values: Sequence[Any]) -> list[Any]:
            with StateScope(zip(variables, values)) as scope:
                function()
            return [scope.values[v] for v in variables]

        return branch

    before = [v.raw_value() for v in variables]
    after = engine.transforms.cond(predicate, pure(on_true), pure(on_false), before)
    for variable, value in zip(variables, after):
        variable.assign_unchecked(value)
