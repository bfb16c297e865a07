"""Cross-entropies and their kin: how well predicted probabilities (or logits) explain the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import config, errors, ops
from kerata.core import scopes
from kerata.losses.checks import as_float, check_class_numbers, check_class_rows, pair

__all__ = [
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy", "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy", "kl_divergence", "poisson", "sparse_categorical_crossentropy",
]  # fmt: skip


# Two classes ----------------------------------------------------------------------------------------------------


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Return the mean over `axis` of -(y log p + (1 - y) log(1 - p)).

    Args:
        y_true: labels 0 or 1, (B, …, D), or (B,) for predictions (B, 1).
        y_pred: probabilities, or logits with `from_logits`, (B, …, D).
        from_logits: whether `y_pred` has not been through a sigmoid; the more exact way.
        label_smoothing: draws the labels towards ½ by this much.
        axis: the axis of the mean.

    Example:
        >>> round(float(kerata.losses.binary_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
        0.6931
    """
    y_true, y_pred = pair("binary_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return the binary cross-entropy with easy samples weighed down by (1 - p_t)^gamma.

    p_t is the probability given to the right class; `apply_class_balancing` weighs the labels 1 by `alpha` and the
    labels 0 by 1 - alpha besides. Other arguments as in `binary_crossentropy`.

    Lin et al., "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002.

    Example:
        >>> round(float(kerata.losses.binary_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
        0.1733
    """
    y_true, y_pred = pair("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smooth(y_true, label_smoothing, 2)
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    p_right = y_true * p + (1.0 - y_true) * (1.0 - p)
    loss = ops.power(1.0 - p_right, gamma) * ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits)
    if apply_class_balancing:
        loss = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * loss
    return ops.mean(loss, axis=axis)


# Many classes ---------------------------------------------------------------------------------------------------


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """Return -Σ y log p over the classes on `axis`.

    Args:
        y_true: one-hot rows or probabilities, (B, …, C).
        y_pred: probabilities, or logits with `from_logits`, (B, …, C).
        from_logits: whether `y_pred` has not been through a softmax; the more exact way.
        label_smoothing: spreads this much of each label evenly over the classes.
        axis: the axis of the classes.

    Raises:
        ShapeMismatch: for class numbers in the place of rows, and for other shapes that do not fit.

    Example:
        >>> round(float(kerata.losses.categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
        0.6931
    """
    y_true, y_pred = _rows("categorical_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float | Sequence[float] = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Return -Σ alpha (1 - p)^gamma y log p over the classes on `axis`: easy samples weigh little.

    `alpha` is one weight, or one for each class on the last axis. Other arguments as in `categorical_crossentropy`.

    Lin et al., "Focal Loss for Dense Object Detection", https://arxiv.org/abs/1708.02002.

    Example:
        >>> round(float(kerata.losses.categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]])[0]), 4)
        0.0433
    """
    y_true, y_pred = _rows("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = _smooth(y_true, label_smoothing, y_pred.shape[axis])
    if from_logits:  # the logarithm is taken before the exponential is, so that no wrong answer's gradient vanishes
        log_p = ops.log_softmax(y_pred, axis=axis)
        p = ops.exp(log_p)
    else:
        p = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
        p = ops.clip(p, config.epsilon(), 1.0 - config.epsilon())
        log_p = ops.log(p)
    weights = ops.multiply(ops.power(1.0 - p, gamma), alpha)
    return -ops.sum(weights * y_true * log_p, axis=axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """Return -log p[y_true]: the cross-entropy for labels that are class numbers.

    Args:
        y_true: class numbers, (B, …) or (B, …, 1).
        y_pred: probabilities, or logits with `from_logits`, (B, …, C).
        from_logits: whether `y_pred` has not been through a softmax; the more exact way.
        ignore_class: a label whose samples count for nothing.
        axis: the axis of the classes.

    Raises:
        ShapeMismatch: for one-hot rows in the place of class numbers, and for other shapes that do not fit.

    Example:
        >>> round(float(kerata.losses.sparse_categorical_crossentropy([1], [[0.5, 0.5]])[0]), 4)
        0.6931
    """
    y_true, y_pred = _numbers("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = y_true != ignore_class
    y_true = ops.where(valid, y_true, 0)
    y_pred = ops.where(ops.expand_dims(valid, axis), y_pred, 0.0)
    loss = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    loss = ops.where(valid, loss, 0.0)
    scopes.set_mask(loss, valid)  # so that a mean counts the valid samples alone
    return loss


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Any:
    """Return (1 - p^q) / q, p the probability given to the right class: forgiving of wrong labels.

    Args:
        y_true: class numbers, (B, …).
        y_pred: probabilities, (B, …, C).
        q: between 0 (cross-entropy) and 1 (mean absolute error).

    Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    https://arxiv.org/abs/1805.07836.

    Example:
        >>> kerata.losses.categorical_generalized_cross_entropy([1], [[0.75, 0.25]], q=0.5).tolist()
        [1.0]
    """
    y_true, y_pred = _numbers("categorical_generalized_cross_entropy", y_true, y_pred, -1)
    rows = ops.one_hot(y_true, y_pred.shape[-1], dtype=y_pred.dtype)
    return (1.0 - ops.power(ops.sum(y_pred * rows, axis=-1), q)) / q


# Distributions --------------------------------------------------------------------------------------------------


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Return Σ y log(y / p) over the last axis: how far the distribution y_pred is from y_true.

    Example:
        >>> kerata.losses.kl_divergence([[0.5, 0.5]], [[0.5, 0.5]]).tolist()
        [0.0]
    """
    y_true, y_pred = pair("kl_divergence", y_true, y_pred)
    y_true = ops.clip(y_true, config.epsilon(), 1.0)
    y_pred = ops.clip(y_pred, config.epsilon(), 1.0)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """Return mean(y_pred - y_true log(y_pred + ε)) over the last axis: counts y_true at the rates y_pred.

    Example:
        >>> round(float(kerata.losses.poisson([[0.0, 2.0]], [[1.0, 1.0]])[0]), 4)
        1.0
    """
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), axis=-1)


def _smooth(y_true: Any, label_smoothing: float, classes: int) -> Any:
    """Return labels of which `label_smoothing` is spread evenly over the classes."""
    if not label_smoothing:
        return y_true
    if not 0 <= label_smoothing <= 1:
        raise errors.InvalidArgument("it is from 0 to 1.", where="label_smoothing", got=label_smoothing)
    return y_true * (1.0 - label_smoothing) + label_smoothing / classes


def _numbers(loss: str, y_true: Any, y_pred: Any, axis: int) -> tuple[Any, Any]:
    """Return class numbers, one for each row of scores, and the scores."""
    y_true, y_pred = ops.cast(y_true, "int32"), as_float(y_pred)
    check_class_numbers(loss, y_true, y_pred, axis)
    return (ops.squeeze(y_true, axis) if len(y_true.shape) == len(y_pred.shape) else y_true), y_pred


def _rows(loss: str, y_true: Any, y_pred: Any, axis: int) -> tuple[Any, Any]:
    """Return rows of class probabilities, one for each row of scores, and the scores."""
    y_pred = as_float(y_pred)
    y_true = ops.convert_to_tensor(y_true, dtype=y_pred.dtype)
    check_class_rows(loss, y_true, y_pred, axis)
    return y_true, y_pred
