"""The area under a curve of two shares over all thresholds."""

from __future__ import annotations

from typing import Any

from kerata import config, errors, ops
from kerata.metrics.confusion import OUTCOMES, Counting

__all__ = ["AUC"]

_CURVES = ("ROC", "PR", "PRGAIN")
_METHODS = ("interpolation", "minoring", "majoring")


def _one_of(what: str, value: Any, known: tuple[str, ...]) -> str:
    value = getattr(value, "value", value)
    for name in known:
        if str(value).lower() == name.lower():
            return name
    raise errors.UnknownName(what, value, known, where="AUC")


class AUC(Counting):
    """The area under a curve, by a sum over buckets between thresholds.

    What is counted at a threshold is exact; how the curve runs between two of them is not known. The area under all
    possible thresholds' ROC curve lies between what "minoring" and "majoring" give, and more thresholds bring these
    together.

    Args:
        num_thresholds: how many thresholds, even from 0 to 1; more is finer.
        curve: "ROC" (found yeses over wrong yeses), "PR" (precision over recall) or "PRGAIN".
        summation_method: "interpolation", or the bucket's lower ("minoring") or upper ("majoring") side.
        thresholds: thresholds of your own between 0 and 1.
        multi_label: whether each column of (B, L) has its own area, of which the mean counts.
        num_labels: L, where the state must exist before the first batch.
        label_weights: the weight of each label.
        from_logits: whether predictions have not been through a sigmoid.

    Davis and Goadrich, "The relationship between Precision-Recall and ROC curves", 2006 (the PR interpolation).

    Example:
        >>> metric = kerata.metrics.AUC(num_thresholds=3)
        >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
        >>> round(float(metric.result()), 4)
        0.75
    """

    _direction = "up"
    _unlisted = frozenset({"thresholds"})

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.curve = _one_of("curve", curve, _CURVES)
        self.summation_method = _one_of("summation method", summation_method, _METHODS)
        if num_labels and not multi_label:
            raise errors.InvalidArgument("`num_labels` is for `multi_label=True`.", where=self.name, got=num_labels)
        if thresholds is None and num_thresholds <= 1:
            raise errors.InvalidArgument("`num_thresholds` is above 1.", where=self.name, got=num_thresholds)
        self._own_thresholds = None if thresholds is None else sorted(float(t) for t in thresholds)
        self.num_thresholds = num_thresholds if thresholds is None else len(thresholds) + 2
        between = self._own_thresholds
        if between is None:
            between = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        # The ends lie a little outside, so that scores of exactly 0 and 1 are counted.
        self.thresholds = [0.0 - config.epsilon(), *between, 1.0 + config.epsilon()]
        self.multi_label, self.num_labels, self._from_logits = multi_label, num_labels, from_logits
        self.label_weights = None if label_weights is None else [float(w) for w in label_weights]
        self._built = False
        if not multi_label or num_labels:
            self._build(num_labels)

    def _build(self, labels: int | None) -> None:
        self._add_counts(*OUTCOMES, shape=(self.num_thresholds, labels) if labels else (self.num_thresholds,))
        self._built = True

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the answers of a batch: (B,) or (B, …); (B, L) for `multi_label`."""
        y_pred = ops.convert_to_tensor(y_pred)
        if self.multi_label and len(y_pred.shape) != 2:
            raise errors.ShapeMismatch(
                "several labels have a column each.", where=f"metric {self.name!r}", expected="y_pred of shape (B, L)",
                got=f"shape {tuple(y_pred.shape)}",
            )  # fmt: skip
        if not self._built:
            self._build(y_pred.shape[1])
        if self._from_logits:
            y_pred = ops.sigmoid(y_pred)
        weights = None if self.multi_label or self.label_weights is None else ops.convert_to_tensor(self.label_weights)
        self._count(y_true, y_pred, sample_weight, multi_label=self.multi_label, label_weights=weights)

    def result(self) -> Any:
        """Return the area so far."""
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            return self.interpolate_pr_auc()
        return self._area(self._pieces())

    def _area(self, pieces: Any) -> Any:
        """Return the sum over buckets, and the mean over labels where they are counted apart."""
        areas = ops.sum(pieces, axis=0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(self.label_weights)
        return ops.divide_no_nan(ops.sum(areas * weights), ops.sum(weights))

    def _pieces(self) -> Any:
        """Return width times height of each bucket."""
        x, y = self._curve_points()
        left, right = y[:-1], y[1:]
        if self.summation_method == "interpolation":
            heights = (left + right) / 2.0
        else:
            heights = (ops.minimum if self.summation_method == "minoring" else ops.maximum)(left, right)
        return (x[:-1] - x[1:]) * heights

    def _curve_points(self) -> tuple[Any, Any]:
        if self.curve == "ROC":
            return self._share("false_positives", "true_negatives"), self._recall()
        if self.curve == "PR":
            return self._recall(), self._precision()
        tp, fp, tn, fn = (getattr(self, name).value for name in OUTCOMES)
        ratio = ops.divide_no_nan(tp + fn, tn + fp)
        recall_gain = ops.where(tp == 0.0, 0.0, 1.0 - ratio * ops.divide_no_nan(fn, tp))
        precision_gain = ops.where(tp == 0.0, 1.0, 1.0 - ratio * ops.divide_no_nan(fp, tp))
        return ops.maximum(recall_gain, 0.0), precision_gain

    def interpolate_pr_auc(self) -> Any:
        """Return the area under precision over recall, where between thresholds the counts move on straight lines."""
        tp, fp, _, fn = (getattr(self, name).value for name in OUTCOMES)
        yes = tp + fp
        new_right, new_yes = tp[:-1] - tp[1:], yes[:-1] - yes[1:]
        slope = ops.divide_no_nan(new_right, ops.maximum(new_yes, 0.0))
        intercept = tp[1:] - slope * yes[1:]
        both = (yes[:-1] > 0) & (yes[1:] > 0)
        growth = ops.where(both, ops.divide_no_nan(yes[:-1], ops.maximum(yes[1:], 0.0)), 1.0)
        pieces = slope * (new_right + intercept * ops.log(growth))
        return self._area(ops.divide_no_nan(pieces, ops.maximum(tp[1:] + fn[1:], 0.0)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments to make this metric anew."""
        own = {} if self._own_thresholds is None else {"thresholds": self._own_thresholds}
        return {**super().get_config(), **own}
