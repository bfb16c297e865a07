"""Small helpers around arrays: one-hot labels, unit length, equal lengths, and the tuples that `fit` takes.

NumPy in, NumPy out. Arrays of the engine are handed on to `kerata.ops`. No training and no files here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import errors

__all__ = ["normalize", "pack_x_y_sample_weight", "pad_sequences", "to_categorical", "unpack_x_y_sample_weight"]


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Return integer labels as one-hot rows.

    `y[..., k] = 1 if x[...] == k else 0`

    Args:
        x: labels from 0 to `num_classes - 1`, any shape; a last axis of length 1 is dropped: (B, 1) counts as (B,).
        num_classes: length of a row; `max(x) + 1` where not given.

    Returns:
        A float64 NumPy array (*x.shape, num_classes); for an array of the engine, one of the engine.

    Raises:
        InvalidArgument: a label is negative, too large or no whole number.

    Example:
        >>> kerata.utils.to_categorical([0, 2], num_classes=3)
        array([[1., 0., 0.],
               [0., 0., 1.]])
    """
    if _belongs_to_engine(x):
        return _engine_one_hot(x, num_classes)
    labels = _whole_numbers(np.asarray(x))
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        if labels.size == 0:
            raise errors.InvalidArgument(
                "there are no labels to learn the number of classes from.",
                where="to_categorical", hint="give num_classes",
            )  # fmt: skip
        num_classes = int(labels.max()) + 1
    _refuse(labels, labels < 0, "a label is negative.", num_classes)
    _refuse(labels, labels >= num_classes, "a label is too large for the number of classes.", num_classes)
    one_hot = np.zeros((labels.size, num_classes))
    one_hot[np.arange(labels.size), labels.ravel()] = 1
    return one_hot.reshape(*labels.shape, num_classes)


def normalize(x: Any, axis: int | None = -1, order: float = 2) -> Any:
    """Return `x` divided by its norm along `axis`: `x / ||x||_order`; where the norm is 0, zeros stay zeros.

    Args:
        x: a NumPy array, of which a NumPy array comes back; or else what `kerata.ops.normalize` takes, such as a list.
            A vector (N,) of NumPy comes back as a row (1, N), as in Keras.
        axis: the axis of the vectors to scale; None takes the whole of `x` (a vector or a matrix) as one.
        order: of the norm, as in `numpy.linalg.norm`.

    Example:
        >>> kerata.utils.normalize(numpy.array([[3.0, 4.0]]))
        array([[0.6, 0.8]])
    """
    if not isinstance(x, np.ndarray):
        from kerata import ops

        return ops.normalize(x, axis=tuple(range(np.ndim(x))) if axis is None else axis, order=order)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    unit = x / np.where(norm == 0, 1, norm)
    return unit[np.newaxis] if unit.ndim == 1 else unit


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray:
    """Return sequences of different lengths as one array, filled up with `value`.

    Args:
        sequences: B sequences, each of shape (T_i, ...).
        maxlen: the length T of all; the longest one's where not given.
        dtype: of the result; `object` for strings of any length.
        padding: fill up before ("pre") or after ("post") the values.
        truncating: drop what is too much at the beginning ("pre") or at the end ("post").
        value: what to fill up with.

    Returns:
        A NumPy array (B, T, ...).

    Raises:
        InvalidArgument: an element is no sequence, their inner shapes differ, or a string is to fill up numbers.

    Example:
        >>> kerata.utils.pad_sequences([[1], [2, 3, 4]], maxlen=2)
        array([[0, 1],
               [3, 4]], dtype=int32)
    """
    for name, given in (("padding", padding), ("truncating", truncating)):
        if given not in ("pre", "post"):
            raise errors.UnknownName(name, given, ("pre", "post"), where="pad_sequences")
    if isinstance(value, str) and np.dtype(dtype).kind not in "OSU":
        raise errors.InvalidArgument(
            "a string cannot fill up numbers.", where="pad_sequences", got=f"value={value!r}, dtype={dtype}",
            hint="pass dtype=object for strings",
        )  # fmt: skip
    if not (hasattr(sequences, "__len__") and all(hasattr(sequence, "__len__") for sequence in sequences)):
        raise errors.InvalidArgument("these are no sequences.", where="pad_sequences", expected="a list of lists")
    if maxlen is None:
        maxlen = max(map(len, sequences), default=0)
    inner = next((np.asarray(sequence).shape[1:] for sequence in sequences if len(sequence)), ())
    padded = np.full((len(sequences), maxlen, *inner), value, dtype=dtype)
    for i, sequence in enumerate(sequences):
        kept = sequence[max(len(sequence) - maxlen, 0) :] if truncating == "pre" else sequence[:maxlen]
        if not len(kept):
            continue
        kept = np.asarray(kept, dtype=dtype)
        if kept.shape[1:] != inner:
            raise errors.ShapeMismatch(
                "the sequences' elements have different shapes.", where=f"pad_sequences, sequence {i}",
                expected=inner, got=kept.shape[1:],
            )  # fmt: skip
        start = maxlen - len(kept) if padding == "pre" else 0
        padded[i, start : start + len(kept)] = kept
    return padded


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Return inputs, targets and weights as `fit` takes them: `x`, `(x, y)` or `(x, y, sample_weight)`.

    A lone `x` that is a list or tuple is wrapped, `(x,)`, so that its parts are not taken for targets.

    Example:
        >>> kerata.utils.pack_x_y_sample_weight(1, 2)
        (1, 2)
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Return `(x, y, sample_weight)` from a batch of `fit`, with None for what it does not hold.

    Example:
        >>> x, y, sample_weight = kerata.utils.unpack_x_y_sample_weight((1, 2))
    """
    if not isinstance(data, (tuple, list)):
        return (data, None, None)
    if not 1 <= len(data) <= 3:
        raise errors.InvalidArgument(
            "a batch has one, two or three parts.", where="unpack_x_y_sample_weight",
            expected="x, (x,), (x, y) or (x, y, sample_weight)", got=f"{len(data)} parts",
        )  # fmt: skip
    x, y, sample_weight = (*data, None, None)[:3]
    return (x, y, sample_weight)


def _belongs_to_engine(x: Any) -> bool:
    if isinstance(x, (np.ndarray, np.generic, list, tuple, int, float)):
        return False  # known without asking, and so without loading, the engine
    from kerata import engine
    from kerata.core import symbolic, variable

    return engine.arrays.is_array(x) or isinstance(x, (symbolic.KerasTensor, variable.Variable))


def _engine_one_hot(x: Any, num_classes: int | None) -> Any:
    from kerata import ops

    if not num_classes:
        raise errors.InvalidArgument(
            "an array of the engine does not tell the number of classes.", where="to_categorical",
            hint="give num_classes, or a NumPy array",
        )  # fmt: skip
    if len(x.shape) > 1 and x.shape[-1] == 1:
        x = ops.squeeze(x, axis=-1)
    return ops.one_hot(x, num_classes)


def _whole_numbers(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    try:
        numbers = labels.astype(np.float64)
    except (TypeError, ValueError):
        raise errors.InvalidType(
            "labels are not numbers.", where="to_categorical", expected="whole numbers from 0", got=labels.dtype,
            hint="give each class a number first: np.unique(labels, return_inverse=True)[1]",
        ) from None  # fmt: skip
    _refuse(numbers, ~(np.isfinite(numbers) & (numbers == np.trunc(numbers))), "a label is no whole number.")
    return numbers.astype(np.int64)


def _refuse(labels: np.ndarray, bad: np.ndarray, what: str, num_classes: int | None = None) -> None:
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    raise errors.InvalidArgument(
        what, where="to_categorical",
        expected="whole numbers from 0" + (f" to {num_classes - 1}" if num_classes else ""),
        got=f"{labels.ravel()[first]} at position {first} ({int(bad.sum())} such in all)",
    )  # fmt: skip
