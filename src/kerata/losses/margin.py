"""Margins: labels are -1 or 1 (0 and 1 are understood so), predictions any numbers, both (B, …, D)."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.losses.checks import pair

__all__ = ["categorical_hinge", "hinge", "squared_hinge"]


def hinge(y_true: Any, y_pred: Any) -> Any:
    """Return mean(max(1 - y_true · y_pred, 0)) over the last axis.

    Example:
        >>> kerata.losses.hinge([[1.0, -1.0]], [[0.5, -2.0]]).tolist()
        [0.25]
    """
    return ops.mean(_shortfall("hinge", y_true, y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """Return mean(max(1 - y_true · y_pred, 0)²) over the last axis.

    Example:
        >>> kerata.losses.squared_hinge([[1.0, -1.0]], [[0.5, -2.0]]).tolist()
        [0.125]
    """
    return ops.mean(ops.square(_shortfall("squared_hinge", y_true, y_pred)), axis=-1)


def _shortfall(loss: str, y_true: Any, y_pred: Any) -> Any:
    y_true, y_pred = pair(loss, y_true, y_pred)
    binary = ops.all((y_true == 0) | (y_true == 1))
    signs = ops.where(binary, 2.0 * y_true - 1.0, y_true)
    return ops.maximum(1.0 - signs * y_pred, 0.0)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """Return max(negative - positive + 1, 0): positive is the right class's score, negative the best wrong one's.

    `y_true` holds one-hot rows.

    Example:
        >>> kerata.losses.categorical_hinge([[0.0, 1.0]], [[0.5, 0.75]]).tolist()
        [0.75]
    """
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    positive = ops.sum(y_true * y_pred, axis=-1)
    negative = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(negative - positive + 1.0, 0.0)
