"""Stateless draws in NumPy: a counter-based generator (Philox) that starts anew from each key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import scipy.special

from kerata.engine.numpy.values import on_arrays
from kerata.engine.protocol import Array

__all__ = [
    "uniform", "normal", "truncated_normal", "randint", "keep_mask", "categorical", "gamma", "beta",
    "binomial", "permutation",
]  # fmt: skip


def _generator(key: Array) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.asarray(key, np.uint64)))


@on_arrays
def uniform(key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array:
    # Only numbers that the dtype can tell apart, so that rounding never reaches `high`.
    steps = 2.0 ** (ml_dtypes.finfo(dtype).nmant + 1)
    unit = np.floor(_generator(key).random(tuple(shape)) * steps) / steps
    return (low + (high - low) * unit).astype(dtype)


@on_arrays
def normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return _generator(key).standard_normal(tuple(shape)).astype(dtype)


@on_arrays
def truncated_normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    lowest, highest = scipy.special.ndtr((-2.0, 2.0))
    return scipy.special.ndtri(_generator(key).uniform(lowest, highest, tuple(shape))).astype(dtype)


@on_arrays
def randint(key: Array, shape: Sequence[int], low: Any, high: Any, dtype: str) -> Array:
    return _generator(key).integers(low, high, tuple(shape)).astype(dtype)


@on_arrays
def keep_mask(key: Array, rate: Any, shape: Sequence[int]) -> Array:
    return _generator(key).random(tuple(shape)) >= rate


@on_arrays
def categorical(key: Array, logits: Array, num_samples: int, dtype: str) -> Array:
    batch, classes = logits.shape
    noise = _generator(key).gumbel(size=(batch, num_samples, classes))
    return np.argmax(logits[:, None, :] + noise, axis=-1).astype(dtype)


@on_arrays
def gamma(key: Array, shape: Sequence[int], dtype: str, alpha: Any) -> Array:
    return _generator(key).standard_gamma(alpha, tuple(shape)).astype(dtype)


@on_arrays
def beta(key: Array, shape: Sequence[int], dtype: str, alpha: Any, beta: Any) -> Array:
    return _generator(key).beta(alpha, beta, tuple(shape)).astype(dtype)


@on_arrays
def binomial(key: Array, shape: Sequence[int], dtype: str, counts: Any, probabilities: Any) -> Array:
    counts = np.asarray(counts).astype(np.int64)
    return _generator(key).binomial(counts, probabilities, tuple(shape)).astype(dtype)


@on_arrays
def permutation(key: Array, x: Array, axis: int) -> Array:
    return _generator(key).permutation(x, axis)
