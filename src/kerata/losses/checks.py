"""What can be wrong with labels, said in words: shapes when a step is traced, values up front on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import config, engine, errors, ops
from kerata.core import dtypes
from kerata.core.symbolic import KerasTensor
from kerata.losses.reduction import broadcastable, squeeze_or_expand_to_same_rank

__all__ = ["as_float", "check_class_numbers", "check_class_rows", "check_labels", "check_pair", "pair"]


def as_float(x: Any) -> Any:
    """Return `x` as a tensor of a float dtype."""
    x = ops.convert_to_tensor(x)
    return x if dtypes.is_float(x.dtype) else ops.cast(x, config.floatx())


def pair(name: str, y_true: Any, y_pred: Any, kind: str = "loss") -> tuple[Any, Any]:
    """Return targets and predictions as float tensors of one dtype and rank, whose values belong together.

    Raises:
        ShapeMismatch: as `check_pair` does.
    """
    y_pred = as_float(y_pred)
    y_true, y_pred = squeeze_or_expand_to_same_rank(ops.convert_to_tensor(y_true, dtype=y_pred.dtype), y_pred)
    check_pair(name, y_true, y_pred, kind)
    return y_true, y_pred


def check_pair(name: str, y_true: Any, y_pred: Any, kind: str = "loss") -> None:
    """Raise unless the values of `y_true` and `y_pred` belong together.

    Raises:
        ShapeMismatch: when they do not combine, or it cannot be told how: targets (B,) for outputs (B, C).
    """
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    few, many = sorted((ours, theirs), key=len)
    # NumPy would line (B,) up with the last axis of (B, C); a batch means the first.
    ambiguous = 0 < len(few) < len(many) and few[0] == many[0] and few[0] not in (1, None)
    if ambiguous or not broadcastable(ours, theirs):
        raise errors.ShapeMismatch(
            "targets and predictions do not belong together.", where=f"{kind} {name!r}",
            expected=f"y_true of shape {theirs}, as the model's output", got=f"y_true of shape {ours}",
            hint=_advice(name, ours, theirs),
        )  # fmt: skip
    if len(ours) == len(theirs) > 1 and ours[-1] != theirs[-1] and 1 in (ours[-1], theirs[-1]):
        errors.warn_once(
            f"{kind} {name!r} compares y_true of shape {ours} with y_pred of shape {theirs}: the single column "
            "is repeated. If that is not meant, give the last layer as many units as the targets have columns."
        )


def _advice(name: str, ours: tuple, theirs: tuple) -> str:
    if "binary" in name and len(theirs) == len(ours) + 1:
        return (
            f"for a yes-no question end the model with Dense(1); for {theirs[-1]} classes use "
            f"{name.replace('binary', 'sparse_categorical')!r}"
        )
    if len(ours) == len(theirs) > 0 and ours[:-1] == theirs[:-1]:
        return f"give the last layer {ours[-1]} units, as many as the targets have columns"
    return "compare model.output_shape with y.shape: the last layer decides the one, your data the other"


def _fits(one: tuple, other: tuple) -> bool:
    return len(one) == len(other) and all(a == b or None in (a, b) for a, b in zip(one, other))


def _without(shape: tuple, axis: int) -> tuple:
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _check_axis(loss: str, axis: Any) -> None:
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise errors.InvalidArgument("`axis` is the number of an axis.", where=f"loss {loss!r}", got=repr(axis))


def _warn_one_class(loss: str, theirs: tuple, axis: int) -> None:
    if theirs and theirs[axis] == 1:
        errors.warn_once(
            f"loss {loss!r} sees predictions of shape {theirs}: with a single class its value is always the same. "
            "For a yes-no question use loss='binary_crossentropy' with Dense(1, activation='sigmoid')."
        )


def check_class_rows(loss: str, y_true: Any, y_pred: Any, axis: int = -1) -> None:
    """Raise unless `y_true` has one row of class probabilities, (B, …, C), for each row of `y_pred`."""
    _check_axis(loss, axis)
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    if not theirs:
        raise errors.ShapeMismatch(
            "a prediction is a row of class scores.", where=f"loss {loss!r}", expected="y_pred of shape (B, C)",
            got="shape ()",
        )  # fmt: skip
    _warn_one_class(loss, theirs, axis)
    classes = theirs[axis]
    numbers = _without(theirs, axis)
    if classes != 1 and (_fits(ours, numbers) or _fits(ours, (*numbers, 1))):
        sparse = "sparse_categorical_crossentropy"
        raise errors.ShapeMismatch(
            "the labels look like class numbers, one a sample; this loss takes one-hot rows.",
            where=f"loss {loss!r}", expected=f"y_true of shape {theirs}", got=f"y_true of shape {ours}",
            hint=f"keep the labels and use loss={sparse!r}, or turn them into rows: "
            f"y = kerata.utils.to_categorical(y, num_classes={classes})",
        )  # fmt: skip
    if not _fits(ours, theirs):
        hint = None
        if len(ours) == len(theirs) and _fits(_without(ours, axis), numbers):
            hint = (
                f"the labels have {ours[axis]} classes and the model {classes}: give the last layer {ours[axis]} "
                f"units, or make the labels with to_categorical(y, num_classes={classes})"
            )
        raise errors.ShapeMismatch(
            "labels and predictions do not fit.", where=f"loss {loss!r}", expected=f"y_true of shape {theirs}",
            got=f"y_true of shape {ours}", hint=hint,
        )  # fmt: skip


def check_class_numbers(loss: str, y_true: Any, y_pred: Any, axis: int = -1) -> None:
    """Raise unless `y_true` has one class number, (B, …) or (B, …, 1), for each row of `y_pred`."""
    _check_axis(loss, axis)
    ours, theirs = tuple(y_true.shape), tuple(y_pred.shape)
    if not theirs:
        raise errors.ShapeMismatch(
            "a prediction is a row of class scores.", where=f"loss {loss!r}", expected="y_pred of shape (B, C)",
            got="shape ()",
        )  # fmt: skip
    _warn_one_class(loss, theirs, axis)
    numbers, classes = _without(theirs, axis), theirs[axis]
    if _fits(ours, numbers) or (len(ours) == len(theirs) and ours[axis] == 1 and _fits(_without(ours, axis), numbers)):
        return
    if _fits(ours, theirs):
        raise errors.ShapeMismatch(
            "the labels look like one-hot rows; this loss takes class numbers, one a sample.",
            where=f"loss {loss!r}", expected=f"y_true of shape {numbers}", got=f"y_true of shape {ours}",
            hint="keep the labels and use loss='categorical_crossentropy', or turn the rows into class numbers: "
            f"y = numpy.argmax(y, axis={axis})",
        )  # fmt: skip
    raise errors.ShapeMismatch(
        f"labels and predictions of {classes} classes do not fit.", where=f"loss {loss!r}",
        expected=f"y_true of shape {numbers}", got=f"y_true of shape {ours}",
        hint="compare model.output_shape with y.shape: all axes but that of the classes must agree",
    )  # fmt: skip


def check_labels(y: Any, num_classes: int, ignore_class: int | None = None, where: str = "labels") -> None:
    """Raise unless every label in `y`, an array on the host, is one of the class numbers 0 … num_classes - 1.

    A compiled step cannot see values, so a label out of range would train silently on nonsense; this looks first.

    Args:
        y: class numbers of any shape; tensors that a transform is tracing are let through.
        num_classes: how many classes the predictions have.
        ignore_class: a label that is allowed besides.
        where: what the message calls the labels.

    Raises:
        InvalidArgument: with the first wrong label, its place and the likely cure.

    Example:
        >>> kerata.losses.check_labels(numpy.array([0, 2, 1]), num_classes=3)
    """
    if isinstance(y, KerasTensor) or engine.arrays.is_traced(y):
        return
    y = np.asarray(y)
    if y.size == 0:
        return
    if y.dtype.kind not in "biuf" and "float" not in y.dtype.name:
        raise errors.InvalidType(
            "labels are class numbers.", where=where, expected=f"integers from 0 to {num_classes - 1}",
            got=f"{y.dtype} such as {y.flat[0]!r}",
            hint="number the classes first: names, y = numpy.unique(y, return_inverse=True)",
        )  # fmt: skip
    values = y.astype("float32") if y.dtype.kind not in "biuf" else y
    right = (values >= 0) & (values < num_classes)
    if values.dtype.kind == "f":
        right &= values == np.floor(values)
    if ignore_class is not None:
        right |= values == ignore_class
    if right.all():
        return
    wrong = values[~right]
    place = ", ".join(str(int(i)) for i in np.argwhere(~right)[0])
    raise errors.InvalidArgument(
        f"{wrong.size} of {values.size} labels name no class.", where=where,
        expected=f"integers from 0 to {num_classes - 1}, since the predictions have {num_classes} classes",
        got=f"{wrong.flat[0]} at [{place}]", hint=_label_advice(values, wrong, num_classes),
    )  # fmt: skip


def _label_advice(values: np.ndarray, wrong: np.ndarray, num_classes: int) -> str:
    low, high = values.min(), values.max()
    if not np.isfinite(wrong).all():
        return "the labels hold NaN or infinity: clean the data first"
    if (wrong != np.floor(wrong)).any():
        return "these are no class numbers: for targets that are real numbers use loss='mean_squared_error'"
    if low == 1 and high == num_classes:
        return "the labels count from 1: subtract 1"
    if low < 0:
        return f"if {int(low)} marks what has no label, use SparseCategoricalCrossentropy(ignore_class={int(low)})"
    return f"give the last layer {int(high) + 1} units, or look for wrong labels"
