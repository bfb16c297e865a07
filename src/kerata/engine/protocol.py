"""What an engine owes: five small modules, each typed here. An engine's folder has one file for each.

Shapes use B for batch, S for one or more spatial axes, C for channels. A key is a `uint32[2]` array: seed, counter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

Array = Any
"""An array of the engine in use (or a tracer of one)."""

Tree = Any
"""A nest of lists, tuples and dicts with arrays as leaves."""

Pairs = Sequence[tuple[int, int]]
"""Cells added before and after, for each axis."""


ALIGNMENT = 64
"""Bytes; memory of the host that begins at a multiple of it every engine reads in place."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spec:
    """Shape and dtype of an array that does not exist yet."""

    shape: tuple[int, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        return len(self.shape)


class Place(Protocol):
    """Where a Variable's value is kept for another library to see: a parameter of PyTorch, say."""

    trainable: bool | None

    def get(self) -> Array:
        """Return the array, which no gradient is being taken by."""
        ...

    def reach(self) -> Array:
        """Return the array, by which the library that sees it may take gradients."""
        ...

    def set(self, array: Array) -> None:
        """Put another array of the same shape and dtype there."""
        ...


class Arrays(Protocol):
    """Making arrays and looking at them."""

    numpy: Any  # the NumPy-like namespace, with `linalg` and `fft`
    special: Any  # erf, erfinv, gammaln, digamma, logsumexp … (as scipy.special)

    def as_array(self, x: Any, dtype: str | None = None) -> Array: ...
    def filled(self, shape: Sequence[int], value: float, dtype: str) -> Array:
        """Return an array of one value, for which no program is compiled."""
        ...

    def to_numpy(self, x: Array) -> np.ndarray: ...
    def is_array(self, x: Any) -> bool: ...
    def is_traced(self, x: Any) -> bool:
        """Return whether `x` stands for a value that a transform will supply later."""
        ...

    def place(self, x: Array, trainable: bool) -> Place | None:
        """Return a place, with a copy of `x`, where the engine's own library can train it; None where it cannot."""
        ...

    def without_history(self, x: Array) -> Array:
        """Return `x` without what its library remembers of how it was computed."""
        ...

    def cast(self, x: Array, dtype: str) -> Array: ...
    def set_at(self, x: Array, index: Any, values: Array) -> Array:
        """Return `x` with `x[index]` replaced."""
        ...

    def add_at(self, x: Array, index: Any, values: Array) -> Array:
        """Return `x` with `values` added at `x[index]`; repeated indices add up."""
        ...

    def reduce_at(self, x: Array, index: Any, values: Array, reduction: str) -> Array:
        """Return `x` with `values` joined to what is at `x[index]` by "max", "min" or "mul"."""
        ...

    def lu_factor(self, x: Array) -> tuple[Array, Array]:
        """Return L and U in one matrix, and the rows exchanged."""
        ...

    def row(self, x: Array, i: Any) -> Array:
        """Return `x[i]` for a number that is known to be in bounds."""
        ...

    def rows(self, x: Array, index: Array) -> Array:
        """Return `x[index]` for row numbers that are known to be in bounds."""
        ...

    def in_place(self, x: np.ndarray, most: int) -> Any:
        """Return something that `rows` reads `x` from where it lies; None where more than `most` bytes of it would
        have to be copied."""
        ...

    def dynamic_slice(self, x: Array, start: Sequence[Any], shape: Sequence[int]) -> Array: ...
    def dynamic_set(self, x: Array, start: Sequence[Any], values: Array) -> Array: ...
    def top_k(self, x: Array, k: int) -> tuple[Array, Array]: ...


class NeuralPrimitives(Protocol):
    """Operations that cannot be composed well from others. All take channels last."""

    def conv(
        self, x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int], groups: int
    ) -> Array:
        """Cross-correlate x (B, *S, C) with kernel (*window, C / groups, filters)."""
        ...

    def conv_transpose(
        self, x: Array, kernel: Array, strides: Sequence[int], padding: Pairs, dilation: Sequence[int]
    ) -> Array:
        """Cross-correlate x, with `strides - 1` zeros between its cells and `padding` around, with the flipped
        kernel (*window, filters, C)."""
        ...

    def max_pool(self, x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array: ...
    def sum_pool(self, x: Array, window: Sequence[int], strides: Sequence[int], padding: Pairs) -> Array: ...


class Random(Protocol):
    """Stateless draws: the same key gives the same numbers, compiled or not."""

    def uniform(self, key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array: ...
    def normal(self, key: Array, shape: Sequence[int], dtype: str) -> Array: ...
    def truncated_normal(self, key: Array, shape: Sequence[int], dtype: str) -> Array:
        """Draw from the standard normal, cut at two standard deviations."""
        ...

    def randint(self, key: Array, shape: Sequence[int], low: Any, high: Any, dtype: str) -> Array: ...
    def keep_mask(self, key: Array, rate: Any, shape: Sequence[int]) -> Array:
        """Draw booleans that are True with probability 1 - rate; cheap, for dropout."""
        ...

    def categorical(self, key: Array, logits: Array, num_samples: int, dtype: str) -> Array: ...
    def gamma(self, key: Array, shape: Sequence[int], dtype: str, alpha: Any) -> Array: ...
    def beta(self, key: Array, shape: Sequence[int], dtype: str, alpha: Any, beta: Any) -> Array: ...
    def binomial(self, key: Array, shape: Sequence[int], dtype: str, counts: Any, probabilities: Any) -> Array: ...
    def permutation(self, key: Array, x: Array, axis: int) -> Array: ...


class Transforms(Protocol):
    """Functions of functions. Every function given here is pure: arrays in, arrays out."""

    unknown_sizes: tuple[int, int]  # the two sizes at which an unknown dimension is tried
    differentiable: bool
    compiled: bool  # whether loops are compiled as a whole, and functions unless told otherwise

    def joined_up_to(self) -> int:
        """Return how many elements an array may have to be joined with others for what is elementwise; 0: never."""
        ...

    def abstract(self, function: Callable[..., Tree], *args: Tree) -> Tree:
        """Return the shapes and dtypes that `function` gives for `args`, whose leaves may be Specs."""
        ...

    def value_and_grad(self, function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
        """Return a function that gives `function`'s value and its gradient by the first argument, a tree."""
        ...

    def compile(
        self, function: Callable[..., Tree], donate: tuple[int, ...] = (), specs: Tree | None = None,
        learns: bool = True,
    ) -> Callable[..., Tree]:
        """Return `function` compiled, or as it is; the arguments at `donate` may be overwritten.

        `specs` are those of all arguments, for an engine that compiles by what a program computes; `learns` says
        whether gradients may be taken inside. With `donate` or `specs` it must not be called in another program.
        """
        ...

    def record(self, function: Callable[..., Tree], *args: Tree) -> Callable[..., Tree] | None:
        """Return what does the operations that `function` does on arguments like `args`, without its Python.

        None where they depend on values, or where it would gain nothing.
        """
        ...

    def jvp(self, function: Callable[..., Tree], primals: tuple, tangents: tuple, has_aux: bool) -> Any:
        """Return the value and the directional derivative."""
        ...

    def vmap(self, function: Callable[..., Tree], in_axes: Any, out_axes: Any) -> Callable[..., Tree]: ...
    def scan(self, step: Callable, init: Tree, xs: Tree, length: int | None, reverse: bool) -> tuple[Tree, Tree]: ...
    def fori_loop(self, start: Any, stop: Any, body: Callable[[Any, Tree], Tree], init: Tree) -> Tree: ...
    def while_loop(self, cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], init: Tree) -> Tree: ...
    def cond(self, predicate: Any, on_true: Callable, on_false: Callable, *operands: Tree) -> Tree: ...
    def switch(self, index: Any, branches: Sequence[Callable], *operands: Tree) -> Tree: ...
    def associative_scan(self, function: Callable, elems: Tree, reverse: bool, axis: int) -> Tree: ...
    def remat(self, function: Callable[..., Tree]) -> Callable[..., Tree]: ...
    def apart(self, function: Callable[..., Tree]) -> Callable[..., Tree]:
        """Return `function` as a part of its own in programs with gradients: what it returns is computed just once."""
        ...

    def custom_gradient(self, function: Callable[..., tuple[Tree, Callable]]) -> Callable[..., Tree]: ...
    def stop_gradient(self, x: Tree) -> Tree: ...
    def no_gradients(self) -> AbstractContextManager[Any]:
        """Let nothing be kept for gradients inside the block."""
        ...

    def concrete(self) -> AbstractContextManager[Any]:
        """Compute at once what is done with known values, even inside a transform."""
        ...

    def block_until_ready(self, x: Tree) -> Tree: ...


class Devices(Protocol):
    """Where arrays live."""

    def names(self, kind: str | None = None) -> list[str]: ...
    def scope(self, name: str) -> AbstractContextManager[Any]: ...
    def platform(self) -> str:
        """Return the kind of device that new arrays are made on: "cpu", "gpu", "tpu"."""
        ...

    def put(self, x: Any) -> Array:
        """Return an array of the host on the default device, in the dtype that `as_array` would give.

        Where that is the host, the memory may be shared: nobody may write to it while the result is held.
        """
        ...

    def profile(self, folder: str) -> AbstractContextManager[Any]:
        """Write into `folder` what the devices do meanwhile, as the engine's own profiler tells it."""
        ...


class Engine(Protocol):
    """The five modules of an engine's folder, and its name."""

    name: str
    arrays: Arrays
    nn: NeuralPrimitives
    random: Random
    transforms: Transforms
    devices: Devices
    # Faster ways: for an op by its name, with the op's own signature; for an optimizer's rule by its full name, with
    # the optimizer and then the rule's arguments, lists for all Variables (but one rate and step); for a recurrent cell
    # by its full name, with the cell, the steps' inputs (T, B, I), the first states, the cell's three weights and a
    # mask (T, B) or None, which gives all outputs (T, B, U), anything at masked steps, and the last states. Each may
    # return NotImplemented for what it is not made for. `kerata.optimizers.joining.jointly` has a way of the same
    # arguments, which does all that is asked.
    fast_ways: dict[str, Callable[..., Any]]
