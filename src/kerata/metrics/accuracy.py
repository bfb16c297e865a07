"""Accuracies: which share of the predictions is right."""

from __future__ import annotations

from typing import Any

from kerata import config, errors, ops
from kerata.losses.checks import check_pair
from kerata.losses.reduction import squeeze_or_expand_to_same_rank
from kerata.metrics.reduction import FunctionMetric

__all__ = [
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy", "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy", "accuracy", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy", "top_k_categorical_accuracy",
]  # fmt: skip


def _hits(right: Any) -> Any:
    return ops.cast(right, config.floatx())


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where y_pred equals y_true, else 0.

    Example:
        >>> kerata.metrics.accuracy.accuracy([1, 2, 3], [1, 2, 0]).tolist()
        [1.0, 1.0, 0.0]
    """
    y_pred = ops.convert_to_tensor(y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(ops.convert_to_tensor(y_true, dtype=y_pred.dtype), y_pred)
    check_pair("accuracy", y_true, y_pred, "metric")
    return _hits(y_true == y_pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Return 1 where `y_pred > threshold` says what the label 0 or 1 says, else 0.

    Example:
        >>> kerata.metrics.binary_accuracy([[1], [0]], [[0.9], [0.6]]).tolist()
        [[1.0], [0.0]]
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    check_pair("binary_accuracy", y_true, y_pred, "metric")
    return _hits(y_true == ops.cast(y_pred > threshold, y_true.dtype))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where the largest score is at the one of the one-hot label, else 0: (B, …, C) to (B, …).

    Raises:
        ShapeMismatch: for class numbers in the place of one-hot rows.

    Example:
        >>> kerata.metrics.categorical_accuracy([[0, 1]], [[0.2, 0.8]]).tolist()
        [1.0]
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    _check_rows("categorical_accuracy", y_true, y_pred, "sparse_categorical_accuracy")
    return _hits(ops.argmax(y_true, axis=-1) == ops.argmax(y_pred, axis=-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where the largest score is at the class number y_true, else 0: scores (B, …, C) to (B, …).

    Labels are (B, …) or (B, …, 1).

    Raises:
        ShapeMismatch: for one-hot rows in the place of class numbers.

    Example:
        >>> kerata.metrics.sparse_categorical_accuracy([1], [[0.2, 0.8]]).tolist()
        [1.0]
    """
    y_true, y_pred = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
    hits = _hits(y_true == ops.cast(ops.argmax(y_pred, axis=-1), y_true.dtype))
    return ops.squeeze(hits, -1) if len(hits.shape) > 1 and hits.shape[-1] == 1 else hits


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Return 1 where the one of the one-hot label is among the `k` largest scores, else 0.

    Example:
        >>> kerata.metrics.top_k_categorical_accuracy([[0, 0, 1]], [[0.1, 0.7, 0.2]], k=2).tolist()
        [1.0]
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    _check_rows("top_k_categorical_accuracy", y_true, y_pred, "sparse_top_k_categorical_accuracy")
    return _among_top(ops.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """Return 1 where the class number y_true is among the `k` largest scores, else 0.

    With `from_sorted_ids`, `y_pred` holds class numbers, best first, in the place of scores.

    Example:
        >>> kerata.metrics.sparse_top_k_categorical_accuracy([2], [[0.1, 0.7, 0.2]], k=2).tolist()
        [1.0]
    """
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if from_sorted_ids:
        return _hits(ops.any(ops.expand_dims(ops.cast(y_true, y_pred.dtype), -1) == y_pred[..., :k], axis=-1))
    y_true, y_pred = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
    return _among_top(y_true, y_pred, k)


def _among_top(numbers: Any, scores: Any, k: int) -> Any:
    """Return the hits of class numbers (B, …) among the `k` largest of scores (B, …, C)."""
    flat = ops.in_top_k(
        ops.reshape(ops.cast(numbers, "int32"), (-1,)), ops.reshape(scores, (-1, scores.shape[-1])), k=k
    )
    return _hits(ops.reshape(flat, numbers.shape) if len(numbers.shape) != 1 else flat)


def _class_numbers(metric: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    if len(ours) == len(theirs) and ours[-1] == 1:
        return ops.squeeze(y_true, -1), y_pred
    if ours == theirs and theirs[-1] != 1:
        raise errors.ShapeMismatch(
            "the labels look like one-hot rows; this metric takes class numbers.", where=f"metric {metric!r}",
            expected=f"y_true of shape {theirs[:-1]}", got=f"shape {ours}",
            hint=f"use {metric.removeprefix('sparse_')!r}, or 'accuracy', which finds out by itself",
        )  # fmt: skip
    return y_true, y_pred


def _check_rows(metric: str, y_true: Any, y_pred: Any, sparse: str) -> None:
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    if theirs[-1:] != (1,) and (ours == theirs[:-1] or ours == (*theirs[:-1], 1)):
        raise errors.ShapeMismatch(
            "the labels look like class numbers; this metric takes one-hot rows.", where=f"metric {metric!r}",
            expected=f"y_true of shape {theirs}", got=f"shape {ours}",
            hint=f"use {sparse!r}, or 'accuracy', which finds out by itself, or turn them into rows: "
            f"y = kerata.utils.to_categorical(y, num_classes={theirs[-1]})",
        )  # fmt: skip


class Accuracy(FunctionMetric):
    """The share of predictions that equal the targets; see `accuracy`.

    Example:
        >>> metric = kerata.metrics.Accuracy()
        >>> metric.update_state([[1], [2], [3], [4]], [[0], [2], [3], [4]])
        >>> round(float(metric.result()), 4)
        0.75
    """

    _direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(FunctionMetric):
    """The share of right answers to yes-no questions; see `binary_accuracy`.

    Example:
        >>> metric = kerata.metrics.BinaryAccuracy(threshold=0.7)
        >>> metric.update_state([0, 1, 1], [0.2, 0.6, 0.9])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    _direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(FunctionMetric):
    """The share of right classes, for one-hot labels; see `categorical_accuracy`.

    Example:
        >>> metric = kerata.metrics.CategoricalAccuracy()
        >>> metric.update_state([[0, 1], [1, 0]], [[0.2, 0.8], [0.4, 0.6]])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(FunctionMetric):
    """The share of right classes, for labels that are class numbers; see `sparse_categorical_accuracy`.

    Example:
        >>> metric = kerata.metrics.SparseCategoricalAccuracy()
        >>> metric.update_state([1, 0], [[0.2, 0.8], [0.4, 0.6]])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(FunctionMetric):
    """The share of samples whose class is among the k best scores; see `top_k_categorical_accuracy`.

    Example:
        >>> metric = kerata.metrics.TopKCategoricalAccuracy(k=2)
        >>> metric.update_state([[0, 0, 1]], [[0.1, 0.7, 0.2]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(FunctionMetric):
    """The share of samples whose class number is among the k best scores.

    Example:
        >>> metric = kerata.metrics.SparseTopKCategoricalAccuracy(k=2)
        >>> metric.update_state([2, 0], [[0.1, 0.7, 0.2], [0.1, 0.7, 0.2]])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _direction = "up"
    _unlisted = frozenset({"from_sorted_ids"})

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)
