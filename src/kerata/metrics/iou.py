"""Intersection over union: how far predicted regions and true ones cover each other, by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import config, engine, errors, ops
from kerata.core import dtypes
from kerata.losses.reduction import over_leading_axes
from kerata.metrics.base import Metric

__all__ = ["BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU"]


class IoU(Metric):
    """The mean over some classes of true positives / (true positives + false positives + false negatives).

    Args:
        num_classes: how many classes there are.
        target_class_ids: the classes that count.
        ignore_class: a label whose samples count for nothing.
        sparse_y_true: whether labels are class numbers; else one-hot rows.
        sparse_y_pred: whether predictions are class numbers; else rows of scores.
        axis: the axis of the classes in rows.

    Example:
        >>> metric = kerata.metrics.IoU(num_classes=2, target_class_ids=[0])
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(float(metric.result()), 4)
        0.3333
    """

    _direction = "up"

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name=name, dtype=dtype or "int32")
        if max(target_class_ids) >= num_classes:
            raise errors.InvalidArgument(
                "a target class does not exist.", where=self.name, expected=f"numbers from 0 to {num_classes - 1}",
                got=max(target_class_ids),
            )  # fmt: skip
        self.num_classes, self.target_class_ids = num_classes, list(target_class_ids)
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_weight((num_classes, num_classes), dtype=self.dtype, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the matrix of true and predicted classes; weights are one a sample, or one a label."""
        y_true = self._numbers(y_true, self.sparse_y_true)
        y_pred = ops.reshape(self._numbers(y_pred, self.sparse_y_pred), (-1,))
        weights = ops.convert_to_tensor(1 if sample_weight is None else sample_weight)
        if dtypes.is_float(weights.dtype) and dtypes.is_int(self.dtype):
            errors.warn_once(
                f"metric {self.name!r} counts in {self.dtype}, so float weights lose their fractions: give it "
                "dtype='float32'."
            )
        weights = ops.cast(weights, self.dtype)
        if weights.shape and math.prod(weights.shape) != math.prod(y_true.shape):
            weights = ops.broadcast_to(over_leading_axes(weights, y_true), y_true.shape)
        weights = ops.reshape(weights, (-1,)) if weights.shape else weights
        y_true = ops.reshape(y_true, (-1,))
        known = (y_true >= 0) & (y_true < self.num_classes) & (y_pred >= 0) & (y_pred < self.num_classes)
        if self.ignore_class is not None:
            known = known & (y_true != self.ignore_class)
        weights = ops.where(known, weights, ops.zeros_like(weights))
        where = ops.where(known, y_true, 0), ops.where(known, y_pred, 0)
        self.total_cm.assign(engine.arrays.add_at(self.total_cm.value, where, weights))

    def _numbers(self, x: Any, sparse: bool) -> Any:
        x = ops.convert_to_tensor(x) if sparse else ops.argmax(x, axis=self.axis)
        return ops.cast(x, "int32")

    def result(self) -> Any:
        """Return the mean over the target classes that occurred."""
        matrix = ops.cast(self.total_cm, "float32")
        both = ops.diagonal(matrix)
        either = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - both
        ids = ops.convert_to_tensor(self.target_class_ids, dtype="int32")
        both, either = ops.take(both, ids), ops.take(either, ids)
        occurred = either > 1e-9
        shares = ops.where(occurred, both / (either + config.epsilon()), 0.0)
        return ops.sum(shares) / (ops.sum(ops.cast(occurred, "float32")) + config.epsilon())


class BinaryIoU(IoU):
    """`IoU` of two classes, told apart by a threshold on scores.

    Example:
        >>> metric = kerata.metrics.BinaryIoU(threshold=0.3)
        >>> metric.update_state([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7])
        >>> round(float(metric.result()), 4)
        0.3333
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch to the matrix of true and predicted classes."""
        super().update_state(y_true, ops.convert_to_tensor(y_pred, dtype="float32") >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """`IoU` over all classes.

    Example:
        >>> metric = kerata.metrics.MeanIoU(num_classes=2)
        >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
        >>> round(float(metric.result()), 4)
        0.3333
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """`IoU` for one-hot labels.

    Example:
        >>> metric = kerata.metrics.OneHotIoU(num_classes=2, target_class_ids=[1])
        >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.0
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`IoU` over all classes for one-hot labels.

    Example:
        >>> metric = kerata.metrics.OneHotMeanIoU(num_classes=2)
        >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
