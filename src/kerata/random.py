"""Random draws. A seed is an int (the same numbers each time), a `SeedGenerator` (new ones each call) or None.

Compiled or not, the same seed gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerata import engine, errors
from kerata.core import dtypes
from kerata.core.op import Array, FloatArray, convert, op
from kerata.core.rng import SeedGenerator as SeedGenerator
from kerata.core.rng import draw_key
from kerata.engine import arrays, xp

__all__ = [
    "SeedGenerator", "beta", "binomial", "categorical", "dropout", "gamma", "normal", "randint", "shuffle",
    "truncated_normal", "uniform",
]  # fmt: skip


def _float(dtype: Any, where: str) -> str:
    dtype = dtypes.standardize(dtype)
    if not dtypes.is_float(dtype):
        raise errors.InvalidArgument("draws floats.", where=f"random.{where}", expected="a float dtype", got=dtype)
    return dtype


def normal(shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Draw from the normal distribution.

    Example:
        >>> kerata.random.normal((2, 3), seed=1).shape
        (2, 3)
    """
    return engine.random.normal(draw_key(seed), shape, _float(dtype, "normal")) * stddev + mean


def truncated_normal(
    shape: Sequence[int], mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Any:
    """Draw from the normal distribution, cut at two standard deviations."""
    draws = engine.random.truncated_normal(draw_key(seed), shape, _float(dtype, "truncated_normal"))
    return draws * stddev + mean


def uniform(shape: Sequence[int], minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Draw evenly from [minval, maxval)."""
    return engine.random.uniform(draw_key(seed), shape, _float(dtype, "uniform"), minval, maxval)


def randint(shape: Sequence[int], minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    """Draw whole numbers evenly from minval to maxval - 1."""
    dtype = dtypes.standardize(dtype)
    if not dtypes.is_int(dtype):
        raise errors.InvalidArgument("draws ints.", where="random.randint", expected="an int dtype", got=dtype)
    return engine.random.randint(draw_key(seed), shape, minval, maxval, dtype)


def gamma(shape: Sequence[int], alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw from the gamma distribution of shape `alpha` and scale 1."""
    return engine.random.gamma(draw_key(seed), shape, _float(dtype, "gamma"), _parameter(alpha))


def beta(shape: Sequence[int], alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw from the beta distribution."""
    return engine.random.beta(draw_key(seed), shape, _float(dtype, "beta"), _parameter(alpha), _parameter(beta))


def binomial(shape: Sequence[int], counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Draw how many of `counts` tries succeed."""
    dtype = _float(dtype, "binomial")
    return engine.random.binomial(draw_key(seed), shape, dtype, _parameter(counts), _parameter(probabilities))


def _parameter(x: Any) -> Any:
    return arrays.cast(convert(x), "float32")


@op
def categorical(logits: FloatArray, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Array:
    """Draw `num_samples` classes for each row of logits (B, classes)."""
    return engine.random.categorical(draw_key(seed), logits, num_samples, dtypes.standardize(dtype))


@op
def shuffle(x: Array, axis: int = 0, seed: Any = None) -> Array:
    """Return x with its slices along an axis in random order."""
    return engine.random.permutation(draw_key(seed), x, axis)


@op
def dropout(
    inputs: FloatArray, rate: float, noise_shape: Sequence[int | None] | None = None, seed: Any = None
) -> Array:
    """Return x with each value set to 0 with probability `rate`, the others divided by 1 - rate.

    Args:
        noise_shape: where it holds 1, values along that axis share one draw; None stands for the size of x.

    Srivastava and others 2014, https://jmlr.org/papers/v15/srivastava14a.html.
    """
    if isinstance(rate, (int, float)) and not 0 <= rate <= 1:
        raise errors.InvalidArgument("a rate lies between 0 and 1.", where="random.dropout", got=rate)
    shape = inputs.shape
    if noise_shape is not None:
        shape = tuple(n if d is None else d for d, n in zip(noise_shape, inputs.shape, strict=True))
    keep = engine.random.keep_mask(draw_key(seed), rate, shape)
    return xp.where(keep, inputs / (1 - rate) if rate != 1 else inputs, 0)
