"""Answers of classifiers as class numbers, whatever form they come in."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors, ops

__all__ = ["class_numbers", "class_pairs"]


def class_numbers(y: Any, what: str, where: str) -> np.ndarray:
    """Return classes as integers (N,).

    Takes class numbers (N,) or (N, 1), scores or one-hot rows (N, C), and probabilities of the second of two classes
    (N,) or (N, 1), which are floats in 0 … 1 that are not all whole.
    """
    y = ops.convert_to_numpy(y)
    if y.ndim == 2 and y.shape[1] > 1:
        return y.argmax(axis=1)
    if y.ndim == 2:
        y = y[:, 0]
    if y.ndim != 1:
        raise errors.ShapeMismatch(
            "answers are class numbers or scores.", where=f"{where}: {what}", expected="(N,), (N, 1) or (N, C)",
            got=f"shape {y.shape}",
        )  # fmt: skip
    if y.dtype.kind == "f" and np.any(y != np.round(y)):
        if y.min() < 0 or y.max() > 1:
            raise errors.InvalidArgument(
                "numbers with fractions are probabilities.", where=f"{where}: {what}", expected="0 … 1",
                got=f"{y.min():.3g} … {y.max():.3g}", hint="kerata.ops.sigmoid turns logits into probabilities",
            )  # fmt: skip
        y = y > 0.5
    return y.astype("int64")


def class_pairs(y_true: Any, y_pred: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Return true and predicted classes, of which there must be equally many."""
    true, predicted = class_numbers(y_true, "y_true", where), class_numbers(y_pred, "y_pred", where)
    if len(true) != len(predicted):
        raise errors.ShapeMismatch(
            "each sample needs a true and a predicted class.", where=where, expected=f"{len(true)} predictions",
            got=len(predicted),
        )  # fmt: skip
    return true, predicted
