"""Quantizing by the largest absolute value: floats become small whole numbers and the scale that leads there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.core import dtypes
from kerata.core.configurable import Configurable
from kerata.core.op import convert
from kerata.core.symbolic import KerasTensor

__all__ = ["AbsMaxQuantizer", "Quantizer", "abs_max_quantize", "abs_max_quantize_grouped_with_zero_point"]


def _place(inputs: Any, to_numpy: bool) -> tuple[Any, Any, str]:
    """Return the namespace to compute in, the inputs there, and their dtype."""
    if not to_numpy:
        x = inputs if isinstance(inputs, KerasTensor) else convert(inputs)
        return ops, x, dtypes.dtype_of(x)
    x = np.asarray(ops.convert_to_numpy(inputs))
    return np, x if x.dtype.kind == "f" else x.astype("float32"), dtypes.dtype_of(x)


def abs_max_quantize(
    inputs: Any,
    axis: int | Sequence[int],
    value_range: Sequence[int] = (-127, 127),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Any, Any]:
    """Return `inputs` as whole numbers q = round(scale · inputs), and the scale = high / max |inputs| along `axis`.

    Args:
        inputs: floats.
        axis: the axes whose cells share a scale.
        value_range: the smallest and largest whole number.
        dtype: the dtype of the whole numbers.
        epsilon: added to the largest absolute value, that zeros may be divided by it.
        to_numpy: whether NumPy computes, which takes no memory of a device.

    Returns:
        The whole numbers, of the shape of `inputs`, and the scale, whose size along `axis` is 1.

    Example:
        >>> q, scale = kerata.quantizers.abs_max_quantize(numpy.array([[1.0, -2.0, 0.5]], "float32"), axis=-1)
        >>> q.tolist(), round(float(scale[0, 0]), 2)
        ([[64, -127, 32]], 63.5)
    """
    lib, x, float_dtype = _place(inputs, to_numpy)
    low, high = value_range
    axis = axis if isinstance(axis, int) else tuple(axis)
    scale = high / (lib.max(lib.abs(x), axis=axis, keepdims=True) + epsilon)
    return ops.cast(lib.clip(lib.round(x * scale), low, high), dtype), ops.cast(scale, float_dtype)


def abs_max_quantize_grouped_with_zero_point(
    inputs: Any,
    block_size: int,
    value_range: Sequence[int] = (-8, 7),
    dtype: str = "int8",
    epsilon: float = 1e-7,
    to_numpy: bool = False,
) -> tuple[Any, Any, Any]:
    """Return a matrix (I, O) in whole numbers q, with a scale and a zero point for each group of rows in each column.

    A cell is about scale · (q - zero). The range of a group always has the 0 in it, so that 0 stays 0.

    Args:
        inputs: floats (I, O).
        block_size: how many rows are a group; the last group may be smaller.
        value_range: the smallest and largest whole number.
        dtype: the dtype of the whole numbers.
        epsilon: added to the range of a group, that it may be divided by.
        to_numpy: whether NumPy computes, which takes no memory of a device.

    Returns:
        q (I, O); the scale (G, O) and the zero point (G, O), int8, for G groups.

    Example:
        >>> x = numpy.random.default_rng(0).normal(size=(512, 256)).astype("float32")
        >>> q, scale, zero = kerata.quantizers.abs_max_quantize_grouped_with_zero_point(x, 128)
        >>> q.shape, scale.shape, zero.shape
        ((512, 256), (4, 256), (4, 256))
    """
    lib, x, float_dtype = _place(inputs, to_numpy)
    low, high = value_range
    rows, columns = x.shape
    groups = -(-rows // block_size)
    x = lib.reshape(lib.pad(x, ((0, groups * block_size - rows), (0, 0))), (groups, block_size, columns))
    least = lib.minimum(lib.min(x, axis=1, keepdims=True), 0)
    most = lib.maximum(lib.max(x, axis=1, keepdims=True), 0)
    scale = (most - least + epsilon) / (high - low)
    zero = lib.clip(lib.round(-least / scale) + low, low, high)
    q = lib.clip(lib.round(x / scale) + zero, low, high)
    q = lib.reshape(q, (groups * block_size, columns))[:rows]
    return ops.cast(q, dtype), ops.cast(lib.squeeze(scale, 1), float_dtype), ops.cast(lib.squeeze(zero, 1), "int8")


class Quantizer(Configurable):
    """The base of quantizers: called on floats, one returns whole numbers and their scale.

    Args:
        output_dtype: the dtype of the whole numbers.
    """

    def __init__(self, output_dtype: str = "int8") -> None:
        self.output_dtype = output_dtype

    def __call__(self, x: Any) -> Any:
        """Return `x` as it is; a subclass says otherwise."""
        return x


class AbsMaxQuantizer(Quantizer):
    """Quantizes with the scale that takes the largest absolute value to the end of the range.

    Args:
        axis: the axes whose cells share a scale, where the call does not say.
        value_range: the smallest and largest whole number.
        epsilon: added to the largest absolute value.
        output_dtype: the dtype of the whole numbers.

    Example:
        >>> q, scale = kerata.quantizers.AbsMaxQuantizer()(numpy.array([[1.0, -2.0]], "float32"))
        >>> q.tolist()
        [[64, -127]]
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = None,
        value_range: Sequence[int] = (-127, 127),
        epsilon: float = 1e-7,
        output_dtype: str = "int8",
    ) -> None:
        super().__init__(output_dtype)
        self.axis = None if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        self.value_range = tuple(value_range)
        self.epsilon = epsilon
        if output_dtype == "int8" and (self.value_range[0] < -128 or self.value_range[1] > 127):
            raise errors.InvalidArgument(
                "the range does not fit into int8.", where="AbsMaxQuantizer", expected="within (-128, 127)",
                got=f"value_range={self.value_range}",
            )  # fmt: skip

    def __call__(self, x: Any, axis: int | Sequence[int] | None = None, to_numpy: bool = False) -> tuple[Any, Any]:
        """Return `x` as whole numbers, and the scale; `axis` is before that of the constructor."""
        axis = self.axis if axis is None else axis
        axis = -1 if axis is None else axis
        return abs_max_quantize(x, axis, self.value_range, self.output_dtype, self.epsilon, to_numpy)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name != "axis" or value is not None}
