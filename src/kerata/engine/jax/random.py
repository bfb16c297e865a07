"""Stateless draws in JAX (threefry; a cheaper counter hash for dropout masks on a CPU)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from kerata.engine.jax import lowering
from kerata.engine.protocol import Array

__all__ = [
    "uniform", "normal", "truncated_normal", "randint", "keep_mask", "categorical", "gamma", "beta", "binomial",
    "permutation",
]  # fmt: skip


_LENGTHS = (1 << 12, 1 << 18, 1 << 20)
"""Of the vectors that draws of all shapes are taken from; to draw the second takes a millisecond."""


def _key(key: Array) -> Array:
    return jax.random.wrap_key_data(jnp.asarray(key, "uint32"), impl="threefry2x32")


@partial(jax.jit, static_argnums=(0, 2, 3))
def _drawn(name: str, key: Array, shape: tuple[int, ...], dtype: str, *bounds: Any) -> Array:
    """`bounds` are those that the draw takes: low and high."""
    draw: Any = getattr(jax.random, name)
    if name == "truncated_normal":
        return draw(_key(key), *bounds, shape, dtype)
    return draw(_key(key), shape, dtype, *bounds)


def _draw(name: str, key: Array, shape: Sequence[int], dtype: str, *bounds: Any) -> Array:
    """Return draws that depend on their place in the array alone: those of a shape begin those of a longer vector.

    Compiling takes longer than drawing, and a network's weights have many shapes: they share a program.
    """
    shape, count = tuple(shape), math.prod(shape)
    length = next((n for n in _LENGTHS if count <= n), 0)
    is_in_program = isinstance(jax.device_put(np.uint32(0)), Tracer)
    if not length or is_in_program or any(isinstance(x, Tracer) for x in (key, *bounds)) or any(map(np.ndim, bounds)):
        return _drawn(name, key, shape, dtype, *bounds)
    draws = _drawn(name, key, (length,), dtype, *(np.asarray(b, jnp.dtype(dtype)) for b in bounds))
    return jax.device_put(np.asarray(draws)[:count].reshape(shape).copy())


def uniform(key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array:
    return _draw("uniform", key, shape, dtype, low, high)


def normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return _draw("normal", key, shape, dtype)


def truncated_normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return _draw("truncated_normal", key, shape, dtype, -2.0, 2.0)


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
