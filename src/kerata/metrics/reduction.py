"""Sums and means over batches, and the metric that averages a function of targets and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerata import ops
from kerata.core import scopes
from kerata.losses.reduction import apply_mask, over_leading_axes, squeeze_or_expand_to_same_rank
from kerata.metrics.base import Metric

__all__ = ["FunctionMetric", "Mean", "MeanMetricWrapper", "Sum", "per_sample"]


def per_sample(values: Any, sample_weight: Any, reduce: Callable[..., Any], dtype: Any) -> tuple[Any, Any]:
    """Return weighted values and their weights, (B,) each; weights are None where there are none."""
    mask = scopes.get_mask(values)
    values = ops.convert_to_tensor(values, dtype=dtype)
    weights = sample_weight
    if weights is not None:
        weights = ops.convert_to_tensor(weights, dtype=dtype)
        weights = apply_mask(weights, mask, dtype, "sum")
        if not values.shape:  # one value for the whole batch counts for each of its samples
            values = ops.broadcast_to(values, weights.shape)
        values, weights = squeeze_or_expand_to_same_rank(values, weights)
        rank = len(weights.shape)
        if len(values.shape) > rank:
            values = reduce(values, axis=tuple(range(rank, len(values.shape))))
        weights = ops.broadcast_to(over_leading_axes(weights, values), values.shape)
        values = values * weights
        if rank > 1:
            weights = reduce(weights, axis=tuple(range(1, rank)))
    if len(values.shape) > 1:
        values = reduce(values, axis=tuple(range(1, len(values.shape))))
    return values, weights


class Sum(Metric):
    """The sum of all values, each times its weight.

    Example:
        >>> metric = kerata.metrics.Sum()
        >>> metric.update_state([1, 3, 5, 7])
        >>> round(float(metric.result()), 4)
        16.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight((), dtype=self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Add the values of a batch."""
        values, _ = per_sample(values, sample_weight, ops.sum, self.dtype)
        self.total.assign_add(ops.sum(values))

    def result(self) -> Any:
        """Return the sum so far."""
        return self.total.value


class Mean(Metric):
    """The mean of all values, each as heavy as its weight.

    Example:
        >>> metric = kerata.metrics.Mean()
        >>> metric.update_state([1, 3, 5, 7])
        >>> round(float(metric.result()), 4)
        4.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_weight((), dtype=self.dtype, name="total")
        self.count = self.add_weight((), dtype=self.dtype, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take the values of a batch in: a scalar, (B,), or (B, …), of which each sample's mean counts."""
        values, weights = per_sample(values, sample_weight, ops.mean, self.dtype)
        self.total.assign_add(ops.sum(values))
        if weights is not None:
            self.count.assign_add(ops.sum(weights))
        else:
            self.count.assign_add(float(values.shape[0] if values.shape else 1))

    def result(self) -> Any:
        """Return the mean so far; 0 before the first batch."""
        return ops.divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)` over samples.

    Args:
        fn: a function that returns a value for each sample, (B,) or (B, …).
        name, dtype: as in `Metric`.
        **kwargs: further arguments of `fn`.

    Example:
        >>> metric = kerata.metrics.MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if self._direction is None and (getattr(fn, "__module__", None) or "").startswith("kerata.losses"):
            self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch in; where predictions carry a mask, masked values count for nothing."""
        mask = scopes.get_mask(y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        super().update_state(values, apply_mask(sample_weight, mask, self.dtype, "sum"))


class FunctionMetric(MeanMetricWrapper):
    """The base of the classes that average one function: its arguments are attributes too."""

    def __init__(self, fn: Callable[..., Any], name: str | None, dtype: Any, **arguments: Any) -> None:
        super().__init__(fn, name, dtype, **arguments)
        vars(self).update(arguments)
