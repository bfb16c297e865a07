"""Stateless draws in JAX (threefry; a cheaper counter hash for dropout masks on a CPU)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kerata.engine.jax import lowering
from kerata.engine.protocol import Array

__all__ = [
    "uniform", "normal", "truncated_normal", "randint", "keep_mask", "categorical", "gamma", "beta", "binomial",
    "permutation",
]  # fmt: skip


def _key(key: Array) -> Array:
    return jax.random.wrap_key_data(jnp.asarray(key, "uint32"), impl="threefry2x32")


def uniform(key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array:
    return jax.random.uniform(_key(key), tuple(shape), dtype, low, high)


def normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return jax.random.normal(_key(key), tuple(shape), dtype)


def truncated_normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return jax.random.truncated_normal(_key(key), -2.0, 2.0, tuple(shape), dtype)


def randint(key: Array, shape: Sequence[int], low: Any, high: Any, dtype: str) -> Array:
    return jax.random.randint(_key(key), tuple(shape), low, high, dtype)


def keep_mask(key: Array, rate: Any, shape: Sequence[int]) -> Array:
    if jax.default_backend() == "cpu":
        return lowering.keep_mask(jnp.asarray(key, "uint32"), rate, tuple(shape))
    return jax.random.bernoulli(_key(key), 1.0 - rate, tuple(shape))


def categorical(key: Array, logits: Array, num_samples: int, dtype: str) -> Array:
    batch, classes = logits.shape
    draws = jax.random.categorical(_key(key), logits[:, None, :], axis=-1, shape=(batch, num_samples))
    return draws.astype(dtype)


def gamma(key: Array, shape: Sequence[int], dtype: str, alpha: Any) -> Array:
    return jax.random.gamma(_key(key), alpha, tuple(shape), dtype)


def beta(key: Array, shape: Sequence[int], dtype: str, alpha: Any, beta: Any) -> Array:
    return jax.random.beta(_key(key), alpha, beta, tuple(shape), dtype)


def binomial(key: Array, shape: Sequence[int], dtype: str, counts: Any, probabilities: Any) -> Array:
    return jax.random.binomial(_key(key), counts, probabilities, tuple(shape), dtype)


def permutation(key: Array, x: Array, axis: int) -> Array:
    return jax.random.permutation(_key(key), x, axis)
