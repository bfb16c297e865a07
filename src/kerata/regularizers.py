"""Regularizers: penalties on weights or outputs that join the loss."""

from __future__ import annotations

import math
from typing import Any

from kerata import errors, ops
from kerata.core.configurable import Configurable
from kerata.core.registry import Vocabulary

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip


class Regularizer(Configurable):
    """The base: a subclass gives `__call__(x)`, which returns the penalty, a scalar.

    Example:
        >>> class Mean(kerata.regularizers.Regularizer):
        ...     def __call__(self, x):
        ...         return 0.1 * kerata.ops.abs(kerata.ops.mean(x))
    """

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar."""
        return 0.0


def _factor(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or not math.isfinite(value):
        raise errors.InvalidArgument(
            f"`{name}` is no penalty factor.", where=where, expected="a finite number of 0 or more", got=repr(value)
        )
    return float(value)


class L1L2(Regularizer):
    """l1 Σ|x| + l2 Σx²."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = _factor(0.0 if l1 is None else l1, "l1", "L1L2")
        self.l2 = _factor(0.0 if l2 is None else l2, "l2", "L1L2")

    def __call__(self, x: Any) -> Any:
        penalty = self.l1 * ops.sum(ops.abs(x)) if self.l1 else 0.0
        return penalty + self.l2 * ops.sum(ops.square(x)) if self.l2 else penalty


class L1(Regularizer):
    """l1 Σ|x|: drives weights to exactly 0."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = _factor(0.01 if l1 is None else l1, "l1", "L1")

    def __call__(self, x: Any) -> Any:
        return self.l1 * ops.sum(ops.abs(x))


class L2(Regularizer):
    """l2 Σx²: keeps weights small.

    Example:
        >>> float(kerata.regularizers.L2(0.5)([1.0, 2.0]))
        2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = _factor(0.01 if l2 is None else l2, "l2", "L2")

    def __call__(self, x: Any) -> Any:
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """factor times the mean |cosine| between the rows (or columns) of a matrix."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise errors.UnknownName("mode", mode, ("rows", "columns"), where="OrthogonalRegularizer")
        self.factor, self.mode = _factor(factor, "factor", "OrthogonalRegularizer"), mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise errors.ShapeMismatch("wants a matrix.", where="OrthogonalRegularizer", expected="(m, n)", got=x.shape)
        rows = ops.normalize(x if self.mode == "rows" else ops.transpose(x), axis=1)
        cosines = ops.matmul(rows, ops.transpose(rows))
        n = rows.shape[0]
        return self.factor * 0.5 * ops.sum(ops.abs(cosines * (1 - ops.eye(n, dtype=x.dtype)))) / (n * (n - 1) / 2)


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_vocabulary = Vocabulary("regularizer", __name__, Regularizer)


def get(identifier: Any) -> Any:
    """Return the regularizer for a name, a config, a class or a function; None for None.

    Example:
        >>> kerata.regularizers.get("l2").l2
        0.01
    """
    return _vocabulary.get(identifier)


def serialize(regularizer: Any) -> Any:
    """Return a regularizer as data."""
    return _vocabulary.serialize(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the regularizer that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
