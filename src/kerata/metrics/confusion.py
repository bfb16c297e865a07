"""Counts of right and wrong answers at thresholds, and what is made of them: precision, recall, one at the other.

Letters: T thresholds, N answers, L labels that are counted apart (one, except for a multi-label AUC).

An answer is a yes at a threshold when its score, in float32, is above it; the counts are exact. They are kept in
float32 too: whole numbers stay exact up to 2^24 = 16,777,216, and beyond that each batch rounds by 6e-8 of the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import config, engine, errors, ops
from kerata.losses.reduction import over_leading_axes, squeeze_or_expand_to_same_rank
from kerata.metrics.base import Metric

__all__ = [
    "FalseNegatives", "FalsePositives", "Precision", "PrecisionAtRecall", "Recall", "RecallAtPrecision",
    "SensitivityAtSpecificity", "SpecificityAtSensitivity", "TrueNegatives", "TruePositives", "confusion",
]  # fmt: skip

_LOWEST = -1e10  # the score of classes that are not among the top k
OUTCOMES = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def confusion(
    y_true: Any,
    y_pred: Any,
    thresholds: Sequence[float],
    sample_weight: Any = None,
    top_k: int | None = None,
    class_id: int | None = None,
    multi_label: bool = False,
    label_weights: Any = None,
    where: str = "metric",
) -> dict[str, Any]:
    """Return the weighted counts of the four outcomes at each threshold, (T,), or (T, L) for `multi_label`."""
    y_pred, y_true = squeeze_or_expand_to_same_rank(ops.cast(y_pred, "float32"), ops.cast(y_true, "float32"))
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise errors.ShapeMismatch(
            "targets and predictions do not fit.", where=where,
            expected=f"y_true of shape {tuple(y_pred.shape)}", got=f"shape {tuple(y_true.shape)}",
            hint="class numbers become rows by kerata.utils.to_categorical(y, num_classes)",
        )  # fmt: skip
    weights = ops.ones_like(y_pred) if sample_weight is None else _weights(sample_weight, y_true)
    if top_k is not None:
        y_pred = _keep_top(y_pred, top_k)
    if class_id is not None:
        if len(y_pred.shape) == 1:
            raise errors.ShapeMismatch(
                "`class_id` picks a column.", where=where, expected="y_pred of shape (B, C)",
                got=f"shape {tuple(y_pred.shape)}",
            )  # fmt: skip
        y_true, y_pred = y_true[..., class_id : class_id + 1], y_pred[..., class_id : class_id + 1]
        weights = weights if weights.shape[-1] == 1 else weights[..., class_id : class_id + 1]
    weights = ops.broadcast_to(over_leading_axes(weights, y_pred, f"{where}: sample_weight"), y_pred.shape)
    if label_weights is not None:
        weights = weights * label_weights
    if not multi_label:
        y_true, y_pred, weights = (ops.reshape(x, (-1, 1)) for x in (y_true, y_pred, weights))
    is_true = y_true != 0
    positive, negative = ops.where(is_true, weights, 0.0), ops.where(is_true, 0.0, weights)
    count = _count_in_buckets if _are_even(thresholds) else _count_by_comparing
    tp, fp = count(y_pred, thresholds, positive, negative)
    found = (tp, fp, ops.sum(negative, axis=0) - fp, ops.sum(positive, axis=0) - tp)
    return {name: x if multi_label else x[:, 0] for name, x in zip(OUTCOMES, found)}


def _weights(sample_weight: Any, y_true: Any) -> Any:
    weights = ops.expand_dims(ops.cast(sample_weight, "float32"), -1)
    return squeeze_or_expand_to_same_rank(y_true, weights, expand_rank_1=False)[1]


def _count_by_comparing(y_pred: Any, thresholds: Sequence[float], positive: Any, negative: Any) -> tuple[Any, Any]:
    """Compare each prediction (N, L) with each threshold."""
    above = y_pred[None] > np.asarray(thresholds, "float32")[:, None, None]
    return tuple(ops.sum(ops.where(above, weights[None], 0.0), axis=1) for weights in (positive, negative))  # type: ignore[return-value]


def _count_in_buckets(y_pred: Any, thresholds: Sequence[float], positive: Any, negative: Any) -> tuple[Any, Any]:
    """Put each prediction in the bucket above the last even threshold below it, and add the buckets up from above."""
    size, labels = len(thresholds), y_pred.shape[1]
    edges, y_pred = ops.convert_to_tensor(np.asarray(thresholds, "float32")), ops.clip(y_pred, 0.0, 1.0)
    bucket = ops.clip(ops.cast(ops.ceil(y_pred * (size - 1.0)), "int32") - 1, 0, size - 2)
    # The product is rounded, so that a prediction at a threshold may be one bucket off.
    bucket = bucket + ops.cast(y_pred > edges[bucket + 1], "int32") - ops.cast(y_pred <= edges[bucket], "int32")
    positive, negative = (ops.where(y_pred > edges[0], weights, 0.0) for weights in (positive, negative))
    bucket = ops.maximum(bucket, 0)
    columns = np.arange(labels)[None, :]

    def above(weights: Any) -> Any:
        filled = engine.arrays.add_at(ops.zeros((size, labels)), (bucket, columns), weights)
        return ops.flip(ops.cumsum(ops.flip(filled, axis=0), axis=0), axis=0)

    return above(positive), above(negative)


def _keep_top(scores: Any, k: int) -> Any:
    kept = ops.sum(ops.one_hot(ops.top_k(scores, k)[1], scores.shape[-1], dtype=scores.dtype), axis=-2)
    return scores * kept + _LOWEST * (1.0 - kept)


def _are_even(thresholds: Sequence[float]) -> bool:
    size = len(thresholds)
    return size >= 3 and np.allclose(thresholds, np.arange(size) / (size - 1), atol=config.epsilon() * 1.01)


def _parse(thresholds: Any, default: float, where: str) -> list[float]:
    if thresholds is None:
        return [default]
    values = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [t for t in values if t is None or not 0 <= t <= 1]
    if wrong:
        raise errors.InvalidArgument("thresholds are between 0 and 1.", where=where, got=wrong)
    return values


class Counting(Metric):
    """A metric made of some of the four counts."""

    thresholds: Sequence[float] = ()

    def _add_counts(self, *names: str, shape: tuple[int, ...] | None = None) -> None:
        self._counted = names
        for name in names:
            setattr(self, name, self.add_weight(shape or (len(self.thresholds),), name=name))

    def _outcomes(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> dict[str, Any]:
        where = f"metric {self.name!r}"
        return confusion(y_true, y_pred, self.thresholds, sample_weight, where=where, **options)

    def _count(self, y_true: Any, y_pred: Any, sample_weight: Any, **options: Any) -> None:
        found = self._outcomes(y_true, y_pred, sample_weight, **options)
        for name in self._counted:
            getattr(self, name).assign_add(found[name])

    def _share(self, part: str, rest: str) -> Any:
        """Return part / (part + rest), 0 where both are."""
        part, rest = getattr(self, part), getattr(self, rest)
        return ops.divide_no_nan(part, part + rest)  # type: ignore[operator]

    # Names of the shares; each takes its two counts.

    def _precision(self) -> Any:
        return self._share("true_positives", "false_positives")

    def _recall(self) -> Any:
        return self._share("true_positives", "false_negatives")

    def _specificity(self) -> Any:
        return self._share("true_negatives", "false_positives")


# Counts ---------------------------------------------------------------------------------------------------------


class _OneCount(Counting):
    _what = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = _parse(thresholds, 0.5, self.name)
        self.accumulator = self.add_weight((len(self.thresholds),), name="accumulator")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the answers of a batch."""
        self.accumulator.assign_add(self._outcomes(y_true, y_pred, sample_weight)[self._what])

    def result(self) -> Any:
        """Return the count, one for each threshold where there are several."""
        return self.accumulator[0] if len(self.thresholds) == 1 else self.accumulator.value

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class TruePositives(_OneCount):
    """How many yes answers are right.

    Example:
        >>> metric = kerata.metrics.TruePositives()
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> round(float(metric.result()), 4)
        2.0
    """

    _what = "true_positives"


class FalsePositives(_OneCount):
    """How many yes answers are wrong.

    Example:
        >>> metric = kerata.metrics.FalsePositives()
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _what = "false_positives"


class TrueNegatives(_OneCount):
    """How many no answers are right.

    Example:
        >>> metric = kerata.metrics.TrueNegatives(thresholds=0.95)
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> round(float(metric.result()), 4)
        1.0
    """

    _what = "true_negatives"


class FalseNegatives(_OneCount):
    """How many no answers are wrong.

    Example:
        >>> metric = kerata.metrics.FalseNegatives(thresholds=[0.5, 0.75])
        >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
        >>> metric.result().tolist()
        [1.0, 2.0]
    """

    _what = "false_negatives"


# Precision and recall -------------------------------------------------------------------------------------------


class _Share(Counting):
    _direction = "up"
    _counts: tuple[str, str]

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        self.thresholds = _parse(thresholds, 0.5 if top_k is None else _LOWEST, self.name)
        self._add_counts(*self._counts)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the answers of a batch."""
        self._count(y_true, y_pred, sample_weight, top_k=self.top_k, class_id=self.class_id)

    def result(self) -> Any:
        """Return the share so far, one for each threshold where there are several."""
        result = self._share(*self._counts)
        return result[0] if len(self.thresholds) == 1 else result

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        return {**super().get_config(), "thresholds": self.init_thresholds}


class Precision(_Share):
    """Which share of the yes answers is right.

    Args:
        thresholds: a score above it is a yes; ½ for None; a list counts at each.
        top_k: the k best scores of a row are the yes answers.
        class_id: the only column that counts.

    Example:
        >>> metric = kerata.metrics.Precision()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    _counts = ("true_positives", "false_positives")


class Recall(_Share):
    """Which share of what is a yes was answered so; arguments as in `Precision`.

    Example:
        >>> metric = kerata.metrics.Recall()
        >>> metric.update_state([0, 1, 1, 1], [1, 0, 1, 1])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    _counts = ("true_positives", "false_negatives")


class _BestUnder(Counting):
    """The best of one share over the thresholds at which another is at least `value`."""

    _direction = "up"
    _wanted = _constrained = "_recall"

    def _prepare(self, what: str, value: float, num_thresholds: int, class_id: int | None) -> None:
        if not 0 <= value <= 1:
            raise errors.InvalidArgument(f"`{what}` is between 0 and 1.", where=self.name, got=value)
        if num_thresholds <= 0:
            raise errors.InvalidArgument("`num_thresholds` is positive.", where=self.name, got=num_thresholds)
        self.value, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        setattr(self, what, value)
        self.thresholds = [0.5] if num_thresholds == 1 else [i / (num_thresholds - 1) for i in range(num_thresholds)]
        self._add_counts(*OUTCOMES)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the answers of a batch."""
        self._count(y_true, y_pred, sample_weight, class_id=self.class_id)

    def result(self) -> Any:
        """Return the best share so far; 0 where no threshold will do."""
        wanted, constrained = getattr(self, self._wanted)(), getattr(self, self._constrained)()
        return ops.max(ops.where(constrained >= self.value, wanted, 0.0))


class SensitivityAtSpecificity(_BestUnder):
    """The best share of found yeses where at least `specificity` of the noes is right.

    Example:
        >>> metric = kerata.metrics.SensitivityAtSpecificity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _wanted, _constrained = "_recall", "_specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._prepare("specificity", specificity, num_thresholds, class_id)


class SpecificityAtSensitivity(_BestUnder):
    """The best share of right noes where at least `sensitivity` of the yeses is found.

    Example:
        >>> metric = kerata.metrics.SpecificityAtSensitivity(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(float(metric.result()), 4)
        0.6667
    """

    _wanted, _constrained = "_specificity", "_recall"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._prepare("sensitivity", sensitivity, num_thresholds, class_id)


class PrecisionAtRecall(_BestUnder):
    """The best precision where the recall is at least `recall`.

    Example:
        >>> metric = kerata.metrics.PrecisionAtRecall(0.5)
        >>> metric.update_state([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _wanted, _constrained = "_precision", "_recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._prepare("recall", recall, num_thresholds, class_id)


class RecallAtPrecision(_BestUnder):
    """The best recall where the precision is at least `precision`.

    Example:
        >>> metric = kerata.metrics.RecallAtPrecision(0.8)
        >>> metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
        >>> round(float(metric.result()), 4)
        0.5
    """

    _wanted, _constrained = "_recall", "_precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self._prepare("precision", precision, num_thresholds, class_id)
