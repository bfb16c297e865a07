"""Choices and loops that compile, and the small functions about tensors that are no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerata import errors, tree
from kerata.core import dtypes
from kerata.core.lifting import custom_gradient as custom_gradient
from kerata.core.op import Array, convert, op
from kerata.core.symbolic import KerasTensor
from kerata.core.variable import Variable
from kerata.engine import arrays, transforms

__all__ = [
    "associative_scan", "cond", "convert_to_numpy", "custom_gradient", "dtype", "fori_loop", "is_tensor", "map",
    "scan", "shape", "stop_gradient", "switch", "vectorized_map", "vectorize", "view", "while_loop",
]  # fmt: skip


def _arrays(x: Any) -> Any:
    return tree.map_structure(convert, x)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Return true_fn() or false_fn(), both of one shape and dtype; compiled functions hold both.

    Example:
        >>> float(kerata.ops.cond(True, lambda: 1.0, lambda: 2.0))
        1.0
    """
    if isinstance(pred, KerasTensor):
        return _Cond()(pred, true_fn=true_fn, false_fn=false_fn)
    pred = convert(pred)
    if not arrays.is_traced(pred):
        return true_fn() if bool(pred) else false_fn()
    return transforms.cond(pred != 0, lambda: _arrays(true_fn()), lambda: _arrays(false_fn()))


def _Cond() -> Any:
    from kerata.core.symbolic import Operation

    class Cond(Operation):
        def call(self, pred: Any, *, true_fn: Any, false_fn: Any) -> Any:
            return cond(pred, true_fn, false_fn)

    return Cond()


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return branches[index](*operands); an index out of range means the nearest branch."""
    operands = tuple(_arrays(operand) for operand in operands)
    index = convert(index)
    if not arrays.is_traced(index):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return transforms.switch(index, list(branches), *operands)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Return the variables of a loop after `body` has been called on them while `cond` held.

    Args:
        loop_vars: a tuple or list (both functions take its items) or a single tensor or nest.
        maximum_iterations: an upper bound on the number of calls.
    """
    several = isinstance(loop_vars, (tuple, list))
    kind = type(loop_vars)
    start = tuple(_arrays(v) for v in loop_vars) if several else (_arrays(loop_vars),)
    limit = maximum_iterations

    def go(state: tuple[Any, tuple]) -> Any:
        steps, values = state
        wanted = convert(cond(*values)) != 0
        return wanted if limit is None else wanted & (steps < limit)

    def once(state: tuple[Any, tuple]) -> tuple[Any, tuple]:
        steps, values = state
        new = body(*values)
        new = tuple(new) if isinstance(new, (tuple, list)) and several else (new,)
        return steps + 1, tuple(_arrays(v) for v in new)

    _, values = transforms.while_loop(go, once, (convert(0), start))
    return kind(values) if several and kind in (tuple, list) else values if several else values[0]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return `init_val` after body_fun(i, value) for i from lower to upper - 1."""
    return transforms.fori_loop(lower, upper, lambda i, value: _arrays(body_fun(i, value)), _arrays(init_val))


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:
    """Return the last carry and the stacked outputs of carry, y = f(carry, x) over the rows of `xs`.

    Example:
        >>> kerata.ops.scan(lambda total, x: (total + x, total), 0, kerata.ops.arange(4))[1].tolist()
        [0, 0, 1, 3]
    """
    return transforms.scan(lambda c, x: tuple(_arrays(v) for v in f(c, x)), _arrays(init), _arrays(xs), length, reverse)


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return f of each row of `xs`, stacked; one row at a time."""
    return transforms.scan(lambda _, x: (_, _arrays(f(x))), convert(0), _arrays(xs), None, False)[1]


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Return `function` of each row of `elements`, stacked; all rows at once."""
    return transforms.vmap(lambda x: _arrays(function(x)), 0, 0)(_arrays(elements))


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Return a function that applies `pyfunc`, written for single values, to whole arrays with broadcasting."""
    if signature is not None:
        raise errors.Unsupported("`signature` is not offered.", where="ops.vectorize", hint="use vectorized_map")
    excluded = set(excluded or ())

    def call(*args: Any) -> Any:
        from kerata.engine import xp

        kept = [i for i in range(len(args)) if i not in excluded]
        wide = xp.broadcast_arrays(*(convert(args[i]) for i in kept))

        def single(*values: Any) -> Any:
            filled = list(args)
            for i, value in zip(kept, values):
                filled[i] = value
            return _arrays(pyfunc(*filled))

        flat = transforms.vmap(single, 0, 0)(*(xp.reshape(w, (-1,)) for w in wide))
        return tree.map_structure(lambda y: xp.reshape(y, (*wide[0].shape, *y.shape[1:])), flat)

    return call


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Return all running results of an associative f, in logarithmically many parallel steps."""
    return transforms.associative_scan(f, _arrays(elems), reverse, axis)


@op
def stop_gradient(variable: Array) -> Array:
    """Return the tensor as a constant: no gradient flows through it."""
    return transforms.stop_gradient(variable)


@op
def view(x: Array, dtype: Any = None) -> Array:
    """Return the same bytes read as another dtype."""
    return x.view(dtypes.standardize(dtype or x.dtype))


def shape(x: Any) -> tuple[int | None, ...]:
    """Return the shape as a tuple; None for what a symbolic tensor does not know."""
    return tuple(x.shape) if hasattr(x, "shape") else tuple(convert(x).shape)


def dtype(x: Any) -> str:
    """Return the name of the dtype."""
    return dtypes.dtype_of(x if hasattr(x, "dtype") else convert(x))


def is_tensor(x: Any) -> bool:
    """Return whether `x` is a tensor of the engine in use."""
    return arrays.is_array(x)


def convert_to_numpy(x: Any) -> np.ndarray:
    """Return a tensor as a NumPy array."""
    if isinstance(x, KerasTensor):
        x.__array__()
    return arrays.to_numpy(x.value if isinstance(x, Variable) else convert(x))
