"""How a CPU computes convolution, max pooling and dropout masks: the forms that XLA compiles well there.

XLA's own gradients of convolution and max pooling are slow inside a compiled training loop: a step of a small
image classifier took over ten times as long with them (2 cores). Compiled alone, some shapes differ little. So:

- a convolution y = x * k is one trilinear form <dy, x * k>; its three contractions (the output, the gradient by
  x, the gradient by k) are three bilinear primitives, each one's derivative being the other two. Thus any
  order and mode of differentiation meets the same three fast forms;
- pooling is a chain of comparisons of slices, a mask one hash of a counter.

Axes: B batch, S spatial (any number), C channels in, F filters, G groups. Nothing here knows of layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from kerata.engine.protocol import Array

__all__ = ["conv", "max_pool", "keep_mask"]

_Pairs = tuple[tuple[int, int], ...]
_MOST_TAPS = 64  # a guess: so many slices at most, lest compiling take longer than the form saves
_LEAST_PRODUCT = 1 << 18  # multiplications; to start 16 matrix products of fewer takes longer than Winograd saves


# ---- convolution ----------------------------------------------------------------------------------------------


def conv(
    x: Any, kernel: Any, *, strides: Sequence[int], padding: Sequence, dilation: Sequence[int], groups: int
) -> Array:
    """Return the convolution of x (B, *S, C) with kernel (*window, C/groups, F), padded by pairs per axis."""
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    shape = _Geometry(x.shape[1:-1], kernel.shape[:-2], tuple(strides), pairs, tuple(dilation), groups)
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype != kernel.dtype:
        return _lax_conv(x, kernel, shape)
    if math.prod(shape.window) == 1 and groups == 1:
        return _slices(x, shape)[0] @ kernel.reshape(kernel.shape[-2:])
    if groups == x.shape[-1] > 1 and math.prod(shape.window) <= _MOST_TAPS:
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

    def up_to(self, out: tuple[int, ...]) -> _Geometry:
        """The same for the first places alone, as many as `out` says; of the input no more than they read."""
        axes = zip(self.window, self.strides, self.dilation, out)
        reach = [(m - 1) * s + (w - 1) * d + 1 for w, s, d, m in axes]  # of the padded input
        size = tuple(max(1, min(n, r - low)) for n, r, (low, _) in zip(self.size, reach, self.padding))
        padding = tuple((low, r - low - n) for n, r, (low, _) in zip(size, reach, self.padding))
        return replace(self, size=size, padding=padding)

    def suits_winograd(self, batch: int, channels: int, filters: int) -> bool:
        plain = self.window == (3, 3) and {*self.strides, *self.dilation, self.groups} == {1}
        if not plain or min(self.out) < 4 or min(channels, filters) < 32:
            return False
        tiles = batch * math.prod((n + 1) // 2 for n in self.out)
        return tiles * channels * filters >= _LEAST_PRODUCT

    def taps(self) -> Iterator[tuple[int, ...]]:
        """The window's positions in order: where in the padded input each one's slice begins."""
        return product(*(range(0, w * d, d) for w, d in zip(self.window, self.dilation)))


def _slices(x: Array, shape: _Geometry) -> list[Array]:
    """For each position of the window the part of x under it, each (B, *out, C)."""
    x = _pad(x, shape.padding, 0)
    strides = (1, *shape.strides, 1)
    parts = []
    for start in shape.taps():
        stop = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, shape.out, shape.strides)]
        parts.append(lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), strides))
    return parts


def _pad(x: Array, padding: _Pairs, value: Any) -> Array:
    if not any(map(any, padding)):
        return x
    pairs = [(0, 0), *padding, (0, 0)]
    return lax.pad(x, jnp.asarray(value, x.dtype), [(low, high, 0) for low, high in pairs])


def _lax_conv(x: Array, kernel: Array, shape: _Geometry) -> Array:
    axes = "DHW"[-len(shape.size) :]
    return lax.conv_general_dilated(
        x, kernel, shape.strides, shape.padding, rhs_dilation=shape.dilation, feature_group_count=shape.groups,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )  # fmt: skip


@partial(jax.jit, static_argnums=2)
def _depthwise(x: Array, kernel: Array, shape: _Geometry) -> Array:
    """y[b, s, c, m] = sum over taps t of x[b, s + t, c] k[t, c, m], a fused loop without any product's overhead."""
    weights = kernel.reshape(-1, x.shape[-1], kernel.shape[-1] // x.shape[-1])
    y = sum(part[..., None] * weight for part, weight in zip(_slices(x, shape), weights))
    return jnp.reshape(y, (x.shape[0], *shape.out, kernel.shape[-1]))


def _contract_output(x: Array, kernel: Array, shape: _Geometry) -> Array:
    if shape.suits_winograd(len(x), *kernel.shape[-2:]):
        return _winograd(x, kernel, [low for low, _ in shape.padding], shape.out)
    if x.shape[-1] * math.prod(shape.window) <= _MOST_TAPS and x.shape[-1] <= 4 and shape.groups == 1:
        weights = kernel.reshape(-1, *kernel.shape[-2:])
        parts = _slices(x, shape)
        return sum(part[..., c, None] * w[c] for part, w in zip(parts, weights) for c in range(x.shape[-1]))
    return _lax_conv(x, kernel, shape)


def _contract_input(dy: Array, kernel: Array, shape: _Geometry) -> Array:
    """The gradient by x: dy, spread by the strides, convolved with the kernel turned round."""
    turned = _turned(kernel, shape)
    axes = zip(shape.size, shape.out, shape.window, shape.strides, shape.padding, shape.dilation)
    pairs = []
    for n, m, w, s, (low, _), d in axes:
        before = (w - 1) * d - low
        pairs.append((before, n + (w - 1) * d - before - ((m - 1) * s + 1)))
    if shape.suits_winograd(len(dy), *kernel.shape[-2:]):
        return _winograd(dy, turned, [low for low, _ in pairs], shape.size)
    names = "DHW"[-len(pairs) :]
    return lax.conv_general_dilated(
        dy, turned, (1,) * len(pairs), pairs, lhs_dilation=shape.strides, rhs_dilation=shape.dilation,
        feature_group_count=shape.groups, dimension_numbers=(f"N{names}C", f"{names}IO", f"N{names}C"),
    )  # fmt: skip


def _turned(kernel: Array, shape: _Geometry) -> Array:
    """kernel (*window, C/G, F) turned round in space, channels and filters exchanged: (*window, F/G, C)."""
    rank, g = len(shape.window), shape.groups
    parts = jnp.flip(kernel, range(rank)).reshape(*shape.window, -1, g, kernel.shape[-1] // g)
    return jnp.moveaxis(parts, -1, rank).swapaxes(-1, -2).reshape(*shape.window, kernel.shape[-1] // g, -1)


def _contract_kernel(x: Array, dy: Array, shape: _Geometry) -> Array:
    """The gradient by the kernel: matrix products of x's patches with dy, over all places at once."""
    if shape.suits_winograd(len(x), x.shape[-1], dy.shape[-1]):
        return _winograd_kernel(x, dy, [low for low, _ in shape.padding], shape.out)
    channels, filters, g = x.shape[-1] // shape.groups, dy.shape[-1], shape.groups
    parts, together = _slices(x, shape), max(1, 128 // x.shape[-1])
    rows = []
    for first in range(0, len(parts), together):
        patches = jnp.stack(parts[first : first + together], axis=-2)
        if g == 1:
            rows.append(dy.reshape(-1, filters).T @ patches.reshape(-1, patches.shape[-2] * channels))
        else:
            patches = patches.reshape(-1, patches.shape[-2], g, channels)
            rows.append(jnp.einsum("ntgc,ngf->gftc", patches, dy.reshape(-1, g, filters // g)))
            rows[-1] = rows[-1].reshape(filters, -1)
    return jnp.concatenate(rows, axis=1).T.reshape(*shape.window, channels, filters)


# Winograd's F(2, 3): two outputs of a window of three by four products instead of six, in both axes of a plane
# at once (Lavin and Gray, 2015, arXiv:1509.09308). Each transform is a tuple of sums over a list of arrays.


def _winograd(x: Array, kernel: Array, low: Sequence[int], out: tuple[int, ...]) -> Array:
    """x (B, H, W, C), shifted by `low` zeros, with kernel (3, 3, C, F): 16 matrix products over tiles of 2 by 2."""
    tiles = [(n + 1) // 2 for n in out]
    inputs = _both_axes(_from_input, _phases(x, low, tiles, 4))
    kernels = _both_axes(_from_kernel, [list(row) for row in kernel])
    products = [[v @ u for v, u in zip(*rows)] for rows in zip(inputs, kernels)]
    y = jnp.stack([jnp.stack(row, axis=3) for row in _both_axes(_to_output, products)], axis=2)
    y = y.reshape(x.shape[0], 2 * tiles[0], 2 * tiles[1], kernel.shape[-1])
    return y[:, : out[0], : out[1]]


def _winograd_kernel(x: Array, dy: Array, low: Sequence[int], out: tuple[int, ...]) -> Array:
    """The same form contracted with dy instead of the kernel: (3, 3, C, F)."""
    tiles = [(n + 1) // 2 for n in out]
    inputs = _both_axes(_from_input, _phases(x, low, tiles, 4))
    outputs = _both_axes(_from_output, _phases(dy, (0, 0), tiles, 2))
    products = [[(_rows(d).T @ _rows(v)).T for v, d in zip(*rows)] for rows in zip(inputs, outputs)]
    return jnp.stack([jnp.stack(row) for row in _both_axes(_to_kernel, products)])


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _phases(x: Array, low: Sequence[int], tiles: Sequence[int], reach: int) -> list[list[Array]]:
    """x's values at place (i, j) of each tile, for i and j below `reach`: each (B, *tiles, C).

    They are read by 16 transforms, each of which would compute x anew, dropout's mask and all; see `_unseen_ones`.
    """
    ends = [2 * n + reach - 2 - a - m for n, a, m in zip(tiles, low, x.shape[1:3])]
    x = _pad(x, tuple(zip(low, ends)), 0) if any(low) or any(ends) else x / _unseen_ones(x)

    def phase(i: int, j: int) -> Array:
        stop = (x.shape[0], i + 2 * tiles[0] - 1, j + 2 * tiles[1] - 1, x.shape[-1])
        return lax.slice(x, (0, i, j, 0), stop, (1, 2, 2, 1))

    return [[phase(i, j) for j in range(reach)] for i in range(reach)]


def _both_axes(transform: Callable, grid: Sequence[Sequence[Array]]) -> list[Sequence[Array]]:
    columns = [transform(*column) for column in zip(*grid)]
    return [transform(*row) for row in zip(*columns)]


def _from_input(a: Any, b: Any, c: Any, d: Any) -> tuple:
    return a - c, b + c, c - b, b - d


def _from_kernel(a: Any, b: Any, c: Any) -> tuple:
    return a, (a + b + c) / 2, (a - b + c) / 2, c


def _to_output(a: Any, b: Any, c: Any, d: Any) -> tuple:
    return a + b + c, b - c - d


def _from_output(a: Any, b: Any) -> tuple:
    return a, a + b, a - b, -b


def _to_kernel(a: Any, b: Any, c: Any, d: Any) -> tuple:
    return a + (b + c) / 2, (b - c) / 2, (b + c) / 2 + d


def _wide(contract: Callable) -> Callable:
    """Compute in float32 what comes in 16 bits, and round once at the end."""

    def widened(a: Array, b: Array, shape: _Geometry) -> Array:
        dtype = jnp.promote_types(a.dtype, jnp.float32)
        return contract(a.astype(dtype), b.astype(dtype), shape).astype(a.dtype)

    return widened


def _bilinear(name: str, contract: Callable, result: Callable[..., tuple[int, ...]]) -> Primitive:
    """Make a primitive of a contraction of two arrays; `result` gives its shape from theirs."""
    contract = _wide(contract)
    primitive = Primitive(name)
    primitive.def_impl(jax.jit(contract, static_argnames="shape"))
    mlir.register_lowering(primitive, mlir.lower_fun(contract, multiple_results=False))

    def abstract(a: Any, b: Any, *, shape: _Geometry) -> ShapedArray:
        return ShapedArray(result(a.shape, b.shape, shape), a.dtype)

    def batched(operands: Sequence, axes: Sequence, *, shape: _Geometry) -> tuple[Array, int]:
        return jax.vmap(lambda a, b: contract(a, b, shape), in_axes=tuple(axes))(*operands), 0

    primitive.def_abstract_eval(abstract)
    batching.primitive_batchers[primitive] = batched
    return primitive


_output = _bilinear("conv_output", _contract_output, lambda x, k, shape: (x[0], *shape.out, k[-1]))
_input = _bilinear("conv_input", _contract_input, lambda dy, k, shape: (dy[0], *shape.size, k[-2] * shape.groups))
_kernel = _bilinear("conv_kernel", _contract_kernel, lambda x, dy, s: (*s.window, x[-1] // s.groups, dy[-1]))

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


def max_pool(x: Any, *, window: Sequence[int], strides: Sequence[int], padding: Sequence) -> Array:
    """Return the largest of each window of x (B, *S, C); the gradient goes to the first of equal ones."""
    x = jnp.asarray(x)
    pairs = tuple((int(low), int(high)) for low, high in padding)
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.iinfo(x.dtype).min
    if math.prod(window) > _MOST_TAPS:
        sizes, steps = (1, *window, 1), (1, *strides, 1)
        return lax.reduce_window(x, jnp.asarray(lowest, x.dtype), lax.max, sizes, steps, ((0, 0), *pairs, (0, 0)))
    return _max_of_slices(x, tuple(window), tuple(strides), pairs, lowest)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _max_of_slices(x: Array, window: tuple, strides: tuple, padding: _Pairs, lowest: float) -> Array:
    x = _pad(x, padding, lowest)
    ones, unpadded = (1,) * len(window), ((0, 0),) * len(window)
    shape = _Geometry(x.shape[1:-1], window, strides, unpadded, ones, 1)
    if window == strides and jnp.issubdtype(x.dtype, jnp.floating):
        whole = [slice(0, n * w) for n, w in zip(shape.out, window)]
        return _max_of_blocks(x[(slice(None), *whole)], window)
    return _first_largest(_slices(x, shape))[0]


def _first_largest(parts: Sequence[Array]) -> tuple[Array, Array]:
    """The elementwise maximum (a NaN wins) and the number of the first part that has it."""
    best, place = parts[0], jnp.zeros(parts[0].shape, jnp.int8)
    for number, part in enumerate(parts[1:], start=1):
        later = (part > best) | (part != part)
        best, place = jnp.where(later, part, best), jnp.where(later, jnp.int8(number), place)
    return best, place


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max_of_blocks(x: Array, window: tuple[int, ...]) -> Array:
    return _first_largest(_block_parts(x, window))[0]


@_max_of_blocks.defjvp
def _max_of_blocks_jvp(window: tuple[int, ...], primals: tuple, tangents: tuple) -> tuple:
    """The tangent is a sum under a mask, whose transpose, unlike that of slices, is one fused loop."""
    (x,), (dx,) = primals, tangents
    best, place = _first_largest(_block_parts(x, window))
    blocks = (x.shape[0], *(m for n, w in zip(x.shape[1:-1], window) for m in (n // w, w)), x.shape[-1])
    place = place.astype(jnp.float32) / _unseen_ones(best).astype(jnp.float32)
    numbers = jnp.arange(math.prod(window), dtype=jnp.float32)
    numbers = numbers.reshape(1, *(m for w in window for m in (1, w)), 1)
    within = tuple(range(2, 2 * len(window) + 1, 2))
    chosen = jnp.expand_dims(place, within) == numbers
    dx = jnp.where(chosen, dx.reshape(blocks), 0).sum(within)
    return best, dx / _unseen_ones(best)


def _unseen_ones(x: Array) -> Array:
    """Ones like x that XLA must take for values. (LLVM knows that a count of bits is below 128, and divides not.)

    XLA's CPU fusion repeats a cheap producer in each of its readers, and drops `optimization_barrier` before; a
    division it never repeats. Without one for the gradient from above, that is computed anew for each entry of a
    window; without one for the places of the largest, the layer below is run again to find them. Each costs a small
    network a tenth to a fifth of its training step.
    """
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), f"uint{8 * x.dtype.itemsize}")
    return 1 + (lax.population_count(bits) >> 7).astype(x.dtype)


def _block_parts(x: Array, window: tuple[int, ...]) -> list[Array]:
    size = tuple(x.shape[1:-1])
    return _slices(x, _Geometry(size, window, window, ((0, 0),) * len(window), (1,) * len(window), 1))


# ---- dropout --------------------------------------------------------------------------------------------------


def keep_mask(key: Array, rate: Any, shape: Sequence[int]) -> Array:
    """Return a boolean array, True with probability 1 - rate: a hash of each element's number and the key.

    The key (2,) of uint32 is mixed first, so that neighbouring keys differ in both words: with one word alike
    two masks would be the same hashes in another order.
    """
    first = _mix(key[0] ^ _mix(key[1]))
    second = _mix(key[1] + _mix(first + jnp.uint32(0x9E3779B9)))
    numbers = lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    bits = _mix(_mix(numbers ^ first) + second)
    keep = 1.0 - jnp.asarray(rate, jnp.float32)
    return (bits >> 8).astype(jnp.float32) * jnp.float32(2**-24) < keep


def _mix(bits: Array) -> Array:
    """A bijection of 32 bits in which each input bit flips each output bit half the time (C. Wellons, lowbias32)."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x7FEB352D)
    bits = (bits ^ (bits >> 15)) * jnp.uint32(0x846CA68B)
    return bits ^ (bits >> 16)
