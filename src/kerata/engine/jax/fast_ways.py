"""Ops, and a cell, for which there is a kernel that XLA does not find by itself.

Each has the signature of what it stands for, and returns NotImplemented where its kernel does not serve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from kerata import config, errors
from kerata.engine.jax import devices, products, recurrence
from kerata.engine.jax.attention import attention
from kerata.engine.protocol import Array

__all__ = ["fast_ways"]


def dot_product_attention(
    query: Array, key: Array, value: Array, bias: Array = None, mask: Array = None, scale: float | None = None,
    is_causal: bool = False, flash_attention: bool | None = None, attn_logits_soft_cap: float | None = None,
) -> Array:  # fmt: skip
    """Attention by cuDNN's kernel, which never holds all weights, or in a form for a CPU.

    The gradient of cuDNN's has no gradient, nor a forward mode: for those there is
    `kerata.config.disable_flash_attention()`.
    """
    if devices.platform() == "cpu":
        return attention(query, key, value, bias, mask, scale, is_causal, attn_logits_soft_cap)
    wanted = config.is_flash_attention_enabled() is not False if flash_attention is None else flash_attention
    in_16_bits = query.dtype == key.dtype == value.dtype and query.dtype in (jnp.bfloat16, jnp.float16)
    fits = in_16_bits and attn_logits_soft_cap is None and (scale is None or isinstance(scale, (int, float)))
    if not (wanted and fits and devices.platform() == "gpu"):
        return NotImplemented
    bias = None if bias is None else _with_four_axes(bias).astype(query.dtype)
    mask = None if mask is None else _with_four_axes(mask).astype(bool)
    try:
        return jax.nn.dot_product_attention(
            query, key, value, bias, mask, scale=scale, is_causal=is_causal, implementation="cudnn"
        )
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:  # these shapes, this GPU, no cuDNN
        if flash_attention:
            errors.warn_once(f"flash attention was asked for, and cuDNN refuses it ({str(error)[:120]}).")
        return NotImplemented


def _with_four_axes(x: Array) -> Array:
    return jnp.reshape(x, (1,) * (4 - x.ndim) + x.shape)


fast_ways: dict[str, Callable[..., Any]] = {
    "dot_product_attention": dot_product_attention, "einsum": products.einsum, "matmul": products.matmul,
    "kerata.layers.recurrent_cells.LSTMCell": recurrence.lstm,
}  # fmt: skip
