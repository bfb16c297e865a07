"""Transforms in PyTorch: autograd for gradients, fake tensors for shapes, loops that loop. Nothing is compiled yet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch._C import _functorch  # type: ignore[attr-defined]
from torch._subclasses.fake_tensor import FakeTensorMode

from kerata import errors, tree
from kerata.engine.protocol import Array, Spec, Tree
from kerata.engine.torch.tensors import as_dtype, as_tensor, concrete, device, dtype_name, is_traced

__all__ = [
    "unknown_sizes", "differentiable", "compiled", "abstract", "value_and_grad", "compile", "jvp", "vmap", "scan",
    "fori_loop", "while_loop", "cond", "switch", "associative_scan", "remat", "custom_gradient", "stop_gradient",
    "concrete", "block_until_ready",
]  # fmt: skip

# Rich in divisors, so that an unknown dimension can be split and strided; no memory is taken.
unknown_sizes = (2520, 5040)
differentiable = True
compiled = False


class _Local(threading.local):
    fakes: FakeTensorMode | None = None
    gradients_around: int = 0


_local = _Local()


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, complex))


def _arrays(x: Tree) -> Tree:
    """Return `x` with its Python numbers as arrays, as they are inside a loop."""
    return tree.map_structure(lambda leaf: as_tensor(leaf) if _is_number(leaf) else leaf, x)


# Shapes -----------------------------------------------------------------------------------------------------------


def abstract(function: Callable[..., Tree], *args: Tree) -> Tree:
    if _local.fakes is None:
        _local.fakes = FakeTensorMode(allow_non_fake_inputs=True)

    def placeholder(x: Any) -> Any:
        if isinstance(x, Spec):
            return torch.empty(x.shape, dtype=as_dtype(x.dtype), device=device())
        return as_tensor(x).clone() if hasattr(x, "shape") and not is_traced(x) else x

    def spec(x: Any) -> Any:
        x = as_tensor(x) if _is_number(x) else x
        return Spec(tuple(x.shape), dtype_name(x.dtype)) if hasattr(x, "shape") else x

    with _local.fakes, torch.no_grad():
        return tree.map_structure(spec, function(*tree.map_structure(placeholder, args)))


# Gradients --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _taking_gradients() -> Iterator[bool]:
    """Record what is computed; yields whether a gradient is being taken around this one."""
    _local.gradients_around += 1
    try:
        with torch.enable_grad():
            yield _local.gradients_around > 1
    finally:
        _local.gradients_around -= 1


def value_and_grad(function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
    def transformed(first: Tree, *args: Tree) -> Any:
        leaves, structure = tree.flatten_with_spec(first)
        with _taking_gradients() as again:
            # An alias of its own: the gradient is by this argument, wherever else the tensor may be used.
            own = [as_tensor(x) for x in leaves]
            own = [x.view_as(x) if again and x.requires_grad else x.detach().requires_grad_() for x in own]
            result = function(structure.unflatten(own), *args)
            value = result[0] if has_aux else result
            if value.requires_grad:
                gradients = torch.autograd.grad(value, own, create_graph=again, materialize_grads=True)
            else:
                gradients = [torch.zeros_like(x) for x in own]
        result = result if again else stop_gradient(result)
        return result, structure.unflatten(gradients)

    return transformed


def jvp(function: Callable[..., Tree], primals: tuple, tangents: tuple, has_aux: bool) -> Any:
    return torch.func.jvp(function, tuple(primals), tuple(tangents), has_aux=has_aux)


def stop_gradient(x: Tree) -> Tree:
    return tree.map_structure(lambda leaf: leaf.detach() if isinstance(leaf, torch.Tensor) else leaf, x)


class _OwnGradient(torch.autograd.Function):
    """Calls a function that returns its output and a function of the output's gradient."""

    @staticmethod
    def forward(ctx: Any, run: Callable[..., Any], *leaves: Any) -> Any:
        outputs, ctx.backwards = run(leaves)
        ctx.inputs = [isinstance(leaf, torch.Tensor) for leaf in leaves]
        return tuple(x.view_as(x) for x in outputs)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        gradients = ctx.backwards(upstream)
        return (None, *(g if is_tensor else None for g, is_tensor in zip(gradients, ctx.inputs)))


def custom_gradient(function: Callable[..., tuple[Tree, Callable]]) -> Callable[..., Tree]:
    def transformed(*args: Tree) -> Tree:
        leaves, structure = tree.flatten_with_spec(args)
        outer: list[Any] = []

        def run(leaves: Sequence[Any]) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
            output, gradient_of = function(*structure.unflatten(leaves))
            flat, output_structure = tree.flatten_with_spec(output)
            outer[:] = [output_structure]

            def backwards(upstream: Sequence[Any]) -> list[Any]:
                found = gradient_of(output_structure.unflatten(upstream))
                found = found if isinstance(found, tuple) and len(args) == len(found) else (found,)
                return tree.flatten(tuple(found))

            return [as_tensor(x) for x in flat], backwards

        results = _OwnGradient.apply(run, *leaves)
        return outer[0].unflatten(results)

    return transformed


def remat(function: Callable[..., Tree]) -> Callable[..., Tree]:
    # torch.utils.checkpoint would call `function` again during the backward pass, when the values of Variables and
    # the seeds that it reads from around it are no longer those of the first call.
    return function


# Programs ---------------------------------------------------------------------------------------------------------


def compile(function: Callable[..., Tree], donate: tuple[int, ...] = ()) -> Callable[..., Tree]:
    return function


def block_until_ready(x: Tree) -> Tree:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return x


# Loops and choices ------------------------------------------------------------------------------------------------


def vmap(function: Callable[..., Tree], in_axes: Any, out_axes: Any) -> Callable[..., Tree]:
    def mapped(*args: Tree) -> Tree:
        leaves, structure = tree.flatten_with_spec(args)
        axes = _per_leaf(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args)
        mapped_at = [i for i, axis in enumerate(axes) if axis is not None]
        outcome: list[Any] = []

        def of_tensors(*tensors: Array) -> tuple[Array, ...]:
            filled = list(leaves)
            for i, tensor in zip(mapped_at, tensors):
                filled[i] = tensor
            result = function(*structure.unflatten(filled))
            flat, result_structure = tree.flatten_with_spec(result)
            there = [i for i, x in enumerate(flat) if x is not None]
            tensors = tuple(as_tensor(flat[i]) for i in there)
            out = _per_leaf(out_axes, result)
            for i, tensor in zip(there, tensors):
                if out[i] is None and _functorch.is_batchedtensor(tensor):
                    raise errors.InvalidArgument(
                        "a result differs from element to element.", where="vmap", expected="an axis in out_axes",
                        got=None,
                    )  # fmt: skip
            outcome[:] = result_structure, there, out
            return tensors

        tensors = [as_tensor(leaves[i]) for i in mapped_at]
        results = torch.vmap(of_tensors, tuple(axes[i] for i in mapped_at), 0, randomness="same")(*tensors)
        result_structure, there, out = outcome
        flat: list[Any] = [None] * len(out)
        for i, x in zip(there, results):
            flat[i] = x[0] if out[i] is None else x.movedim(0, out[i])
        return result_structure.unflatten(flat)

    return mapped


def _per_leaf(axes: Any, structure: Tree) -> list[int | None]:
    """Return the axis of each leaf of `structure`; an axis in `axes` speaks for all leaves below it."""
    spread = tree.map_structure_up_to(
        axes, lambda axis, below: tree.map_structure(lambda _: axis, below), axes, structure
    )
    return tree.flatten(spread)


def scan(step: Callable, init: Tree, xs: Tree, length: int | None, reverse: bool) -> tuple[Tree, Tree]:
    lengths = [x.shape[0] for x in tree.flatten(xs) if x is not None]
    steps = range(lengths[0] if length is None else length)

    def inputs(i: int) -> Tree:
        return tree.map_structure(lambda x: None if x is None else x[i], xs)

    carry, outputs = _arrays(init), []
    for i in reversed(steps) if reverse else steps:
        carry, output = step(carry, inputs(i))
        outputs.append(_arrays(output))
    if not outputs:
        first = tree.map_structure(lambda x: None if x is None else Spec(tuple(x.shape[1:]), x.dtype), xs)
        _, shapes = abstract(step, carry, first)
        return carry, tree.map_structure(
            lambda s: s and torch.zeros((0, *s.shape), dtype=as_dtype(s.dtype), device=device()), shapes
        )
    if reverse:
        outputs.reverse()
    return carry, tree.map_structure(lambda *ys: None if ys[0] is None else torch.stack(ys), *outputs)


def fori_loop(start: Any, stop: Any, body: Callable[[Any, Tree], Tree], init: Tree) -> Tree:
    state = _arrays(init)
    if is_traced(start) or is_traced(stop):
        return body(as_tensor(start), state)  # any number of steps leaves the shapes of one
    for i in range(int(start), int(stop)):
        state = body(as_tensor(i), state)
    return state


def while_loop(cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], init: Tree) -> Tree:
    state = _arrays(init)
    while not is_traced(going := cond(state)) and going:
        state = body(state)
    return body(state) if is_traced(going) else state


def cond(predicate: Any, on_true: Callable, on_false: Callable, *operands: Tree) -> Tree:
    if not is_traced(predicate):
        return on_true(*operands) if predicate else on_false(*operands)
    return tree.map_structure(
        lambda yes, no: None if yes is None else torch.where(predicate, as_tensor(yes), as_tensor(no)),
        on_true(*operands), on_false(*operands),
    )  # fmt: skip


def switch(index: Any, branches: Sequence[Callable], *operands: Tree) -> Tree:
    last = len(branches) - 1
    if not is_traced(index):
        return branches[min(max(int(index), 0), last)](*operands)
    chosen = branches[-1](*operands)
    for i in reversed(range(last)):
        chosen = cond(index <= i, branches[i], lambda *_, chosen=chosen: chosen, *operands)
    return chosen


def associative_scan(function: Callable, elems: Tree, reverse: bool, axis: int) -> Tree:
    size = tree.flatten(elems)[0].shape[axis]
    slices = [tree.map_structure(lambda x, i=i: x.narrow(axis, i, 1), elems) for i in range(size)]
    if not slices:
        return elems
    if reverse:
        slices.reverse()
    results = slices[:1]
    for element in slices[1:]:
        results.append(function(results[-1], element))
    if reverse:
        results.reverse()
    return tree.map_structure(lambda *parts: torch.cat(parts, axis), *results)
