"""Metrics that average a loss function over samples: errors, divergences, cross-entropies, margins."""

from __future__ import annotations

from typing import Any

from kerata import config, losses, ops
from kerata.losses.checks import pair
from kerata.metrics.reduction import FunctionMetric, Mean

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity",
    "Hinge", "KLDivergence", "LogCoshError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError",
    "MeanSquaredLogarithmicError", "PearsonCorrelation", "Poisson", "RootMeanSquaredError",
    "SparseCategoricalCrossentropy", "SquaredHinge", "concordance_correlation", "cosine_similarity",
    "pearson_correlation",
]  # fmt: skip


# Numbers


class MeanSquaredError(FunctionMetric):
    """The mean of squared differences.

    Example:
        >>> metric = kerata.metrics.MeanSquaredError()
        >>> metric.update_state([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
        >>> round(float(metric.result()), 4)
        0.25
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class MeanAbsoluteError(FunctionMetric):
    """The mean of absolute differences.

    Example:
        >>> metric = kerata.metrics.MeanAbsoluteError()
        >>> metric.update_state([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]])
        >>> round(float(metric.result()), 4)
        0.25
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(FunctionMetric):
    """The mean of absolute differences in percent of the targets.

    Example:
        >>> metric = kerata.metrics.MeanAbsolutePercentageError()
        >>> metric.update_state([[2.0, 4.0]], [[1.0, 4.0]])
        >>> round(float(metric.result()), 4)
        25.0
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(FunctionMetric):
    """The mean of squared differences of logarithms.

    Example:
        >>> metric = kerata.metrics.MeanSquaredLogarithmicError()
        >>> metric.update_state([[0.0, 1.0]], [[1.0, 1.0]])
        >>> round(float(metric.result()), 4)
        0.2402
    """

    _direction = "down"

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: Any = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class LogCoshError(FunctionMetric):
    """The mean of log(cosh(difference)).

    Example:
        >>> metric = kerata.metrics.LogCoshError()
        >>> metric.update_state([[0.0, 1.0]], [[1.0, 1.0]])
        >>> round(float(metric.result()), 4)
        0.2169
    """

    _direction = "down"

    def __init__(self, name: str | None = "logcosh", dtype: Any = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of squared differences, over all batches.

    Example:
        >>> metric = kerata.metrics.RootMeanSquaredError()
        >>> metric.update_state([[0.0], [0.0]], [[3.0], [4.0]])
        >>> round(float(metric.result()), 4)
        3.5355
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch in."""
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = pair(self.name, y_true, y_pred, "metric")
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """Return the root of the mean so far."""
        return ops.sqrt(super().result())


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return the cosine of the angle between y_true and y_pred along `axis`; 1 means the same direction."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric):
    """The mean cosine of the angle between target and prediction; 1 means the same direction.

    Example:
        >>> metric = kerata.metrics.CosineSimilarity()
        >>> metric.update_state([[0.0, 1.0]], [[0.0, 2.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _direction = "up"
    _unlisted = frozenset({"axis"})

    def __init__(self, name: str | None = "cosine_similarity", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return Pearson's correlation along `axis`: mean of the product of both, centred and scaled.

    Example:
        >>> kerata.metrics.pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]).round(4).tolist()
        [1.0]
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred, "metric")
    y_true = y_true - ops.mean(y_true, axis=axis, keepdims=True)
    y_pred = y_pred - ops.mean(y_pred, axis=axis, keepdims=True)
    y_true = y_true / ops.std(y_true, axis=axis, keepdims=True)
    y_pred = y_pred / ops.std(y_pred, axis=axis, keepdims=True)
    return ops.mean(y_true * y_pred, axis=axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return Lin's concordance along `axis`: 2 cov / (var + var + (difference of means)²).

    Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.

    Example:
        >>> kerata.metrics.concordance_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]).round(4).tolist()
        [1.0]
    """
    y_true, y_pred = pair("concordance_correlation", y_true, y_pred, "metric")
    true_mean = ops.mean(y_true, axis=axis, keepdims=True)
    pred_mean = ops.mean(y_pred, axis=axis, keepdims=True)
    covariance = (y_true - true_mean) * (y_pred - pred_mean)
    spread = (
        ops.var(y_true, axis=axis, keepdims=True)
        + ops.var(y_pred, axis=axis, keepdims=True)
        + ops.square(true_mean - pred_mean)
    )
    return ops.mean(2.0 * covariance / (spread + config.epsilon()), axis=axis)


class PearsonCorrelation(FunctionMetric):
    """The mean over samples of Pearson's correlation; see `pearson_correlation`.

    Example:
        >>> metric = kerata.metrics.PearsonCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(FunctionMetric):
    """The mean over samples of Lin's concordance; see `concordance_correlation`.

    Example:
        >>> metric = kerata.metrics.ConcordanceCorrelation()
        >>> metric.update_state([[1.0, 2.0, 3.0]], [[2.0, 3.0, 4.0]])
        >>> round(float(metric.result()), 4)
        0.5714
    """

    _direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: Any = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)


# Probabilities


class KLDivergence(FunctionMetric):
    """The mean divergence of predicted from true distributions.

    Example:
        >>> metric = kerata.metrics.KLDivergence()
        >>> metric.update_state([[0.5, 0.5]], [[0.25, 0.75]])
        >>> round(float(metric.result()), 4)
        0.1438
    """

    def __init__(self, name: str | None = "kl_divergence", dtype: Any = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Poisson(FunctionMetric):
    """The mean Poisson loss of predicted rates.

    Example:
        >>> metric = kerata.metrics.Poisson()
        >>> metric.update_state([[0.0, 2.0]], [[1.0, 1.0]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    def __init__(self, name: str | None = "poisson", dtype: Any = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class BinaryCrossentropy(FunctionMetric):
    """The mean cross-entropy of yes-no labels.

    Example:
        >>> metric = kerata.metrics.BinaryCrossentropy(from_logits=True)
        >>> metric.update_state([[0], [1]], [[-2.0], [3.0]])
        >>> round(float(metric.result()), 4)
        0.0878
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )


class CategoricalCrossentropy(FunctionMetric):
    """The mean cross-entropy of one-hot labels.

    Example:
        >>> metric = kerata.metrics.CategoricalCrossentropy()
        >>> metric.update_state([[0, 1, 0]], [[0.05, 0.9, 0.05]])
        >>> round(float(metric.result()), 4)
        0.1054
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(FunctionMetric):
    """The mean cross-entropy of labels that are class numbers.

    Example:
        >>> metric = kerata.metrics.SparseCategoricalCrossentropy()
        >>> metric.update_state([1, 0], [[0.1, 0.9], [0.6, 0.4]])
        >>> round(float(metric.result()), 4)
        0.3081
    """

    _direction = "down"

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: Any = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(
            losses.sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


# Margins


class Hinge(FunctionMetric):
    """The mean shortfall from a margin of one.

    Example:
        >>> metric = kerata.metrics.Hinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> round(float(metric.result()), 4)
        0.25
    """

    _direction = "down"

    def __init__(self, name: str | None = "hinge", dtype: Any = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(FunctionMetric):
    """The mean squared shortfall from a margin of one.

    Example:
        >>> metric = kerata.metrics.SquaredHinge()
        >>> metric.update_state([[1.0, -1.0]], [[0.5, -2.0]])
        >>> round(float(metric.result()), 4)
        0.125
    """

    _direction = "down"

    def __init__(self, name: str | None = "squared_hinge", dtype: Any = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(FunctionMetric):
    """The mean shortfall of the right class's score over the best wrong one.

    Example:
        >>> metric = kerata.metrics.CategoricalHinge()
        >>> metric.update_state([[0.0, 1.0]], [[0.5, 0.75]])
        >>> round(float(metric.result()), 4)
        0.75
    """

    _direction = "down"

    def __init__(self, name: str | None = "categorical_hinge", dtype: Any = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)
