"""Sums and means over batches, and the metric that averages a function of targets and predictions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from kerata import ops
from kerata.core import registry, scopes
from kerata.losses.base import bind, constructor, give_constructor, listed
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
        >>> metric.result()
        16.0
    """

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), dtype=self.dtype, name="total")

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
        >>> metric.result()
        4.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), dtype=self.dtype, name="total")
        self.count = self.add_variable((), dtype=self.dtype, name="count")

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
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs
        if (getattr(fn, "__module__", None) or "").startswith("kerata.losses"):
            self._direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch in; where predictions carry a mask, masked values count for nothing."""
        mask = scopes.get_mask(y_pred)
        values = self._fn(y_true, y_pred, **self._fn_kwargs)
        super().update_state(values, apply_mask(sample_weight, mask, self.dtype, "sum"))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        own = registry.serialize_keras_object(self._fn_kwargs)
        return {**super().get_config(), "fn": registry.serialize_keras_object(self._fn), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """Make a metric from its config."""
        return cls(**(registry.deserialize_keras_object(config) if "fn" in config else config))


class FunctionMetric(MeanMetricWrapper):
    """The base of the classes that average one function: a subclass names it in its first line.

    >>> class BinaryAccuracy(FunctionMetric, fn=binary_accuracy, direction="up"): ...

    makes the constructor `BinaryAccuracy(name="binary_accuracy", dtype=None, threshold=0.5)`.
    """

    _signature: ClassVar[inspect.Signature]
    _function: ClassVar[Callable[..., Any]]
    _unlisted: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(
        cls,
        fn: Callable[..., Any] | None = None,
        name: str | None = None,
        order: str = "",
        direction: str | None = None,
        unlisted: tuple[str, ...] = (),
        **defaults: Any,
    ) -> None:
        """Make the constructor.

        Args:
            fn: the function; None in a subclass of a subclass.
            name: the default name; the function's for None.
            order: the parameters' names, where their order differs from the usual or some are left out.
            direction: "up" where more is better, "down" where less is.
            unlisted: parameters that are in a config only where they differ from the default, as in Keras or nearly.
            **defaults: defaults that differ from the function's.
        """
        if fn is not None:
            shared = {"name": name or fn.__name__, "dtype": None}
            cls._function, cls._unlisted = staticmethod(fn), unlisted  # type: ignore[assignment]
            cls._direction = direction
            cls._signature = constructor(fn, order, before=shared, **defaults)
            give_constructor(cls)
        super().__init_subclass__()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = bind(type(self)._signature, type(self).__name__, self, *args, **kwargs)
        super().__init__(type(self)._function, given.pop("name"), given.pop("dtype"), **given)
        self._direction = type(self)._direction
        vars(self).update(given)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        return {**Metric.get_config(self), **listed(self._fn_kwargs, self._signature, self._unlisted)}
