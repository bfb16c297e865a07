"""Constraints: what a weight is projected to after each step of the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import config, ops
from kerata.core.configurable import Configurable
from kerata.core.registry import Vocabulary

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip


def _norm(w: Any, axis: int | Sequence[int]) -> Any:
    return ops.sqrt(ops.sum(ops.square(w), axis=axis, keepdims=True))


class Constraint(Configurable):
    """The base: a subclass gives `__call__(w)`, which returns the weight as it may be.

    Example:
        >>> class Centred(kerata.constraints.Constraint):
        ...     def __call__(self, w):
        ...         return w - kerata.ops.mean(w)
    """

    def __call__(self, w: Any) -> Any:
        """Return the weight as it may be."""
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(w)")


class MaxNorm(Constraint):
    """Shrinks each vector along `axis` to a norm of at most `max_value`.

    For a Dense kernel (in, out) axis 0 constrains the weights into each unit.
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Any) -> Any:
        norm = _norm(w, self.axis)
        return w * (ops.clip(norm, 0, self.max_value) / (norm + config.epsilon()))


class NonNeg(Constraint):
    """Sets negative weights to 0."""

    def __call__(self, w: Any) -> Any:
        return ops.maximum(w, 0)


class UnitNorm(Constraint):
    """Scales each vector along `axis` to norm 1."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        return w / (_norm(w, self.axis) + config.epsilon())


class MinMaxNorm(Constraint):
    """Moves the norm of each vector along `axis` towards [min_value, max_value], by `rate` of the way."""

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Any) -> Any:
        norm = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (norm + config.epsilon()))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_vocabulary = Vocabulary("constraint", __name__, Constraint)


def get(identifier: Any) -> Any:
    """Return the constraint for a name, a config, a class or a function; None for None."""
    return _vocabulary.get(identifier)


def serialize(constraint: Any) -> Any:
    """Return a constraint as data."""
    return _vocabulary.serialize(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the constraint that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
