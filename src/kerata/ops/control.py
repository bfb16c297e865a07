"""Choices and loops that compile, and the small functions about tensors that are no arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from kerata import errors, tree
from kerata.core import dtypes, scopes
from kerata.core.lifting import assigned, carrying
from kerata.core.lifting import custom_gradient as custom_gradient
from kerata.core.op import Array, convert, op
from kerata.core.symbolic import KerasTensor, Operation, any_symbolic
from kerata.core.variable import Variable
from kerata.engine import arrays, transforms, xp

__all__ = [
    "associative_scan", "cond", "convert_to_numpy", "custom_gradient", "dtype", "fori_loop", "is_tensor", "map",
    "scan", "shape", "stop_gradient", "switch", "vectorized_map", "vectorize", "view", "while_loop",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


def _arrays(x: Any) -> Any:
    return tree.map_structure(convert, x)


class InGraph(Operation):
    """A loop or a choice in the graph of a functional model: its function is called again with the tensors."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(scopes.auto_name(function.__name__))
        self.function = function

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the loop, or choose."""
        return self.function(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Refuse: the functions of a loop are code, and files hold none."""
        raise errors.Unsupported(
            f"`ops.{self.function.__name__}` between the layers of a model cannot be saved: its functions are code.",
            where=self.name, hint="call it in a layer of your own, and register the layer; or save the weights alone",
        )  # fmt: skip


def _also_in_graphs(function: F) -> F:
    """Let `function` be called on symbolic tensors, too."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return (InGraph(function) if any_symbolic(args, kwargs) else function)(*args, **kwargs)

    return call  # type: ignore[return-value]


@_also_in_graphs
def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """Return true_fn() or false_fn(), both of one shape and dtype; a compiled function holds both.

    Either may assign Variables.

    Example:
        >>> float(kerata.ops.cond(True, lambda: 1.0, lambda: 2.0))
        1.0
    """
    pred = convert(pred)
    if not arrays.is_traced(pred):
        return true_fn() if bool(pred) else false_fn()
    state = list(dict.fromkeys([*assigned(true_fn), *assigned(false_fn)]))
    return _with_state(
        lambda values: transforms.cond(pred != 0, carrying(true_fn, state), carrying(false_fn, state), values), state
    )


def _with_state(run: Callable[[list[Any]], tuple[Any, list[Any]]], state: list[Variable]) -> Any:
    """Return the result of `run`, given the values of Variables and having assigned those that it returns."""
    result, values = run([v.differentiable_value() for v in state])
    for variable, value in zip(state, values):
        variable.assign_unchecked(value)
    return result


@_also_in_graphs
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Return branches[index](*operands); an index out of range means the nearest branch."""
    operands = tuple(_arrays(operand) for operand in operands)
    index = convert(index)
    if not arrays.is_traced(index):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    state = list(dict.fromkeys(v for branch in branches for v in assigned(branch, *operands)))
    pure = [carrying(branch, state) for branch in branches]
    return _with_state(lambda values: transforms.switch(index, pure, values, *operands), state)


@_also_in_graphs
def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """Return the variables of a loop after `body` has been called on them while `cond` held.

    Args:
        loop_vars: a tuple or list (both functions take its items) or a single tensor or nest.
        maximum_iterations: an upper bound on the number of calls.
    """
    several = isinstance(loop_vars, (tuple, list))
    start = tuple(_arrays(v) for v in loop_vars) if several else (_arrays(loop_vars),)

    def once(*values: Any) -> tuple:
        new = body(*values)
        return tuple(new) if several else (new,)

    state = assigned(once, *start)
    pure = carrying(once, state)

    def goes_on(carry: tuple[Any, tuple, list[Any]]) -> Any:
        step, values, held = carry
        wanted = carrying(cond, state)(held, *values)[0] != 0
        return wanted if maximum_iterations is None else wanted & (step < maximum_iterations)

    def advance(carry: tuple[Any, tuple, list[Any]]) -> tuple[Any, tuple, list[Any]]:
        step, values, held = carry
        return step + 1, *pure(held, *values)

    def run(held: list[Any]) -> tuple[Any, list[Any]]:
        return transforms.while_loop(goes_on, advance, (convert(0), start, held))[1:]

    values = _with_state(run, state)
    return type(loop_vars)(values) if several else values[0]


@_also_in_graphs
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """Return `init_val` after body_fun(i, value) for i from lower to upper - 1."""
    start = _arrays(init_val)
    state = assigned(body_fun, convert(lower), start)
    pure = carrying(body_fun, state)

    def run(held: list[Any]) -> tuple[Any, list[Any]]:
        return transforms.fori_loop(lower, upper, lambda i, carry: pure(carry[1], i, carry[0]), (start, held))

    return _with_state(run, state)


@_also_in_graphs
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
    start, rows = _arrays(init), tree.map_structure(lambda x: None if x is None else convert(x), xs)
    state = assigned(f, start, tree.map_structure(lambda x: None if x is None else x[0], rows))
    pure = carrying(f, state)

    def step(carry: tuple[Any, list[Any]], row: Any) -> tuple[Any, Any]:
        (value, y), held = pure(carry[1], carry[0], row)
        return (value, held), y

    def run(held: list[Any]) -> tuple[Any, list[Any]]:
        (value, held), ys = transforms.scan(step, (start, held), rows, length, reverse)
        return (value, ys), held

    return _with_state(run, state)


@_also_in_graphs
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """Return f of each row of `xs`, stacked; one row at a time."""
    return scan(lambda carry, x: (carry, f(x)), 0, xs)[1]


@_also_in_graphs
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """Return `function` of each row of `elements`, stacked; all rows at once."""
    return transforms.vmap(lambda x: _arrays(function(x)), 0, 0)(_arrays(elements))


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None) -> Callable[..., Any]:
    """Return a function that applies `pyfunc`, written for single values, to whole arrays with broadcasting."""
    if signature is not None:
        raise errors.Unsupported("`signature` is not offered.", where="ops.vectorize", hint="use vectorized_map")
    excluded = set(excluded or ())

    @_also_in_graphs
    def call(*args: Any) -> Any:
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


@_also_in_graphs
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
    name = dtypes.standardize(dtype or x.dtype)
    return x.view(getattr(xp, "bool_" if name == "bool" else name))


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
