"""Scores of rows (B, D): F1, F-beta, and the coefficient of determination R²."""

from __future__ import annotations

from typing import Any

from kerata import config, errors, ops
from kerata.losses.reduction import squeeze_or_expand_to_same_rank
from kerata.metrics.base import Metric

__all__ = ["F1Score", "FBetaScore", "R2Score"]


def _check_rows(metric: Metric, y_true: Any, y_pred: Any) -> None:
    if len(y_pred.shape) != 2 or len(y_true.shape) != 2:
        raise errors.ShapeMismatch(
            "targets and predictions are rows.", where=f"metric {metric.name!r}", expected="two shapes (B, D)",
            got=f"y_true {tuple(y_true.shape)}, y_pred {tuple(y_pred.shape)}",
            hint="labels that are class numbers become rows by kerata.utils.to_categorical",
        )  # fmt: skip


class FBetaScore(Metric):
    """(1 + beta²) · precision · recall / (beta² · precision + recall).

    Args:
        average: None (a score for each class), "micro" (all answers together), "macro" (the mean over classes) or
            "weighted" (the mean weighted by how frequent the classes are).
        beta: how much more recall weighs than precision.
        threshold: a score above it is a yes; for None the row's largest is.

    Example:
        >>> metric = kerata.metrics.FBetaScore(beta=2.0, threshold=0.5)
        >>> metric.update_state([[1, 0], [1, 1]], [[0.9, 0.1], [0.2, 0.8]])
        >>> [round(float(score), 4) for score in metric.result()]
        [0.5556, 1.0]
    """

    _direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise errors.UnknownName("average", average, ("micro", "macro", "weighted", "None"), where=self.name)
        if isinstance(beta, bool) or not isinstance(beta, float) or beta <= 0.0:
            raise errors.InvalidArgument("`beta` is a float above 0.", where=self.name, got=repr(beta))
        if threshold is not None and not (isinstance(threshold, float) and 0.0 < threshold <= 1.0):
            raise errors.InvalidArgument("`threshold` is a float in (0, 1].", where=self.name, got=repr(threshold))
        self.average, self.beta, self.threshold = average, beta, threshold
        self._built = False

    def _build(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        self.true_positives = self.add_weight(shape, dtype=self.dtype, name="true_positives")
        self.false_positives = self.add_weight(shape, dtype=self.dtype, name="false_positives")
        self.false_negatives = self.add_weight(shape, dtype=self.dtype, name="false_negatives")
        self.intermediate_weights = self.add_weight(shape, dtype=self.dtype, name="intermediate_weights")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the answers of a batch: one-hot or multi-hot rows against scores, both (B, C)."""
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        _check_rows(self, y_true, y_pred)
        if not self._built:
            self._build(y_pred.shape[-1])
        if self.threshold is None:
            yes = (y_pred >= ops.max(y_pred, axis=-1, keepdims=True)) & (ops.abs(y_pred) > 1e-9)
        else:
            yes = y_pred > self.threshold
        yes = ops.cast(yes, self.dtype)
        axis = None if self.average == "micro" else 0
        weights = ops.convert_to_tensor(1.0 if sample_weight is None else sample_weight, dtype=self.dtype)
        weights = ops.reshape(weights, (-1, 1))  # (B,), (B, 1), or one for all

        def total(x: Any) -> Any:
            return ops.sum(x * weights, axis=axis)

        self.true_positives.assign_add(total(yes * y_true))
        self.false_positives.assign_add(total(yes * (1.0 - y_true)))
        self.false_negatives.assign_add(total((1.0 - yes) * y_true))
        self.intermediate_weights.assign_add(total(y_true))

    def result(self) -> Any:
        """Return the score so far: a scalar, or (C,) without an average."""
        epsilon, square = config.epsilon(), self.beta**2
        right = self.true_positives.value
        precision = right / (right + self.false_positives + epsilon)
        recall = right / (right + self.false_negatives + epsilon)
        score = (1.0 + square) * (precision * recall / (square * precision + recall + epsilon))
        if self.average == "weighted":
            frequency = self.intermediate_weights / (ops.sum(self.intermediate_weights) + epsilon)
            return ops.sum(score * frequency)
        return score if self.average is None else ops.mean(score)


class F1Score(FBetaScore):
    """2 · precision · recall / (precision + recall); arguments as in `FBetaScore`.

    Example:
        >>> metric = kerata.metrics.F1Score(average="macro")
        >>> metric.update_state([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])
        >>> round(float(metric.result()), 4)
        1.0
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)


class R2Score(Metric):
    """1 - Σ(y_true - y_pred)² / Σ(y_true - mean)²: which share of the targets' variance is explained.

    Args:
        class_aggregation: "uniform_average", "variance_weighted_average", or None for a score a column.
        num_regressors: for the adjusted score, how many independent inputs the model has; 0 for the plain score.

    Example:
        >>> metric = kerata.metrics.R2Score()
        >>> metric.update_state([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]])
        >>> round(float(metric.result()), 4)
        0.5714
    """

    _direction = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        known = ("uniform_average", "variance_weighted_average", None)
        if class_aggregation not in known:
            raise errors.UnknownName("class aggregation", class_aggregation, map(str, known), where=self.name)
        if num_regressors < 0:
            raise errors.InvalidArgument("`num_regressors` is at least 0.", where=self.name, got=num_regressors)
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self.num_samples = self.add_weight((), name="num_samples")
        self._built = False

    def _build(self, columns: int) -> None:
        self.squared_sum = self.add_weight((columns,), name="squared_sum")
        self.sum = self.add_weight((columns,), name="sum")
        self.total_mse = self.add_weight((columns,), name="residual")
        self.count = self.add_weight((columns,), name="count")
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch in: both (B, D)."""
        y_true = ops.convert_to_tensor(y_true, dtype=self.dtype)
        y_pred = ops.convert_to_tensor(y_pred, dtype=self.dtype)
        y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        _check_rows(self, y_true, y_pred)
        if not self._built:
            self._build(y_pred.shape[-1])
        weights = ops.convert_to_tensor(1.0 if sample_weight is None else sample_weight, dtype=self.dtype)
        if len(weights.shape) == 1:
            weights = ops.expand_dims(weights, 1)
        weights = ops.broadcast_to(weights, y_true.shape)
        self.sum.assign_add(ops.sum(y_true * weights, axis=0))
        self.squared_sum.assign_add(ops.sum(y_true * y_true * weights, axis=0))
        self.total_mse.assign_add(ops.sum(ops.square(y_true - y_pred) * weights, axis=0))
        self.count.assign_add(ops.sum(weights, axis=0))
        self.num_samples.assign_add(float(y_true.shape[0] * y_true.shape[1]))

    def result(self) -> Any:
        """Return the score so far."""
        mean = self.sum.value / self.count.value
        total = self.squared_sum - self.sum * mean
        scores = 1.0 - self.total_mse / total
        scores = ops.where(ops.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            score = ops.mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            score = ops.sum(total * scores) / ops.sum(total)
        else:
            score = scores
        if not self.num_regressors:
            return score
        # With no more samples than regressors the adjustment has no meaning, and the plain score stands.
        others = self.num_samples.value - 1.0
        spare = others - self.num_regressors
        adjusted = 1.0 - (1.0 - score) * others / ops.where(spare > 0, spare, 1.0)
        return ops.where(spare > 0, adjusted, score)
