"""Attention on a CPU: its weights are divided by their sum behind the product, and no gradient turns them."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from kerata.engine.jax import nn
from kerata.engine.jax.bilinear import bilinear
from kerata.engine.protocol import Array

__all__ = ["attention"]

_LOWEST = -0.7 * 3.4e38
"""The logit of what is hidden: a row of nothing else has equal weights, and no NaN."""


def attention(
    query: Array, key: Array, value: Array, bias: Array | None, mask: Array | None, scale: float | None,
    is_causal: bool, soft_cap: float | None,
) -> Array:  # fmt: skip
    """softmax(q kᵀ · scale + bias) v for each head; (B, T, N, H), (B, S, K, H), (B, S, K, V) -> (B, T, N, V).

    For eᵢ = exp(logitᵢ - max), the mean is Σ eᵢ vᵢ / Σ eᵢ: one division for each mean, and none for each weight.
    """
    sizes = (*query.shape, *key.shape, *value.shape)  # an exported program's may be unknown
    fits = query.dtype == key.dtype == value.dtype == jnp.float32 and all(isinstance(size, int) for size in sizes)
    if not (nn.lowers_for_cpu() and fits):
        return NotImplemented
    if (share := query.shape[2] // key.shape[2]) > 1:
        key, value = jnp.repeat(key, share, axis=2), jnp.repeat(value, share, axis=2)
    q, k, v = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    logits = _scores(q * (q.shape[-1] ** -0.5 if scale is None else scale), k)
    if soft_cap is not None:
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    if bias is not None:
        logits = logits + bias
    before = jnp.tri(q.shape[2], k.shape[2], dtype=bool) if is_causal else None
    for seen in (mask, before):
        logits = logits if seen is None else jnp.where(seen, logits, _LOWEST)
    weights = jnp.exp(logits - lax.stop_gradient(jnp.max(logits, -1, keepdims=True)))
    return jnp.swapaxes(weights @ v / jnp.sum(weights, -1, keepdims=True), 1, 2)


def _by_key(dy: Array, q: Array) -> Array:
    """dyᵀ q as (qᵀ dy)ᵀ: of the two, dy is as wide as there are steps; to turn q costs little."""
    return jnp.swapaxes(lax.dot_general(q, dy, (((2,), (2,)), ((0, 1), (0, 1)))), 2, 3)


_scores = bilinear("scores", lambda q, k: jnp.einsum("bnth,bnsh->bnts", q, k), lambda dy, k: dy @ k, _by_key)
