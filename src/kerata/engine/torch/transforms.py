"""Transforms in PyTorch: autograd for gradients, fake tensors for shapes, loops that loop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch._C import _functorch  # type: ignore[attr-defined]
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing
from torch.utils import checkpoint

from kerata import errors, tree
from kerata.engine.eager_loops import Loops, per_leaf
from kerata.engine.protocol import Array, Spec, Tree
from kerata.engine.torch import namespace
from kerata.engine.torch.compiling import ASKING_FOR_VALUES, compile, record
from kerata.engine.torch.tensors import (
    NeedsValues,
    as_dtype,
    as_tensor,
    being_recorded,
    concrete,
    device,
    dtype_name,
    is_traced,
    nested_gradients,
    only_shapes,
    taking_gradients,
    tracing_a_program,
    valueless,
)  # fmt: skip

__all__ = [
    "unknown_sizes", "differentiable", "compiled", "joined_up_to", "abstract", "value_and_grad", "compile",
    "record", "jvp", "vmap", "scan", "fori_loop", "while_loop", "cond", "switch", "associative_scan", "remat", "apart",
    "custom_gradient", "stop_gradient", "no_gradients", "concrete", "block_until_ready",
]  # fmt: skip

# Rich in divisors, so that an unknown dimension can be split and strided; no memory is taken.
unknown_sizes = (2520, 5040)
differentiable = True
compiled = False


def joined_up_to() -> int:
    return 0


class _Local(threading.local):
    fakes: FakeTensorMode | None = None


_local = _Local()


def _is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float, complex))


# Shapes -----------------------------------------------------------------------------------------------------------


def abstract(function: Callable[..., Tree], *args: Tree) -> Tree:
    fakes = detect_fake_mode() or _local.fakes  # a program being traced has its own
    if fakes is None:
        fakes = _local.fakes = FakeTensorMode(allow_non_fake_inputs=True)

    def placeholder(x: Any) -> Any:
        if isinstance(x, Spec):
            return torch.empty(x.shape, dtype=as_dtype(x.dtype), device=device())
        return as_tensor(x).clone() if hasattr(x, "shape") and not is_traced(x) else x

    def spec(x: Any) -> Any:
        x = as_tensor(x) if _is_number(x) else x
        return Spec(tuple(x.shape), dtype_name(x.dtype)) if hasattr(x, "shape") else x

    with disable_proxy_modes_tracing(), tracing_a_program(False), fakes, torch.no_grad():
        try:
            return tree.map_structure(spec, function(*tree.map_structure(placeholder, args)))
        except ASKING_FOR_VALUES as error:
            raise errors.ValueUnknown(
                "Python asks for the value of a tensor while only shapes are known.", got=str(error).splitlines()[0],
                hint="use ops.where, ops.cond or ops.while_loop, or call it with values, uncompiled",
            ) from error  # fmt: skip


# Gradients --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _taking_gradients() -> Iterator[bool]:
    """Record what is computed; yields whether a gradient is being taken around this one."""
    with taking_gradients(), torch.enable_grad():
        yield nested_gradients()


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
    def again(*args: Tree) -> Tree:
        # Draws go by keys, not by PyTorch's own random state: there is none to be kept.
        return checkpoint.checkpoint(function, *args, use_reentrant=False, preserve_rng_state=False)

    return again


def apart(function: Callable[..., Tree]) -> Callable[..., Tree]:
    return function


def no_gradients() -> AbstractContextManager[Any]:
    return torch.no_grad()


# Programs ---------------------------------------------------------------------------------------------------------


def block_until_ready(x: Tree) -> Tree:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return x


# Loops and choices ------------------------------------------------------------------------------------------------


def vmap(function: Callable[..., Tree], in_axes: Any, out_axes: Any) -> Callable[..., Tree]:
    def mapped(*args: Tree) -> Tree:
        leaves, structure = tree.flatten_with_spec(args)
        axes = per_leaf(tuple(in_axes) if isinstance(in_axes, list) else in_axes, args)
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
            out = per_leaf(out_axes, result)
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


_loops = Loops(as_tensor, only_shapes, valueless, namespace, abstract)
fori_loop, while_loop = _loops.fori_loop, _loops.while_loop


def scan(step: Callable, init: Tree, xs: Tree, length: int | None, reverse: bool) -> tuple[Tree, Tree]:
    if being_recorded():
        raise NeedsValues("a recording would hold every step of a loop")
    return _loops.scan(step, init, xs, length, reverse)


associative_scan = _loops.associative_scan


def cond(predicate: Any, on_true: Callable, on_false: Callable, *operands: Tree) -> Tree:
    if not is_traced(predicate):
        return on_true(*operands) if predicate else on_false(*operands)
    def either(yes: Any, no: Any) -> Any:
        if yes is None:
            return None
        yes, no = as_tensor(yes), as_tensor(no)
        if yes.requires_grad or no.requires_grad:
            only_shapes(predicate)  # where nothing is divided by zero in one branch, it may be in the other
        return torch.where(predicate, yes, no)

    return tree.map_structure(either, on_true(*operands), on_false(*operands))


def switch(index: Any, branches: Sequence[Callable], *operands: Tree) -> Tree:
    last = len(branches) - 1
    if not is_traced(index):
        return branches[min(max(int(index), 0), last)](*operands)
    chosen = branches[-1](*operands)
    for i in reversed(range(last)):
        chosen = cond(index <= i, branches[i], lambda *_, chosen=chosen: chosen, *operands)
    return chosen
