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
    if shape.suits_winograd(len(dy), *kernel.shape[-2:]):
        return _winograd_input(dy, kernel, [low for low, _ in shape.padding], shape.size, shape.out)
    axes = zip(shape.size, shape.out, shape.window, shape.strides, shape.padding, shape.dilation)
    pairs = []
    for n, m, w, s, (low, _), d in axes:
        before = (w - 1) * d - low
        pairs.append((before, n + (w - 1) * d - before - ((m - 1) * s + 1)))
    names = "DHW"[-len(pairs) :]
    return lax.conv_general_dilated(
        dy, _turned(kernel, shape), (1,) * len(pairs), pairs, lhs_dilation=shape.strides, rhs_dilation=shape.dilation,
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
    if x.shape[-1] == 1:  # a plane for each tap is copied by rows; values side by side would come one by one
        planes = jnp.stack([part[..., 0] for part in _slices(x, shape)])
        return (planes.reshape(len(planes), -1) @ _rows(dy)).reshape(*shape.window, 1, filters)
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
    return _tiled(_both_axes(_to_output, products))[:, : out[0], : out[1]]


def _winograd_input(dy: Array, kernel: Array, low: Sequence[int], size: Sequence[int], out: tuple[int, ...]) -> Array:
    """The same form contracted with dy instead of x: (B, *size, C), of which each tile gives 4 by 4 places.

    Tiles overlap by two. They are added to what is there: a sum of shifted arrays, each padded by zeros, would be one
    loop that asks at each place for each array whether it reaches there, and take eight times as long.
    """
    tiles = [(n + 1) // 2 for n in out]
    outputs = _both_axes(_from_output, _phases(dy, (0, 0), tiles, 2))
    kernels = _both_axes(_from_kernel, [list(row) for row in kernel.swapaxes(-1, -2)])
    products = [[d @ u for d, u in zip(*rows)] for rows in zip(outputs, kernels)]
    places = _both_axes(_to_input, products)
    reached = [2 * n + 2 for n in tiles]
    x = jnp.zeros((len(dy), *reached, kernel.shape[-2]), dy.dtype)
    for i, j in product((0, 2), (0, 2)):
        part = _tiled([row[j : j + 2] for row in places[i : i + 2]])
        x = x.at[:, i : i + 2 * tiles[0], j : j + 2 * tiles[1]].add(part)
    x = _pad(x, tuple((0, max(0, a + n - m)) for a, n, m in zip(low, size, reached)), 0)
    return x[:, low[0] : low[0] + size[0], low[1] : low[1] + size[1]]


def _winograd_kernel(x: Array, dy: Array, low: Sequence[int], out: tuple[int, ...]) -> Array:
    """And with dy instead of the kernel: (3, 3, C, F)."""
    tiles = [(n + 1) // 2 for n in out]
    inputs = _both_axes(_from_input, _phases(x, low, tiles, 4))
    outputs = _both_axes(_from_output, _phases(dy, (0, 0), tiles, 2))
    products = [[(_rows(d).T @ _rows(v)).T for v, d in zip(*rows)] for rows in zip(inputs, outputs)]
    return jnp.stack([jnp.stack(row) for row in _both_axes(_to_kernel, products)])


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _tiled(grid: Sequence[Sequence[Array]]) -> Array:
    """Put together what each tile has at its places (i, j), each (B, *tiles, C)."""
    y = jnp.stack([jnp.stack(row, axis=3) for row in grid], axis=2)
    return y.reshape(len(y), y.shape[1] * y.shape[2], y.shape[3] * y.shape[4], -1)


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


def _to_input(a: Any, b: Any, c: Any, d: Any) -> tuple:
    return a, b - c + d, b + c - a, -d


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


def _primitive(name: str, contract: Callable, result: Callable[..., tuple[int, ...]]) -> Primitive:
    """Make a primitive of what is linear in the first of two arrays; `result` gives its shape from theirs."""
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


_output = _primitive("conv_output", _wide(_contract_output), lambda x, k, s: (x[0], *s.out, k[-1]))
_input = _primitive("conv_input", _wide(_contract_input), lambda dy, k, s: (dy[0], *s.size, k[-2] * s.groups))
_kernel = _primitive("conv_kernel", _wide(_contract_kernel), lambda x, dy, s: (*s.window, x[-1] // s.groups, dy[-1]))

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
        x = x[(slice(None), *whole)]
        return _max_of_blocks(x, replace(shape, size=tuple(x.shape[1:-1])))
    return _largest(_slices(x, shape))


def _largest(parts: Sequence[Array]) -> Array:
    """The elementwise maximum; a NaN wins."""
    best = parts[0]
    for part in parts[1:]:
        best = jnp.where((part > best) | (part != part), part, best)
    return best


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _max_of_blocks(x: Array, shape: _Geometry) -> Array:
    return _largest(_slices(x, shape))


@_max_of_blocks.defjvp
def _max_of_blocks_jvp(shape: _Geometry, primals: tuple, tangents: tuple) -> tuple:
    """The tangent is that of the first place with the largest value: what is found once, to be compared with."""
    (x,), (dx,) = primals, tangents
    parts = _slices(x, shape)
    best = _largest(parts)
    best = best / _unseen_ones(best)
    place = jnp.full(best.shape, len(parts) - 1, jnp.float32)  # where it is nowhere else
    for number, part in reversed([*enumerate(parts[:-1])]):
        place = jnp.where((part == best) | (part != part), number, place)
    return best, _taken.bind(dx, place / _unseen_ones(place), shape=shape)


def _take(x: Array, place: Array, shape: _Geometry) -> Array:
    """The values of x at one place in each block."""
    chosen, within = _is_place(place, shape)
    blocks = (len(x), *(m for pair in zip(shape.out, shape.window) for m in pair), x.shape[-1])
    return jnp.where(chosen, x.reshape(blocks), 0).sum(within)


def _put(y: Array, place: Array, shape: _Geometry) -> Array:
    """Blocks of zeros with y's values at one place in each: unlike the transpose of slices, one fused loop."""
    chosen, within = _is_place(place, shape)
    blocks = jnp.where(chosen, jnp.expand_dims(y / _unseen_ones(y), within), 0)
    return blocks.reshape(len(y), *shape.size, y.shape[-1])


def _is_place(place: Array, shape: _Geometry) -> tuple[Array, tuple[int, ...]]:
    """Whether a cell of a block (B, *(places, window), C) is the chosen one, and the axes of the window."""
    numbers = jnp.arange(math.prod(shape.window), dtype=place.dtype)
    numbers = numbers.reshape(1, *(m for w in shape.window for m in (1, w)), 1)
    within = tuple(range(2, numbers.ndim, 2))
    return jnp.expand_dims(place, within) == numbers, within


_taken = _primitive("block_taken", _take, lambda x, place, s: place)
_placed = _primitive("block_placed", _put, lambda y, place, s: (y[0], *s.size, y[-1]))
for _one, _other in ((_taken, _placed), (_placed, _taken)):
    ad.defjvp(_one, partial(lambda one, dx, x, place, **p: one.bind(dx, place, **p), _one), None)
    ad.primitive_transposes[_one] = partial(lambda other, dy, x, place, **p: (other.bind(dy, place, **p), None), _other)


def _unseen_ones(x: Array) -> Array:
    """Ones like x that XLA must take for values. (LLVM knows that a count of bits is below 128, and divides not.)

    XLA's CPU fusion repeats a cheap producer in each of its readers, and drops `optimization_barrier` before; a
    division it never repeats. Without one for the gradient from above, that is computed anew for each entry of a
    window; without one for the places of the largest, the layer below is run again to find them. Each costs a small
    network a tenth to a fifth of its training step.
    """
    bits = lax.bitcast_convert_type(lax.stop_gradient(x), f"uint{8 * x.dtype.itemsize}")
    return 1 + (lax.population_count(bits) >> 7).astype(x.dtype)


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
