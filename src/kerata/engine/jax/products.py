"""Matrix products by a kernel, in the forms that XLA compiles well for a CPU, with their gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from kerata.engine.jax import nn
from kerata.engine.protocol import Array

__all__ = ["matmul"]

_WIDTH = 16
"""Columns; up to here XLA's product for the gradient by the kernel takes two to eight times as long as of so many."""

_ROWS, _ROWS_SIZE, _KERNEL_SIZE = 64, 1 << 13, 1 << 14
"""Rows, their elements, and the kernel's: of more, turning the rows takes longer than it saves."""


def matmul(x1: Array, x2: Array) -> Array:
    """A product of rows by a kernel, where one of the two is small."""
    fits = (
        nn.lowers_for_cpu()
        and x1.ndim > 1
        and x2.ndim == 2
        and x1.shape[-1] == x2.shape[0]
        and x1.dtype == x2.dtype == jnp.float32
        and all(isinstance(size, int) for size in x1.shape)  # an exported program's may be unknown
    )
    rows, columns = math.prod(x1.shape[:-1]) if fits else 0, x2.shape[-1]
    if min(rows, columns) < 2:
        return NotImplemented
    if columns < _WIDTH <= rows:
        return _narrow_product(x1, x2)
    is_small = rows <= _ROWS and x1.size <= _ROWS_SIZE and x2.size <= _KERNEL_SIZE
    return _small_product.bind(x1, x2) if is_small and x1.ndim == 2 else NotImplemented


@jax.jit
def _narrow_product(x: Array, kernel: Array) -> Array:
    """(kernel.T x.T).T, so that the gradient by the kernel is dy.T x: that of x.T dy reads x column by column.

    There are few columns, as of a classifier's last layer, filled up with columns of zeros.
    """
    columns = kernel.shape[1]
    wide = jnp.pad(kernel.T, ((0, _WIDTH - columns), (0, 0)))
    y = lax.dot_general(wide, jnp.reshape(x, (-1, x.shape[-1])), (((1,), (1,)), ((), ())))
    return jnp.reshape(y[:columns].T, (*x.shape[:-1], columns))


def _product(x: Array, kernel: Array) -> Array:
    return x @ kernel


def _batched(operands: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
    return jax.vmap(_product, in_axes=tuple(axes))(*operands), 0


_small_product = Primitive("small_product")
"""x kernel, whose gradient by the kernel, x.T dy, has its rows turned before: XLA has a faster product for these."""

_small_product.def_impl(jax.jit(_product))
_small_product.def_abstract_eval(lambda x, kernel: ShapedArray((x.shape[0], kernel.shape[1]), x.dtype))
mlir.register_lowering(_small_product, mlir.lower_fun(_product, multiple_results=False))
batching.primitive_batchers[_small_product] = _batched
ad.defbilinear(
    _small_product,
    lambda dy, x, kernel: dy @ kernel.T,
    lambda dy, x, kernel: lax.optimization_barrier(x.T) @ dy,  # or XLA puts the turning back into the product
)
