"""How a CPU computes convolution, max pooling and dropout masks: the forms that XLA compiles well there.

XLA's CPU convolution is good forwards and slow backwards (3 to 40 times a matrix product's time), its
`select_and_scatter` is slow, and threefry costs more than the layer it masks. So:

- a convolution y = x * k is one trilinear form <dy, x * k>; its three contractions (the output, the gradient by
  x, the gradient by k) are three bilinear primitives, each one's derivative being the other two. Thus any
  order and mode of differentiation meets the same three fast forms;
- pooling is a chain of comparisons of slices, a mask one hash of a counter.

Axes: B batch, S spatial (any number), C channels in, F filters, G groups. Nothing here knows of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

__all__ = ["conv", "max_pool", "keep_mask"]

_Pairs = tuple[tuple[int, int], ...]
_MOST_TAPS = 64  # beyond so many slices compiling takes longer than the form saves


# ---- convolution ----------------------------------------------------------------------------------------------


def conv(
    x: Any, kernel: Any, *, strides: Sequence[int], padding: Sequence, dilation: Sequence[int], groups: int
) -> jax.Array:
    """Return the convolution of x (B, *S, C) with kernel (*window, C/groups, F), padded by pairs per axis."""
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    shape = _Geometry(x.shape[1:-1], kernel.shape[:-2], tuple(strides), pairs, tuple(dilation), groups)
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype != kernel.dtype:
        return _lax_conv(x, kernel, shape)
    if math.prod(shape.window) == 1 and groups == 1:
        return _slices(x, shape)[0] @ kernel.reshape(kernel.shape[-2:])
    if groups == x.shape[-1] and math.prod(shape.window) <= _MOST_TAPS:
        return _wide(_depthwise)(x, kernel, shape)
    return _output.bind(x, kernel, shape=shape)


@dataclass(frozen=True)
class _Geometry:
    """All that a convolution's three contractions need to know beside their operands."""

    size: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: _Pairs
    dilation: tuple[int, ...]
    groups: int

    @property
    def out(self) -> tuple[int, ...]:
        """The output's spatial shape."""
        axes = zip(self.size, self.window, self.strides, self.padding, self.dilation)
        return tuple(max(0, (n + sum(p) - (w - 1) * d - 1) // s + 1) for n, w, s, p, d in axes)

    def taps(self) -> Iterator[tuple[int, ...]]:
        """The window's positions in order: where in the padded input each one's slice begins."""
        return product(*(range(0, w * d, d) for w, d in zip(self.window, self.dilation)))


def _slices(x: jax.Array, shape: _Geometry) -> list[jax.Array]:
    """For each position of the window the part of x under it, each (B, *out, C)."""
    x = _pad(x, shape.padding, 0)
    strides = (1, *shape.strides, 1)
    parts = []
    for start in shape.taps():
        stop = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, shape.out, shape.strides)]
        parts.append(lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), strides))
    return parts


def _pad(x: jax.Array, padding: _Pairs, value: Any) -> jax.Array:
    if not any(map(any, padding)):
        return x
    pairs = [(0, 0), *padding, (0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), [(low, high, 0) for low, high in pairs])


def _lax_conv(x: jax.Array, kernel: jax.Array, shape: _Geometry) -> jax.Array:
    axes = "DHW"[-len(shape.size) :]
    return lax.conv_general_dilated(
        x, kernel, shape.strides, shape.padding, rhs_dilation=shape.dilation, feature_group_count=shape.groups,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )  # fmt: skip


def _depthwise(x: jax.Array, kernel: jax.Array, shape: _Geometry) -> jax.Array:
    """y[b, s, c, m] = sum over taps t of x[b, s + t, c] k[t, c, m], a fused loop without any product's overhead."""
    weights = kernel.reshape(-1, x.shape[-1], kernel.shape[-1] // x.shape[-1])
    y = sum(part[..., None] * weight for part, weight in zip(_slices(x, shape), weights))
    return jnp.reshape(y, (x.shape[0], *shape.out, kernel.shape[-1]))


def _contract_output(x: jax.Array, kernel: jax.Array, shape: _Geometry) -> jax.Array:
    return _lax_conv(x, kernel, shape)


def _contract_input(dy: jax.Array, kernel: jax.Array, shape: _Geometry) -> jax.Array:
    """The gradient by x: dy, spread by the strides, convolved with the kernel turned round."""
    spatial = tuple(range(len(shape.window)))
    turned = jnp.flip(kernel, spatial).reshape(*shape.window, kernel.shape[-2], shape.groups, -1)
    turned = jnp.moveaxis(turned, -1, -3).reshape(*shape.window, kernel.shape[-1] // shape.groups, -1)
    turned = turned if shape.groups == 1 else _swap_groups(kernel, shape)
    pairs = []
    for n, m, w, s, (low, _), d in zip(
        shape.size, shape.out, shape.window, shape.strides, shape.padding, shape.dilation
    ):
        before = (w - 1) * d - low
        pairs.append((before, n + (w - 1) * d - before - ((m - 1) * s + 1)))
    axes = "DHW"[-len(shape.size) :]
    return lax.conv_general_dilated(
        dy, turned, (1,) * len(pairs), pairs, lhs_dilation=shape.strides, rhs_dilation=shape.dilation,
        feature_group_count=shape.groups, dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )  # fmt: skip


def _swap_groups(kernel: jax.Array, shape: _Geometry) -> jax.Array:
    """kernel (*window, C/G, F) turned round in space, its channels exchanged in each group: (*window, F/G, C)."""
    turned = jnp.flip(kernel, tuple(range(len(shape.window))))
    turned = turned.reshape(*shape.window, kernel.shape[-2], shape.groups, kernel.shape[-1] // shape.groups)
    turned = jnp.moveaxis(turned, -1, -3)  # (*window, F/G, C/G, G)
    return turned.swapaxes(-1, -2).reshape(*turned.shape[:-2], kernel.shape[-2] * shape.groups)


def _contract_kernel(x: jax.Array, dy: jax.Array, shape: _Geometry) -> jax.Array:
    """The gradient by the kernel: one matrix product of x's patches with dy, over all places at once."""
    patches = jnp.concatenate(_slices(x, shape), axis=-1)
    taps, groups = math.prod(shape.window), shape.groups
    if groups == 1:
        flat = lax.dot_general(
            patches.reshape(-1, patches.shape[-1]), dy.reshape(-1, dy.shape[-1]), (((0,), (0,)), ((), ()))
        )
    else:
        grouped = patches.reshape(-1, taps, groups, x.shape[-1] // groups)
        flat = jnp.einsum("ntgc,ngf->tcgf", grouped, dy.reshape(-1, groups, dy.shape[-1] // groups))
    return flat.reshape(*shape.window, x.shape[-1] // groups, dy.shape[-1])


def _wide(contract: Callable) -> Callable:
    """Compute in float32 what comes in 16 bits, and round once at the end."""

    def widened(a: jax.Array, b: jax.Array, shape: _Geometry) -> jax.Array:
        dtype = jnp.promote_types(a.dtype, jnp.float32)
        return contract(a.astype(dtype), b.astype(dtype), shape).astype(a.dtype)

    return widened


def _bilinear(name: str, contract: Callable) -> Primitive:
    """Make a primitive of a contraction of two arrays; its derivatives are named below."""
    contract = _wide(contract)
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(contract, static_argnames="shape"))

    def abstract(a: Any, b: Any, *, shape: _Geometry) -> ShapedArray:
        out = jax.eval_shape(lambda a, b: contract(a, b, shape), *(jax.ShapeDtypeStruct(v.shape, v.dtype) for v in (a, b)))
        return ShapedArray(out.shape, out.dtype)

    def batched(operands: Sequence, axes: Sequence, *, shape: _Geometry) -> tuple[jax.Array, int]:
        return jax.vmap(lambda a, b: contract(a, b, shape), in_axes=tuple(axes))(*operands), 0

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(contract, multiple_results=False))
    return primitive


_output = _bilinear("conv_output", _contract_output)
_input = _bilinear("conv_input", _contract_input)
_kernel = _bilinear("conv_kernel", _contract_kernel)

ad.defbilinear(
    _output,
    lambda dy, x, kernel, **p: _input.bind(dy, kernel, **p),
    lambda dy, x, kernel, **p: _kernel.bind(x, dy, **p),
)
ad.defbilinear(
    _input,
    lambda dx, dy, kernel, **p: _output.bind(dx, kernel, **p),
    lambda dx, dy, kernel, **p: _kernel.bind(dx, dy, **p),
)
ad.defbilinear(
    _kernel,
    lambda dk, x, dy, **p: _input.bind(dy, dk, **p),
    lambda dk, x, dy, **p: _output.bind(x, dk, **p),
)


# ---- max pooling ----------------------------------------------------------------------------------------------


def max_pool(x: Any, *, window: Sequence[int], strides: Sequence[int], padding: Sequence) -> jax.Array:
    """Return the largest of each window of x (B, *S, C); the gradient goes to the first of equal ones."""
    x = jnp.asarray(x)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    floating = jnp.issubdtype(x.dtype, jnp.inexact)
    lowest = -jnp.inf if floating else jnp.iinfo(x.dtype).min
    if math.prod(window) > _MOST_TAPS:
        initial = jnp.asarray(lowest, x.dtype)
        ones = ((0, 0), *pairs, (0, 0))
        return lax.reduce_window(x, initial, lax.max, (1, *window, 1), (1, *strides, 1), ones)
    padded = _pad(x, pairs, lowest)
    none = ((0, 0),) * len(pairs)
    shape = _Geometry(padded.shape[1:-1], tuple(window), tuple(strides), none, (1,) * len(pairs), 1)
    first, *others = _slices(padded, shape)
    for other in others:
        later = other > first
        first = jnp.where(later | (other != other) if floating else later, other, first)
    return first


# ---- dropout --------------------------------------------------------------------------------------------------


def keep_mask(key: jax.Array, rate: Any, shape: Sequence[int]) -> jax.Array:
    """Return a boolean array, True with probability 1 - rate: a hash of each element's number and the key."""
    bits = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    bits = _mix(_mix(bits ^ key[0]) + key[1])
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24) < keep


def _mix(bits: jax.Array) -> jax.Array:
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
