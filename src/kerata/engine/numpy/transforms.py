"""Transforms as plain Python: loops that loop, and shapes by running the function on placeholders. No gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.engine.eager_loops import Loops, per_leaf
from kerata.engine.numpy.arrays import as_array, is_traced, numpy
from kerata.engine.numpy.values import Placeholder, value_of
from kerata.engine.protocol import Array, Spec, Tree

__all__ = [
    "unknown_sizes", "differentiable", "compiled", "joined_up_to", "abstract", "value_and_grad", "compile",
    "record", "jvp", "vmap", "scan", "fori_loop", "while_loop", "cond", "switch", "associative_scan", "remat", "apart",
    "custom_gradient", "stop_gradient", "no_gradients", "concrete", "block_until_ready",
]  # fmt: skip

# Rich in divisors, so that an unknown dimension can be split and strided; small, as the function is run.
unknown_sizes = (24, 48)
differentiable = False
compiled = False


def joined_up_to() -> int:
    return 0


def abstract(function: Callable[..., Tree], *args: Tree) -> Tree:
    def placeholder(x: Any) -> Any:
        return value_of(np.broadcast_to(np.zeros((), x.dtype), x.shape), Placeholder) if hasattr(x, "shape") else x

    def spec(x: Any) -> Any:
        x = as_array(x) if _is_number(x) else x
        return Spec(tuple(x.shape), x.dtype) if isinstance(x, np.ndarray) else x

    return tree.map_structure(spec, function(*tree.map_structure(placeholder, args)))


def value_and_grad(function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
    raise _no_derivatives()


def compile(
    function: Callable[..., Tree], donate: tuple[int, ...] = (), specs: Tree | None = None, learns: bool = True
) -> Callable[..., Tree]:
    return function


def record(function: Callable[..., Tree], *args: Tree) -> Callable[..., Tree] | None:
    return None


def jvp(function: Callable[..., Tree], primals: tuple, tangents: tuple, has_aux: bool) -> Any:
    raise _no_derivatives()


def vmap(function: Callable[..., Tree], in_axes: Any, out_axes: Any) -> Callable[..., Tree]:
    def mapped(*args: Tree) -> Tree:
        leaves, structure = tree.flatten_with_spec(args)
        axes = per_leaf(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args)
        size = next(leaf.shape[axis] for leaf, axis in zip(leaves, axes) if axis is not None)

        def element(i: int) -> Tree:
            return function(*structure.unflatten([_at(x, i, axis) for x, axis in zip(leaves, axes)]))

        results = [element(i) for i in range(size)]
        columns = zip(*(tree.flatten(result) for result in results))
        joined = [_join(column, axis) for column, axis in zip(columns, per_leaf(out_axes, results[0]))]
        return tree.pack_sequence_as(results[0], joined)

    return mapped


_loops = Loops(as_array, is_traced, is_traced, numpy, abstract)
scan, fori_loop, while_loop = _loops.scan, _loops.fori_loop, _loops.while_loop
associative_scan = _loops.associative_scan


def cond(predicate: Any, on_true: Callable, on_false: Callable, *operands: Tree) -> Tree:
    return on_true(*operands) if predicate or is_traced(predicate) else on_false(*operands)


def switch(index: Any, branches: Sequence[Callable], *operands: Tree) -> Tree:
    return branches[int(np.clip(index, 0, len(branches) - 1))](*operands)


def remat(function: Callable[..., Tree]) -> Callable[..., Tree]:
    return function


def apart(function: Callable[..., Tree]) -> Callable[..., Tree]:
    return function


def custom_gradient(function: Callable[..., tuple[Tree, Callable]]) -> Callable[..., Tree]:
    return lambda *args: function(*args)[0]


def stop_gradient(x: Tree) -> Tree:
    return x


def no_gradients() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def concrete() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def block_until_ready(x: Tree) -> Tree:
    return x


def _no_derivatives() -> errors.Unsupported:
    return errors.Unsupported("the numpy engine takes no derivatives.", hint="kerata.config.set_engine('jax')")


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, complex, np.generic))


def _at(x: Any, i: int, axis: int | None) -> Any:
    return x if axis is None else numpy.take(x, i, axis)


def _join(results: Sequence[Any], axis: int | None) -> Array:
    if axis is not None:
        return numpy.stack(results, axis)
    if any(not np.array_equal(results[0], other, equal_nan=True) for other in results[1:]):
        raise errors.InvalidArgument(
            "a result differs from element to element.", where="vmap", expected="an axis in out_axes", got=None
        )
    return results[0]
