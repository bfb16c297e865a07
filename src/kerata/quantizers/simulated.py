"""Floats that are rounded as if they were kept in few bits, and stay floats: fake quantization, and float8."""

from __future__ import annotations

from typing import Any

from kerata import ops
from kerata.core import dtypes

__all__ = [
    "compute_float8_amax_history", "compute_float8_scale", "fake_quant_with_min_max_vars", "quantize_and_dequantize",
]  # fmt: skip


def fake_quant_with_min_max_vars(
    inputs: Any, min_vals: Any, max_vals: Any, num_bits: int = 8, narrow_range: bool = False, axis: int | None = None
) -> Any:
    """Return `inputs` rounded to one of 2^num_bits values that lie evenly from `min_vals` to `max_vals`.

    The bounds are moved a little, so that 0 is one of the values. The gradient passes as if nothing was rounded: to
    the inputs within the bounds, and to a bound from the inputs beyond it.

    Args:
        inputs: floats.
        min_vals, max_vals: a number for all; or one for each channel along `axis`.
        num_bits: the number of bits.
        narrow_range: whether one value fewer is used, as many on both sides of the middle.
        axis: the axis of the channels; None for one pair of bounds.

    Example:
        >>> x = numpy.array([-2.0, 0.1, 0.4, 2.0], "float32")
        >>> kerata.quantizers.fake_quant_with_min_max_vars(x, -1.0, 0.5, num_bits=2).tolist()
        [-1.0, 0.0, 0.5, 0.5]

    Source: Jacob et al. (2018), Quantization and training of neural networks for efficient integer arithmetic.
    """
    steps = 2**num_bits - 1 - int(narrow_range)

    @ops.custom_gradient
    def rounded(x: Any, low: Any, high: Any) -> Any:
        kept = tuple(1 if i != (axis or 0) % x.ndim else -1 for i in range(x.ndim)) if axis is not None else ()
        bounds = [ops.reshape(ops.cast(b, "float32"), kept) for b in (low, high)]
        scale = (bounds[1] - bounds[0]) / steps
        zero = ops.clip(ops.round(-bounds[0] / scale), 0, steps)
        least, most = -zero * scale, (steps - zero) * scale
        clipped = ops.clip(ops.cast(x, "float32"), least, most)
        # Halves go up, so that this is what the integer arithmetic does.
        y = ops.cast((ops.floor((clipped - least) / scale - zero + 0.5)) * scale, x.dtype)
        others = None if axis is None else tuple(i for i, size in enumerate(kept) if size == 1)

        def gradient(upstream: Any) -> Any:
            def summed(where: Any, bound: Any) -> Any:
                total = ops.sum(ops.where(where, upstream, 0), axis=others)
                return ops.cast(ops.reshape(total, bound.shape), bound.dtype)

            inside = ops.logical_and(x >= least, x <= most)
            by_inputs = ops.cast(ops.where(inside, upstream, 0), x.dtype)
            return by_inputs, summed(x <= least, low), summed(x >= most, high)

        return y, gradient

    return rounded(inputs, min_vals, max_vals)


# Float8 -----------------------------------------------------------------------------------------------------------


def compute_float8_scale(amax: Any, scale: Any, dtype_max: Any, margin: int = 0) -> Any:
    """Return the scale that brings values up to `amax` into the range of a dtype up to `dtype_max`.

    Args:
        amax: the largest absolute value seen; where it is 0 or not finite the scale stays.
        scale: the scale before.
        dtype_max: the largest value of the dtype.
        margin: how many powers of two are left free above.

    Example:
        >>> float(kerata.quantizers.compute_float8_scale(896.0, 1.0, 448.0))
        2.0
    """
    amax = ops.convert_to_tensor(amax)
    known = ops.logical_and(amax > 0, ops.isfinite(amax))
    return ops.where(known, ops.where(known, amax, 1) * 2**margin / dtype_max, scale)


def compute_float8_amax_history(x: Any, amax_history: Any) -> Any:
    """Return the history of largest absolute values, (N,), a step further: that of `x` comes to its beginning.

    Example:
        >>> history = numpy.array([5.0, 6.0, 7.0])
        >>> kerata.quantizers.compute_float8_amax_history(numpy.array([1.0, -3.0]), history).tolist()
        [3.0, 7.0, 5.0]
    """
    history = ops.convert_to_tensor(amax_history)
    largest = ops.cast(ops.max(ops.abs(x)), history.dtype)
    return ops.scatter_update(ops.roll(history, -1), [[0]], ops.reshape(largest, (1,)))


def quantize_and_dequantize(inputs: Any, scale: Any, quantized_dtype: str, compute_dtype: str) -> Any:
    """Return `inputs` as they are after a stay in `quantized_dtype`, divided by `scale` on the way there.

    Example:
        >>> x = numpy.array([1.06, 500.0])
        >>> kerata.quantizers.quantize_and_dequantize(x, 1.0, "float8_e4m3fn", "float32").tolist()
        [1.0, 448.0]
    """
    largest = dtypes.limits(quantized_dtype)[1]
    scale = ops.cast(scale, compute_dtype)
    q = ops.cast(ops.clip(ops.cast(inputs, compute_dtype) / scale, -largest, largest), quantized_dtype)
    return ops.cast(q, compute_dtype) * scale
