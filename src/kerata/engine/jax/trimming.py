"""Convolutions compute only what is read of them.

Pooling 11 by 11 places in blocks of 2 by 2 reads 10 by 10 of them: the convolution before it may leave out a row and a
column, a sixth of its work, and a third where it works in tiles. XLA cuts elementwise operations so, but no
convolution. It is done before gradients are taken, whose convolutions are then smaller, too.

A program is read backwards for the *extent* of each value that its readers need: how far along each axis, from 0. Then
it is run on values that are cut to their extents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import eval_jaxpr
from jax.extend.core import Literal, Var, jaxpr_as_fun

from kerata.engine.jax.counting import everything
from kerata.engine.protocol import Tree

__all__ = ["trimmed"]

_Extent = tuple[int, ...]

_ELEMENTWISE = frozenset((
    "abs", "add", "and", "convert_element_type", "cos", "div", "eq", "erf", "exp", "expm1", "ge", "gt", "integer_pow",
    "is_finite", "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "not", "or", "pow", "rsqrt",
    "select_n", "sign", "sin", "sqrt", "square", "stop_gradient", "sub", "tanh",
))  # fmt: skip
_CUT = _ELEMENTWISE | {"broadcast_in_dim", "conv_output"}


def trimmed(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """Return what gives the results of `function`, its convolutions as small as their readers allow."""

    @functools.wraps(function)
    def run(*args: Tree) -> Tree:
        kept: list[Any] = []  # results that are no arrays

        def arrays_of(*args: Tree) -> list[Any]:
            leaves, structure = jax.tree.flatten(function(*args))
            is_array = [isinstance(x, jax.Array | np.ndarray | np.generic | int | float | complex) for x in leaves]
            kept[:] = [structure, [None if known else x for x, known in zip(leaves, is_array)], is_array]
            return [x for x, known in zip(leaves, is_array) if known]

        program = jax.make_jaxpr(arrays_of)(*args)
        arrays = iter(_evaluate(program, jax.tree.leaves(args)))
        structure, leaves, is_array = kept
        return jax.tree.unflatten(structure, [next(arrays) if known else x for x, known in zip(leaves, is_array)])

    return run


def _evaluate(program: Any, leaves: Sequence[Any]) -> list[Any]:
    jaxpr = program.jaxpr
    if not any(equation.primitive.name == "conv_output" for equation, _ in everything(jaxpr)):
        return jaxpr_as_fun(program)(*leaves)
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*program.consts, *leaves]))
    names: dict[Any, Any] = {}
    equations = list(_written_out(jaxpr, names, values))
    outputs = [_named(atom, names) for atom in jaxpr.outvars]
    extents = _extents(equations, outputs)
    if not any(e.primitive.name == "conv_output" and extents[e.outvars[0]] != _whole(e.outvars[0]) for e in equations):
        return jaxpr_as_fun(program)(*leaves)
    for equation in equations:
        values.update(zip(equation.outvars, _run(equation, jaxpr, extents, values)))
    return [atom.val if isinstance(atom, Literal) else values[atom] for atom in outputs]


def _written_out(jaxpr: Any, names: dict[Any, Any], known: dict[Any, Any]) -> Iterator[Any]:
    """Yield a program's equations, those of compiled parts in their place, each with results of its own."""
    for equation in jaxpr.eqns:
        inputs = [_named(atom, names) for atom in equation.invars]
        if equation.primitive.name == "jit":
            part = equation.params["jaxpr"]
            inside: dict[Any, Any] = dict(zip(part.jaxpr.invars, inputs))
            for variable, value in zip(part.jaxpr.constvars, part.consts):
                inside[variable] = Var(variable.aval)
                known[inside[variable]] = value
            yield from _written_out(part.jaxpr, inside, known)
            names.update(zip(equation.outvars, (_named(atom, inside) for atom in part.jaxpr.outvars)))
        else:
            results = [Var(v.aval) for v in equation.outvars]
            names.update(zip(equation.outvars, results))
            yield equation.replace(invars=inputs, outvars=results)


def _named(atom: Any, names: dict[Any, Any]) -> Any:
    return atom if isinstance(atom, Literal) else names.get(atom, atom)


def _whole(atom: Any) -> _Extent:
    return tuple(getattr(atom.aval, "shape", ()))


# How far is read -----------------------------------------------------------------------------------------------------


def _extents(equations: Sequence[Any], outputs: Sequence[Any]) -> dict[Any, _Extent]:
    extents: dict[Any, _Extent] = {}

    def need(atom: Any, extent: _Extent) -> None:
        if not isinstance(atom, Literal):
            extents[atom] = tuple(map(max, extents.get(atom, extent), extent))

    for atom in outputs:
        need(atom, _whole(atom))
    for equation in reversed(equations):
        result = equation.outvars[0] if len(equation.outvars) == 1 else None
        extent = extents.setdefault(result, _whole(result)) if result is not None else ()
        for place, atom in enumerate(equation.invars):
            need(atom, _read(equation, place, extent))
    return extents


def _read(equation: Any, place: int, extent: _Extent) -> _Extent:
    """Return how far `equation` reads an operand when its result is needed as far as `extent`."""
    name, params, whole = equation.primitive.name, equation.params, _whole(equation.invars[place])
    if name == "slice" and not any(params["start_indices"]):
        return tuple(params["limit_indices"])
    if name in _ELEMENTWISE and whole == _whole(equation.outvars[0]):
        return extent
    if name == "conv_output" and place == 0:
        return (whole[0], *params["shape"].up_to(_places(extent)).size, whole[-1])
    if name == "broadcast_in_dim":
        found = [extent[axis] for axis in params["broadcast_dimensions"]]
        return tuple(min(n, m) for n, m in zip(whole, found))
    return whole


def _places(extent: _Extent) -> _Extent:
    return extent[1:-1]


# And no further ------------------------------------------------------------------------------------------------------


def _run(equation: Any, jaxpr: Any, extents: dict[Any, _Extent], values: dict[Any, Any]) -> list[Any]:
    """Return the results of an equation, each at least as far as it is needed."""
    name, params = equation.primitive.name, dict(equation.params)
    operands = [atom.val if isinstance(atom, Literal) else values[atom] for atom in equation.invars]
    if name not in _CUT:
        variables = [atom for atom in equation.invars if not isinstance(atom, Literal)]
        alone = jaxpr.replace(constvars=[], invars=variables, outvars=equation.outvars, eqns=[equation])
        return eval_jaxpr(alone, (), *(values[v] for v in variables))
    extent = extents[equation.outvars[0]]
    if name == "conv_output":
        shape = params["shape"] = params["shape"].up_to(_places(extent))
        operands[0] = _cut(operands[0], (len(operands[0]), *shape.size, operands[0].shape[-1]))
    elif name == "broadcast_in_dim":
        params["shape"] = extent
        operands[0] = _cut(operands[0], [extent[axis] for axis in params["broadcast_dimensions"]])
    else:
        operands = [_cut(x, extent) if jnp.ndim(x) == len(extent) else x for x in operands]
    return [equation.primitive.bind(*operands, **params)]


def _cut(x: Any, extent: Sequence[int]) -> Any:
    shape = jnp.shape(x)
    stop = tuple(map(min, shape, extent))
    return x if stop == shape else lax.slice(x, [0] * len(shape), stop)
