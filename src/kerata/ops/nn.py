"""Ops of neural networks: activations, normalizations, cross-entropies, attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kerata import config, errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, FloatOperand, Operand, op
from kerata.engine import arrays, transforms, xp
from kerata.ops.convolution import *  # noqa: F403  (Keras has these under this path too)
from kerata.ops.ctc import ctc_decode as ctc_decode
from kerata.ops.ctc import ctc_loss as ctc_loss
from kerata.ops.indexing import multi_hot as multi_hot
from kerata.ops.indexing import one_hot as one_hot
from kerata.ops.reductions import moments as moments

__all__ = [
    "batch_normalization", "binary_crossentropy", "categorical_crossentropy", "celu", "ctc_decode", "ctc_loss",
    "dot_product_attention", "elu", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "layer_normalization", "leaky_relu", "log_sigmoid", "log_softmax", "normalize", "normalize_batch",
    "polar", "psnr", "relu", "relu6", "rms_normalization", "selu", "sigmoid", "silu", "soft_shrink", "softmax",
    "softplus", "softsign", "sparse_categorical_crossentropy", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh_shrink", "threshold",
]  # fmt: skip


# Activations ----------------------------------------------------------------------------------------------------


@op
def relu(x: Array) -> Array:
    """Return max(x, 0). Its slope at 0 is 0.

    Example:
        >>> kerata.ops.relu([-1.0, 0.0, 2.0]).tolist()
        [0.0, 0.0, 2.0]
    """
    return xp.where(x <= 0, xp.zeros_like(x), x)  # in this order NaN stays NaN


@op
def relu6(x: Array) -> Array:
    """Return x held between 0 and 6; at both ends its slope is 0."""
    return xp.where(x <= 0, xp.zeros_like(x), xp.where(x >= 6, xp.full_like(x, 6), x))


@op
def leaky_relu(x: FloatArray, negative_slope: float = 0.2) -> Array:
    """Return x where x >= 0, negative_slope · x elsewhere."""
    return xp.where(x >= 0, x, negative_slope * x)


@op
def elu(x: FloatArray, alpha: float = 1.0) -> Array:
    """Return x where x > 0, alpha (eˣ - 1) elsewhere (https://arxiv.org/abs/1511.07289)."""
    return xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, xp.zeros_like(x), x)))


@op
def celu(x: FloatArray, alpha: float = 1.0) -> Array:
    """Return max(x, 0) + min(alpha (e^(x / alpha) - 1), 0) (https://arxiv.org/abs/1704.07483)."""
    return xp.maximum(x, 0) + alpha * xp.expm1(xp.minimum(x, 0) / alpha)


@op
def selu(x: FloatArray) -> Array:
    """Return elu scaled so that activations keep mean 0 and variance 1 (https://arxiv.org/abs/1706.02515)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * xp.where(x > 0, x, alpha * xp.expm1(xp.where(x > 0, xp.zeros_like(x), x)))


@op
def gelu(x: FloatArray, approximate: bool = True) -> Array:
    """Return x Φ(x), Φ being the normal distribution; by tanh when approximate (https://arxiv.org/abs/1606.08415)."""
    if approximate:
        return 0.5 * x * (1 + xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + arrays.special.erf(x / math.sqrt(2)))


@op
def glu(x: FloatArray, axis: int = -1) -> Array:
    """Return the first half of x along an axis times the sigmoid of the second (https://arxiv.org/abs/1612.08083)."""
    if x.shape[axis] % 2:
        raise errors.ShapeMismatch(
            "the axis cannot be halved.", where="ops.glu", expected="an even length", got=x.shape
        )
    values, gates = xp.split(x, 2, axis=axis)
    return values * sigmoid(gates)


@op
def sigmoid(x: FloatArray) -> Array:
    """Return 1 / (1 + e⁻ˣ)."""
    return 0.5 * (xp.tanh(0.5 * x) + 1)


@op
def log_sigmoid(x: FloatArray) -> Array:
    """Return log(sigmoid(x)) without overflow."""
    return -softplus(-x)


@op
def softplus(x: FloatArray) -> Array:
    """Return log(1 + eˣ) without overflow."""
    return xp.logaddexp(x, xp.zeros_like(x))


@op
def softsign(x: FloatArray) -> Array:
    """Return x / (1 + |x|)."""
    return x / (1 + xp.abs(x))


@op
def silu(x: FloatArray) -> Array:
    """Return x · sigmoid(x), also called swish (https://arxiv.org/abs/1710.05941)."""
    return x * sigmoid(x)


swish = silu


@op
def hard_sigmoid(x: FloatArray) -> Array:
    """Return relu6(x + 3) / 6."""
    return relu6(x + 3) / 6


@op
def hard_silu(x: FloatArray) -> Array:
    """Return x · hard_sigmoid(x) (https://arxiv.org/abs/1905.02244)."""
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@op
def hard_tanh(x: Array) -> Array:
    """Return x held between -1 and 1."""
    dtype = dtypes.dtype_of(x)
    return xp.clip(arrays.cast(x, "int32") if dtype == "bool" else x, 0 if dtype.startswith("uint") else -1, 1)


@op
def hard_shrink(x: FloatArray, threshold: float = 0.5) -> Array:
    """Return x where |x| > threshold, 0 elsewhere."""
    return xp.where(xp.abs(x) > threshold, x, xp.zeros_like(x))


@op
def soft_shrink(x: FloatArray, threshold: float = 0.5) -> Array:
    """Return x moved towards 0 by `threshold`, 0 within it."""
    return xp.sign(x) * xp.maximum(xp.abs(x) - threshold, 0)


@op
def tanh_shrink(x: FloatArray) -> Array:
    """Return x - tanh(x)."""
    return x - xp.tanh(x)


@op
def threshold(x: FloatArray, threshold: float, default_value: float) -> Array:
    """Return x where x > threshold, `default_value` elsewhere."""
    return xp.where(x > threshold, x, xp.full_like(x, default_value))


@op
def squareplus(x: FloatArray, b: float = 4) -> Array:
    """Return (x + √(x² + b)) / 2 (https://arxiv.org/abs/2112.11687)."""
    return (x + xp.sqrt(x * x + b)) / 2


@op
def sparse_plus(x: FloatArray) -> Array:
    """Return 0 where x <= -1, (x + 1)² / 4 between -1 and 1, x where x >= 1."""
    return xp.where(x <= -1, xp.zeros_like(x), xp.where(x < 1, (x + 1) ** 2 / 4, x))


@op
def sparse_sigmoid(x: FloatArray) -> Array:
    """Return 0 where x <= -1, (x + 1) / 2 between -1 and 1, 1 where x >= 1."""
    return xp.where(x <= -1, xp.zeros_like(x), xp.where(x >= 1, xp.ones_like(x), 0.5 * (x + 1)))


@op
def softmax(x: FloatArray, axis: int | Sequence[int] | None = -1) -> Array:
    """Return eˣ / Σ eˣ along an axis (or over several): positive numbers that sum to 1.

    Example:
        >>> kerata.ops.softmax([0.0, 0.0]).tolist()
        [0.5, 0.5]
    """
    axis = tuple(axis) if isinstance(axis, list) else axis
    top = transforms.stop_gradient(xp.max(x, axis=axis, keepdims=True))
    grown = xp.exp(x - top)
    return grown / xp.sum(grown, axis=axis, keepdims=True)


@op
def log_softmax(x: FloatArray, axis: int | Sequence[int] | None = -1) -> Array:
    """Return log(softmax(x)) without overflow."""
    axis = tuple(axis) if isinstance(axis, list) else axis
    shifted = x - transforms.stop_gradient(xp.max(x, axis=axis, keepdims=True))
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


@op
def sparsemax(x: FloatArray, axis: int = -1) -> Array:
    """Return the point of the simplex nearest to x: like softmax, with exact zeros (https://arxiv.org/abs/1602.02068).

    With the values sorted down, the support is the largest k with 1 + k·z_k > Σ_{j<=k} z_j.
    """
    z = xp.flip(xp.sort(x, axis=axis), axis)
    shape = [1] * x.ndim
    shape[axis] = x.shape[axis]
    k = xp.reshape(xp.arange(1, x.shape[axis] + 1, dtype=x.dtype), shape)
    running = xp.cumsum(z, axis=axis)
    in_support = 1 + k * z > running
    size = xp.sum(in_support, axis=axis, keepdims=True)
    total = xp.sum(xp.where(in_support, z, 0), axis=axis, keepdims=True)
    return xp.maximum(x - (total - 1) / size, 0)


# Normalizations -------------------------------------------------------------------------------------------------


def _along(x: Any, vector: Any, axis: Any) -> Any:
    """Return `vector`, which has the axes `axis` of x, shaped to broadcast against x."""
    if vector is None:
        return None
    axes = sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    vector = arrays.as_array(vector)
    return xp.reshape(vector, [x.shape[a] if a in axes else 1 for a in range(x.ndim)])


@op
def batch_normalization(
    x: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    axis: int,
    offset: FloatArray = None,
    scale: FloatArray = None,
    epsilon: float = 1e-3,
) -> Array:
    """Return (x - mean) / √(variance + ε) · scale + offset; the vectors lie along `axis`.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.
    """
    factor = 1 / xp.sqrt(_along(x, variance, axis) + epsilon)
    if scale is not None:
        factor = factor * _along(x, scale, axis)
    shift = -_along(x, mean, axis) * factor
    if offset is not None:
        shift = shift + _along(x, offset, axis)
    return x * arrays.cast(factor, dtypes.dtype_of(x)) + arrays.cast(shift, dtypes.dtype_of(x))


@op
def normalize_batch(
    x: FloatArray, scale: FloatArray = None, offset: FloatArray = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    """Return `batch_normalization` by the mean and variance over all axes but `axis`, and those two, without slope.

    Example:
        >>> y, mean, variance = kerata.ops.nn.normalize_batch([[1.0], [3.0]])
        >>> mean.tolist(), variance.tolist()
        ([2.0], [1.0])
    """
    mean, variance = moments(x, [a for a in range(x.ndim) if a != axis % x.ndim])
    y = batch_normalization.body(x, mean, variance, axis, offset, scale, epsilon)  # type: ignore[attr-defined]
    return y, transforms.stop_gradient(mean), transforms.stop_gradient(variance)


def _at_least_float32(x: Any) -> Any:
    return arrays.cast(x, dtypes.result_type(x.dtype, "float32"))


@op
def layer_normalization(
    x: Array,
    gamma: Array = None,
    beta: Array = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
    **kwargs: Any,
) -> Array:
    """Return (x - mean) / √(variance + ε) · gamma + beta, mean and variance taken along `axis` of each sample.

    Ba, Kiros and Hinton 2016, https://arxiv.org/abs/1607.06450.
    """
    axis = tuple(axis) if isinstance(axis, list) else axis
    epsilon = config.epsilon() if epsilon is None else epsilon

    def normalized(x: Any, gamma: Any, beta: Any) -> Any:
        wide = _at_least_float32(x)
        centred = wide - xp.mean(wide, axis=axis, keepdims=True)
        y = centred / xp.sqrt(xp.mean(xp.square(centred), axis=axis, keepdims=True) + epsilon)
        if gamma is not None:
            y = y * _along(x, gamma, axis)
        if beta is not None:
            y = y + _along(x, beta, axis)
        return arrays.cast(y, dtypes.dtype_of(x))

    return transforms.apart(normalized)(x, gamma, beta)


@op
def rms_normalization(
    x: Array, scale: Array = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Array:
    """Return x / √(mean(x²) + ε) · scale, the mean taken along `axis` (https://arxiv.org/abs/1910.07467)."""
    axis = tuple(axis) if isinstance(axis, list) else axis
    epsilon = config.epsilon() if epsilon is None else epsilon

    def normalized(x: Any, scale: Any) -> Any:
        wide = _at_least_float32(x)
        y = wide / xp.sqrt(xp.mean(xp.square(wide), axis=axis, keepdims=True) + epsilon)
        if scale is not None:
            y = y * _along(x, scale, axis)
        return arrays.cast(y, dtypes.dtype_of(x))

    return transforms.apart(normalized)(x, scale)


@op
def normalize(x: FloatArray, axis: int | Sequence[int] = -1, order: Any = 2, epsilon: float | None = None) -> Array:
    """Return x divided by its norm of an order along `axis`; a zero vector stays zero.

    The divisor is at least epsilon, config.epsilon() by default.
    """
    axis = tuple(axis) if isinstance(axis, list) else axis
    epsilon = config.epsilon() if epsilon is None else epsilon
    if order == 2:
        return x / xp.sqrt(xp.maximum(xp.sum(xp.square(x), axis=axis, keepdims=True), epsilon**2))
    return x / xp.maximum(xp.linalg.norm(x, ord=order, axis=axis, keepdims=True), epsilon)


# Cross-entropies ------------------------------------------------------------------------------------------------


def _log_probabilities(output: Any, from_logits: bool, axis: int) -> Any:
    if from_logits:
        return log_softmax(output, axis)
    output = output / xp.sum(output, axis=axis, keepdims=True)
    return xp.log(_inside(output))


def _inside(probability: Any) -> Any:
    """Return probabilities held away from 0 and 1, where logarithms end."""
    return xp.clip(probability, config.epsilon(), 1 - config.epsilon())


@op
def categorical_crossentropy(
    target: Array, output: FloatArray, from_logits: bool = False, axis: int = -1
) -> Array:
    """Return -Σ target · log(output) along the class axis, for targets that are distributions (one-hot vectors).

    Args:
        from_logits: whether `output` is logits; else probabilities, which are scaled to sum to 1.
    """
    if target.shape != output.shape:
        raise errors.ShapeMismatch(
            "target and output differ in shape.", where="ops.categorical_crossentropy", expected=output.shape,
            got=target.shape, hint="for integer labels use sparse_categorical_crossentropy",
        )  # fmt: skip
    return -xp.sum(target * _log_probabilities(output, from_logits, axis), axis=axis)


@op
def sparse_categorical_crossentropy(
    target: Array, output: FloatArray, from_logits: bool = False, axis: int = -1
) -> Array:
    """Return -log(output[target]) along the class axis, for integer labels; 0 for a label out of range."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = xp.squeeze(target, -1)
    axis = axis % output.ndim
    if target.shape != output.shape[:axis] + output.shape[axis + 1 :]:
        raise errors.ShapeMismatch(
            "the labels do not fit the output.", where="ops.sparse_categorical_crossentropy",
            expected=f"one label for each of {output.shape[:axis] + output.shape[axis + 1 :]}", got=target.shape,
            hint="for one-hot labels use categorical_crossentropy",
        )  # fmt: skip
    target = arrays.cast(target, "int32")
    shape = [-1 if a == axis else 1 for a in range(output.ndim)]
    hit = xp.expand_dims(target, axis) == xp.reshape(xp.arange(output.shape[axis]), shape)
    if from_logits:
        return -xp.sum(xp.where(hit, log_softmax(output, axis), 0), axis=axis)
    # One logarithm for each label, not for each class.
    probability = xp.sum(xp.where(hit, output, 0), axis=axis) / xp.sum(output, axis=axis)
    is_class = (target >= 0) & (target < output.shape[axis])
    return xp.where(is_class, -xp.log(_inside(probability)), 0)


@op
def binary_crossentropy(target: FloatOperand, output: FloatOperand, from_logits: bool = False) -> Array:
    """Return -(t log p + (1 - t) log(1 - p)), elementwise."""
    if target.shape != output.shape:
        raise errors.ShapeMismatch(
            "target and output differ in shape.", where="ops.binary_crossentropy", expected=output.shape,
            got=target.shape,
        )  # fmt: skip
    if from_logits:
        return -(target * log_sigmoid(output) + (1 - target) * log_sigmoid(-output))
    p = _inside(output)
    return -(target * xp.log(p) + (1 - target) * xp.log(1 - p))


# Attention ------------------------------------------------------------------------------------------------------


@op
def dot_product_attention(
    query: Operand,
    key: Operand,
    value: Operand,
    bias: Array = None,
    mask: Array = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Array:
    """Return softmax(q kᵀ · scale + bias) v for each head (https://arxiv.org/abs/1706.03762).

    Args:
        query: (B, T, N, H) with N heads of width H.
        key, value: (B, S, K, H); K divides N, each of its heads serving N / K query heads.
        bias, mask: broadcast to (B, N, T, S); where the mask is False nothing is attended to.
        scale: 1 / √H by default.
        is_causal: whether a position sees only itself and those before.
    """
    if not dtypes.is_float(dtype := dtypes.dtype_of(value)):
        q, k, v = (arrays.cast(x, config.floatx()) for x in (query, key, value))
        y = dot_product_attention(q, k, v, bias, mask, scale, is_causal, flash_attention, attn_logits_soft_cap)
        return arrays.cast(y, dtype)
    share = query.shape[2] // key.shape[2]
    if share > 1:
        key, value = xp.repeat(key, share, axis=2), xp.repeat(value, share, axis=2)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    logits = _at_least_float32(xp.einsum("btnh,bsnh->bnts", query, key)) * scale
    if attn_logits_soft_cap is not None:
        logits = attn_logits_soft_cap * xp.tanh(logits / attn_logits_soft_cap)
    if bias is not None:
        logits = logits + bias
    lowest = -0.7 * 3.4e38
    if mask is not None:
        logits = xp.where(mask, logits, lowest)
    if is_causal:
        rows, columns = xp.arange(query.shape[1]), xp.arange(key.shape[1])
        logits = xp.where(columns[None] <= rows[:, None], logits, lowest)
    weights = arrays.cast(softmax(logits), dtypes.dtype_of(value))
    return xp.einsum("bnts,bsnh->btnh", weights, value)


# Others ---------------------------------------------------------------------------------------------------------


@op
def polar(abs_: FloatOperand, angle: FloatOperand) -> Array:
    """Return the complex numbers of a length and an angle in radians."""
    abs_, angle = _at_least_float32(abs_), _at_least_float32(angle)
    return abs_ * xp.cos(angle) + 1j * (abs_ * xp.sin(angle))


@op
def psnr(x1: FloatOperand, x2: FloatOperand, max_val: float) -> Array:
    """Return the peak signal-to-noise ratio, 10 log10(max_val² / mean((x1 - x2)²)), in decibels."""
    return 10 * xp.log10(max_val**2 / xp.mean(xp.square(x1 - x2)))
