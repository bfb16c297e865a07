"""The multiplications and additions of a program's matrix products and convolutions, read from its jaxpr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from kerata.engine.jax import nn

__all__ = ["everything", "has_short_products", "products"]

_SHORT, _COLUMNS = range(2_000_000, 16_000_000), 128
"""Operations of a short product, which two threads still share, and its columns at most."""


def products(function: Callable[..., Any], trained: Sequence[Any], *args: Any) -> tuple[int, int, list[Any]]:
    """Return the operations of `function(trained, *args)`, those of its gradient by `trained`, and the shapes that it
    gives; Specs will do.

    A product's gradient by an operand is a product of the same size, taken only where the operand depends on
    `trained`: the first layer's inputs have none. A scan counts once for each of its steps, a loop of unknown length
    once, a choice as its dearest branch; what is computed again to save memory is not counted. What `stop_gradient`
    lets through is taken for untrained; what comes before it is counted as if its gradient were wanted.
    """
    with nn.textbook():
        # A function of its own: JAX remembers what it traced before, outside of this block.
        program = jax.make_jaxpr(lambda *every: function(*every))(trained, *args).jaxpr
    dependent = [i < len(jax.tree.leaves(trained)) for i in range(len(program.invars))]
    forward, backward, _ = _count(program, dependent)
    return forward, backward, [atom.aval for atom in program.outvars]


def _count(program: Any, dependent: Sequence[bool]) -> tuple[int, int, list[bool]]:
    """Return the operations forward and backward, and which outputs depend on what is trained."""
    known = dict(zip(program.invars, dependent))
    forward = backward = 0

    def depends(atom: Any) -> bool:
        return not hasattr(atom, "val") and known.get(atom, False)  # a literal is no variable

    for equation in program.eqns:
        inputs = [depends(atom) for atom in equation.invars]
        rule = _RULES.get(equation.primitive.name)
        parts = inner(equation)
        if rule is not None:
            ahead = rule(equation)
            behind, outputs = ahead * sum(inputs), [any(inputs)]
        elif parts is not None:
            ahead, behind, outputs = _nested(equation, parts, inputs)
        else:
            ahead, behind = 0, 0
            outputs = [any(inputs) and equation.primitive.name != "stop_gradient"] * len(equation.outvars)
        forward, backward = forward + ahead, backward + behind
        for variable, output in zip(equation.outvars, outputs):
            known[variable] = output and jnp.issubdtype(variable.aval.dtype, jnp.inexact)
    return forward, backward, [depends(atom) for atom in program.outvars]


def has_short_products(program: Any) -> bool:
    """Return whether the longest product of a program is that of rows by a kernel, short and of few columns.

    Nor have others of half its length more columns. What products of another kind gain or lose was not measured, but
    convolutions, which become many products of their own, lose as much again.
    """
    if any(equation.primitive.name.startswith("conv_") for equation, _ in everything(program)):
        return False
    found = list(_widths(program))
    longest = max((operations for operations, _ in found), default=0)
    is_by_kernel = any(columns for operations, columns in found if operations == longest)
    few = all(columns <= _COLUMNS for operations, columns in found if 2 * operations >= longest)
    return longest in _SHORT and is_by_kernel and few


def _widths(program: Any) -> Iterator[tuple[int, float]]:
    """Yield the operations and columns of each matrix product: endless many of several in one, and in a scan."""
    for equation, in_scan in everything(program):
        if equation.primitive.name == "dot_general":
            yield _matrix_product(equation), math.inf if in_scan else _columns(equation)
        elif equation.primitive.name == "product":  # (see products.py)
            rows, kernel = (operand.aval for operand in equation.invars)
            yield 2 * rows.size * kernel.shape[1], math.inf if in_scan else kernel.shape[1]


def everything(program: Any, in_scan: bool = False) -> Iterator[tuple[Any, bool]]:
    """Yield the equations of a program and of those that it runs, and whether each is run by a scan."""
    for equation in program.eqns:
        yield equation, in_scan
        for part in inner(equation) or ():
            yield from everything(part, in_scan or equation.primitive.name == "scan")


def _columns(product: Any) -> float:
    """Return those of the kernel in a product of rows by a kernel, 0 for another product, such as its gradient."""
    summed, (_, batched) = product.params["dimension_numbers"]
    rows, kernel = (operand.aval for operand in product.invars)
    if batched:
        return math.inf
    return kernel.shape[1] if kernel.ndim == 2 and summed == ((rows.ndim - 1,), (0,)) else 0


def inner(equation: Any) -> list[Any] | None:
    """Return the programs that an equation runs, or None."""
    found = []
    for name in ("jaxpr", "call_jaxpr", "body_jaxpr", "fun_jaxpr", "branches"):
        value = equation.params.get(name)
        found += value if isinstance(value, (tuple, list)) else [value] if value is not None else []
    return [getattr(part, "jaxpr", part) for part in found] or None


def _nested(equation: Any, parts: list[Any], inputs: list[bool]) -> tuple[int, int, list[bool]]:
    kind, params = equation.primitive.name, equation.params
    if kind == "cond":
        counts = [_count(part, inputs[1:]) for part in parts]
        outputs = [any(each) for each in zip(*(count[2] for count in counts))]
        return max(count[0] for count in counts), max(count[1] for count in counts), outputs
    if kind not in ("scan", "while"):
        return _count(parts[0], inputs)
    if kind == "scan":
        first, carried, times = params["num_consts"], params["num_carry"], params["length"]
    else:
        inputs = inputs[params["cond_nconsts"] :]
        first, times = params["body_nconsts"], 1
        carried = len(inputs) - first
    # What one step makes dependent the next one begins with.
    while True:
        ahead, behind, outputs = _count(parts[0], inputs)
        after = [a or b for a, b in zip(inputs[first : first + carried], outputs)]
        if after == inputs[first : first + carried]:
            return times * ahead, times * behind, outputs
        inputs[first : first + carried] = after


def _matrix_product(equation: Any) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in summed)


def _convolution(equation: Any) -> int:
    """Each cell of the output sums over the window and the channels of a group; zeros between cells are no work."""
    numbers = equation.params["dimension_numbers"]
    kernel = equation.invars[1].aval.shape
    window = math.prod(kernel) // kernel[numbers.rhs_spec[0]]
    between = math.prod(equation.params["lhs_dilation"])
    return 2 * math.prod(equation.outvars[0].aval.shape) * window // between


_RULES: dict[str, Callable[[Any], int]] = {"dot_general": _matrix_product, "conv_general_dilated": _convolution}
