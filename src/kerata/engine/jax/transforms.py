"""JAX's transforms, and abstract evaluation by `jax.eval_shape`."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import jax
from jax import lax

from kerata import errors
from kerata.engine.jax import counting, devices, processor
from kerata.engine.jax.trimming import trimmed
from kerata.engine.protocol import Tree

__all__ = [
    "unknown_sizes", "differentiable", "compiled", "joined_up_to", "abstract", "value_and_grad", "compile", "record",
    "jvp", "vmap", "scan", "fori_loop", "while_loop", "cond", "switch", "associative_scan", "remat", "apart",
    "custom_gradient",
    "stop_gradient", "no_gradients", "concrete", "block_until_ready",
]  # fmt: skip

# Rich in divisors, so that an unknown dimension can be split and strided; no memory is taken.
unknown_sizes = (2520, 5040)
differentiable = True
compiled = True

SMALL = 1 << 15
"""Elements; up to so many a loop over them ends sooner than other threads have heard of their parts."""

JOINED = 1 << 12
"""Elements; to start a loop over fewer takes longer than the loop."""

_ONE_THREAD: Any = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}


def joined_up_to() -> int:
    return JOINED if devices.platform() == "cpu" else 0


def abstract(function: Callable[..., Tree], *args: Tree) -> Tree:
    try:
        return jax.eval_shape(function, *args)
    except jax.errors.JAXTypeError as error:  # Python asks for values
        raise errors.in_our_words(error) from None


def value_and_grad(function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
    # In a program no value can be asked for, so it may be traced before its gradient is taken.
    return jax.value_and_grad(trimmed(function) if _program.is_written else function, has_aux=has_aux)


def compile(
    function: Callable[..., Tree], donate: tuple[int, ...] = (), specs: Tree | None = None, learns: bool = True
) -> Callable[..., Tree]:
    if devices.platform() != "cpu":
        return jax.jit(function, donate_argnums=donate)
    options = {}  # JAX takes none for what may be a part of another program
    if specs is not None:
        program = jax.make_jaxpr(function)(*specs).jaxpr
        options = processor.options(short=counting.has_short_products(program))
        options |= _ONE_THREAD if not donate and _largest(program) <= SMALL else {}
    elif donate:
        options = processor.options()
    function = _written(function) if learns else trimmed(function)  # what takes gradients is trimmed where it does
    return jax.jit(function, donate_argnums=donate, compiler_options=options or None)


class _Writing(threading.local):
    is_written = False


_program = _Writing()


def _written(function: Callable[..., Tree]) -> Callable[..., Tree]:
    """Say during its trace that a program is written."""

    @functools.wraps(function)
    def writing(*args: Tree) -> Tree:
        before, _program.is_written = _program.is_written, True
        try:
            return function(*args)
        finally:
            _program.is_written = before

    return writing


def record(function: Callable[..., Tree], *args: Tree) -> Callable[..., Tree] | None:
    return None


def _largest(program: Any) -> int:
    """Return the elements of the largest array that a program computes."""
    found = counting.everything(program)
    return max((math.prod(out.aval.shape) for equation, _ in found for out in equation.outvars), default=0)


def jvp(function: Callable[..., Tree], primals: tuple, tangents: tuple, has_aux: bool) -> Any:
    return jax.jvp(function, primals, tangents, has_aux=has_aux)


def vmap(function: Callable[..., Tree], in_axes: Any, out_axes: Any) -> Callable[..., Tree]:
    return jax.vmap(function, in_axes, out_axes)


def scan(step: Callable, init: Tree, xs: Tree, length: int | None, reverse: bool) -> tuple[Tree, Tree]:
    return lax.scan(step, init, xs, length=length, reverse=reverse)


def fori_loop(start: Any, stop: Any, body: Callable[[Any, Tree], Tree], init: Tree) -> Tree:
    return lax.fori_loop(start, stop, body, init)


def while_loop(cond: Callable[[Tree], Any], body: Callable[[Tree], Tree], init: Tree) -> Tree:
    return lax.while_loop(cond, body, init)


def cond(predicate: Any, on_true: Callable, on_false: Callable, *operands: Tree) -> Tree:
    return lax.cond(predicate, on_true, on_false, *operands)


def switch(index: Any, branches: Sequence[Callable], *operands: Tree) -> Tree:
    return lax.switch(index, branches, *operands)


def associative_scan(function: Callable, elems: Tree, reverse: bool, axis: int) -> Tree:
    return lax.associative_scan(function, elems, reverse=reverse, axis=axis)


def remat(function: Callable[..., Tree]) -> Callable[..., Tree]:
    return jax.checkpoint(function)


def apart(function: Callable[..., Tree]) -> Callable[..., Tree]:
    # XLA would compute a sum over rows anew for each reader, and for a kernel's gradient column by column.
    return jax.jit(function) if _program.is_written and devices.platform() == "cpu" else function


def custom_gradient(function: Callable[..., tuple[Tree, Callable]]) -> Callable[..., Tree]:
    return jax.custom_gradient(function)


def stop_gradient(x: Tree) -> Tree:
    return lax.stop_gradient(x)


def no_gradients() -> AbstractContextManager[Any]:
    return contextlib.nullcontext()


def concrete() -> AbstractContextManager[Any]:
    return jax.ensure_compile_time_eval()


def block_until_ready(x: Tree) -> Tree:
    return jax.block_until_ready(x)
