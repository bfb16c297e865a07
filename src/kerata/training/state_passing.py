"""Steps as Keras's guides for its JAX backend write them: they take the state and return it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from kerata.core.variable import raw_values

__all__ = ["taking_data_only"]


def taking_data_only(model: Any, step: Callable[..., Any], mode: str) -> Callable[[Any], Any]:
    """Return `step` as a function of the data; one of `(state, data)` is given the state, and its own is kept.

    The state is the values of the trainable and the other Variables; in training then of the optimizer's, and but in
    prediction of the metrics'.
    """
    if len(inspect.signature(step).parameters) != 2:
        return step

    @functools.wraps(step)
    def of_data(data: Any) -> Any:
        groups = [model.trainable_variables, model.non_trainable_variables]
        if mode == "predict":  # returns the second group only: nothing trains
            outputs, after = step(_values(groups), data)
            _assign(groups[1:], (after,))
            return outputs
        groups += [model.optimizer.variables] if mode == "train" else []
        groups += [model.metrics_variables]
        logs, after = step(_values(groups), data)
        _assign(groups, after)
        nested = (log if isinstance(log, dict) else {key: log} for key, log in logs.items())
        return {name: value for logs in nested for name, value in logs.items()}

    return of_data


def _values(groups: list[list[Any]]) -> tuple[list[Any], ...]:
    return tuple(raw_values(group) for group in groups)


def _assign(groups: list[list[Any]], values: Any) -> None:
    for group, after in zip(groups, values, strict=True):
        for variable, value in zip(group, after, strict=True):
            variable.assign(value)
