"""Metrics that average a loss function over samples: errors, divergences, cross-entropies, margins."""

from __future__ import annotations

from typing import Any

from kerata import losses, ops
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


class MeanSquaredError(FunctionMetric, fn=losses.mean_squared_error, direction="down"):
    """The mean of squared differences."""


class MeanAbsoluteError(FunctionMetric, fn=losses.mean_absolute_error, direction="down"):
    """The mean of absolute differences."""


class MeanAbsolutePercentageError(FunctionMetric, fn=losses.mean_absolute_percentage_error, direction="down"):
    """The mean of absolute differences in percent of the targets."""


class MeanSquaredLogarithmicError(FunctionMetric, fn=losses.mean_squared_logarithmic_error, direction="down"):
    """The mean of squared differences of logarithms."""


class LogCoshError(FunctionMetric, fn=losses.log_cosh, name="logcosh", direction="down"):
    """The mean of log(cosh(difference))."""


class RootMeanSquaredError(Mean):
    """The root of the mean of squared differences, over all batches.

    Example:
        >>> metric = kerata.metrics.RootMeanSquaredError()
        >>> metric.update_state([[0.0], [0.0]], [[3.0], [4.0]])
        >>> metric.result()
        3.5355
    """

    _direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: Any = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch in."""
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = pair(self.name, y_true, y_pred)
        super().update_state(ops.square(y_pred - y_true), sample_weight)

    def result(self) -> Any:
        """Return the root of the mean so far."""
        return ops.sqrt(super().result())


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return the cosine of the angle between y_true and y_pred along `axis`; 1 means the same direction."""
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(FunctionMetric, fn=cosine_similarity, direction="up", unlisted=("axis",)):
    """The mean cosine of the angle between target and prediction; 1 means the same direction."""


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return Pearson's correlation along `axis`: mean of the product of both, centred and scaled.

    Example:
        >>> kerata.metrics.pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]])
        [1.0]
    """
    y_true, y_pred = pair("pearson_correlation", y_true, y_pred)
    y_true = y_true - ops.mean(y_true, axis=axis, keepdims=True)
    y_pred = y_pred - ops.mean(y_pred, axis=axis, keepdims=True)
    y_true = y_true / ops.std(y_true, axis=axis, keepdims=True)
    y_pred = y_pred / ops.std(y_pred, axis=axis, keepdims=True)
    return ops.mean(y_true * y_pred, axis=axis)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Return Lin's concordance along `axis`: 2 cov / (var + var + (difference of means)²).

    Lin, "A concordance correlation coefficient to evaluate reproducibility", 1989.

    Example:
        >>> kerata.metrics.concordance_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]])
        [1.0]
    """
    from kerata import config

    y_true, y_pred = pair("concordance_correlation", y_true, y_pred)
    true_mean = ops.mean(y_true, axis=axis, keepdims=True)
    pred_mean = ops.mean(y_pred, axis=axis, keepdims=True)
    covariance = (y_true - true_mean) * (y_pred - pred_mean)
    spread = (
        ops.var(y_true, axis=axis, keepdims=True)
        + ops.var(y_pred, axis=axis, keepdims=True)
        + ops.square(true_mean - pred_mean)
    )
    return ops.mean(2.0 * covariance / (spread + config.epsilon()), axis=axis)


class PearsonCorrelation(FunctionMetric, fn=pearson_correlation, direction="up"):
    """The mean over samples of Pearson's correlation; see `pearson_correlation`."""


class ConcordanceCorrelation(FunctionMetric, fn=concordance_correlation, direction="up"):
    """The mean over samples of Lin's concordance; see `concordance_correlation`."""


# Probabilities


class KLDivergence(FunctionMetric, fn=losses.kl_divergence):
    """The mean divergence of predicted from true distributions."""


class Poisson(FunctionMetric, fn=losses.poisson):
    """The mean Poisson loss of predicted rates."""


class BinaryCrossentropy(
    FunctionMetric, fn=losses.binary_crossentropy, direction="down", label_smoothing=0,
    order="name dtype from_logits label_smoothing",
):  # fmt: skip
    """The mean cross-entropy of yes-no labels."""


class CategoricalCrossentropy(
    FunctionMetric, fn=losses.categorical_crossentropy, direction="down", label_smoothing=0
):
    """The mean cross-entropy of one-hot labels."""


class SparseCategoricalCrossentropy(FunctionMetric, fn=losses.sparse_categorical_crossentropy, direction="down"):
    """The mean cross-entropy of labels that are class numbers."""


# Margins


class Hinge(FunctionMetric, fn=losses.hinge, direction="down"):
    """The mean shortfall from a margin of one."""


class SquaredHinge(FunctionMetric, fn=losses.squared_hinge, direction="down"):
    """The mean squared shortfall from a margin of one."""


class CategoricalHinge(FunctionMetric, fn=losses.categorical_hinge, direction="down"):
    """The mean shortfall of the right class's score over the best wrong one."""
