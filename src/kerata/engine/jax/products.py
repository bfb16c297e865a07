"""Matrix products by a kernel, in the forms that XLA compiles well for a CPU, with their gradients."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from kerata.engine.jax import nn
from kerata.engine.jax.bilinear import bilinear
from kerata.engine.protocol import Array

__all__ = ["einsum", "matmul"]

_WIDTH = 16
"""Columns; up to here XLA's product for the gradient by the kernel takes two to eight times as long as of so many."""

_ROWS, _ROWS_SIZE, _KERNEL_SIZE = 64, 1 << 13, 1 << 14
"""Rows, their elements, and the kernel's: of more, turning the rows takes longer than it saves."""


def matmul(x1: Array, x2: Array) -> Array:
    """A product of rows by a kernel, where one of the two is small, or the rows lie along several axes.

    Of these XLA would make the gradient by the kernel as (dy.T x).T, up to five times as slow as of plain rows.
    """
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
    if x1.ndim == 2 and not is_small:
        return NotImplemented
    return jnp.reshape(_product(jnp.reshape(x1, (rows, -1)), x2), (*x1.shape[:-1], columns))


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Array:
    """`matmul`, where the last axes of rows are summed with the first ones of a kernel, as "abc,cde->abde" says."""
    arrays = [jnp.asarray(array) if hasattr(array, "__jax_array__") else array for array in operands]
    if kwargs or not all(isinstance(array, jax.Array) for array in arrays):
        return NotImplemented
    summed = _summed_axes(subscripts, *(array.ndim for array in arrays))
    if not summed or arrays[0].shape[-summed:] != arrays[1].shape[:summed]:
        return NotImplemented
    x, kernel = arrays
    rows, width, units = x.shape[:-summed], math.prod(kernel.shape[:summed]), kernel.shape[summed:]
    y = matmul(jnp.reshape(x, (*rows, width)), jnp.reshape(kernel, (width, math.prod(units))))
    return y if y is NotImplemented else jnp.reshape(y, (*rows, *units))


@functools.cache
def _summed_axes(subscripts: str, *axes: int) -> int:
    """Return how many axes "abc,cde->abde" sums, or 0 where it is no product of rows by a kernel of so many `axes`."""
    inputs, _, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != 2 or len(axes) != 2:
        return 0
    x, kernel = terms
    if x.startswith("...") and output.startswith("..."):  # letters of its own for what is not named
        further = "0123456789"[: max(axes[0] - len(x) + 3, 0)]
        x, output = further + x[3:], further + output[3:]
    if (len(x), len(kernel)) != axes or any(len(set(term)) < len(term) for term in (x, kernel, output)):
        return 0
    found = (n for n in range(1, len(kernel) + 1) if x[-n:] == kernel[:n] and output == x[:-n] + kernel[n:])
    return next(found, 0)


@jax.jit
def _narrow_product(x: Array, kernel: Array) -> Array:
    """(kernel.T x.T).T, so that the gradient by the kernel is dy.T x: that of x.T dy reads x column by column.

    There are few columns, as of a classifier's last layer, filled up with columns of zeros.
    """
    columns = kernel.shape[1]
    wide = jnp.pad(kernel.T, ((0, _WIDTH - columns), (0, 0)))
    y = lax.dot_general(wide, jnp.reshape(x, (-1, x.shape[-1])), (((1,), (1,)), ((), ())))
    return jnp.reshape(y[:columns].T, (*x.shape[:-1], columns))


def _by_kernel(dy: Array, x: Array) -> Array:
    """x.T dy, of which the narrower is turned before: XLA has a faster product for these.

    Of a wide one, XLA would compute again what it comes from, in columns, which is ten times as slow as the product.
    """
    if x.shape[1] <= dy.shape[1] or x.size <= _ROWS_SIZE:
        return lax.optimization_barrier(x.T) @ dy  # or XLA puts the turning back into the product
    return lax.optimization_barrier(lax.optimization_barrier(dy.T) @ x).T


_product = bilinear("product", lambda x, kernel: x @ kernel, lambda dy, kernel: dy @ kernel.T, _by_kernel)
