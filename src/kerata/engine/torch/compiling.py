"""Programs: a function is run once on tensors without values, and `torch.compile` compiles what it did.

Whatever Python does around the operations (scopes, layers, loops of a known length) is gone from the graph that
`torch.compile` is given, as on JAX. What has a shape or a number of steps that depends on values cannot become a
program, and runs as it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from kerata import errors, tree
from kerata.engine.protocol import Tree
from kerata.engine.torch.replaying import replayed
from kerata.engine.torch.tensors import NeedsValues, as_tensor, is_traced, tracing_a_program

__all__ = ["ASKING_FOR_VALUES", "compile", "lowered", "record"]

Program = Callable[..., Sequence[torch.Tensor]]

ASKING_FOR_VALUES = (
    NeedsValues, DataDependentOutputException, DynamicOutputShapeException, GuardOnDataDependentSymNode,
)  # fmt: skip


def compile(
    function: Callable[..., Tree], donate: tuple[int, ...] = (), specs: Tree | None = None, learns: bool = True
) -> Callable[..., Tree]:
    programs: dict[Any, _Program | None] = {}

    def compiled(*args: Tree) -> Tree:
        leaves, structure = tree.flatten_with_spec(args)
        if any(is_traced(leaf) for leaf in leaves):
            return function(*args)  # a part of something larger
        at = [i for i, leaf in enumerate(leaves) if _is_dynamic(leaf)]
        tensors = [as_tensor(leaves[i]) for i in at]
        if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
            return function(*args)  # PyTorch takes a gradient of all this, from outside
        fixed = tuple((i, leaf) for i, leaf in enumerate(leaves) if not _is_dynamic(leaf))
        # A program holds for one order of the elements in memory too.
        key = structure, fixed, tuple((x.shape, x.stride(), x.dtype, x.device) for x in tensors)
        if key not in programs:
            try:
                programs[key] = _Program(function, leaves, structure, at, tensors)
            except ASKING_FOR_VALUES as error:
                programs[key] = None
                errors.warn_once(
                    f"{getattr(function, '__qualname__', 'a function')} looks at values that a compiled program does "
                    f"not have yet, so it runs uncompiled ({type(error).__name__}: {str(error).splitlines()[0]:.120})"
                )
        program = programs[key]
        return function(*args) if program is None else program(tensors)

    return compiled


def record(function: Callable[..., Tree], *args: Tree) -> Callable[..., Tree] | None:
    leaves, structure = tree.flatten_with_spec(args)
    at = [i for i, leaf in enumerate(leaves) if _is_dynamic(leaf)]
    tensors = [as_tensor(leaves[i]) for i in at]
    try:
        program = _Program(function, leaves, structure, at, tensors, replayed)
    except ASKING_FOR_VALUES:
        return None
    strides = [x.stride() for x in tensors]

    def replay(*args: Tree) -> Tree:
        leaves = tree.flatten(args)
        given = [as_tensor(leaves[i]) for i in at]
        return program([x if x.stride() == stride else _laid_out(x, stride) for x, stride in zip(given, strides)])

    return replay


def _laid_out(x: torch.Tensor, stride: tuple[int, ...]) -> torch.Tensor:
    """Return `x` in the order of its elements in memory that a recording holds for."""
    return torch.empty_strided(x.shape, stride, dtype=x.dtype, device=x.device).copy_(x)


def _is_dynamic(leaf: Any) -> bool:
    return isinstance(leaf, (torch.Tensor, np.ndarray, np.generic, float, complex)) or type(leaf) is int


class _Program:
    """A function traced and compiled, or written down, for arguments of one kind."""

    def __init__(
        self, function: Callable[..., Tree], leaves: list[Any], structure: Any, at: list[int],
        tensors: list[torch.Tensor], lower: Callable[[torch.fx.GraphModule], Program] | None = None,
    ) -> None:  # fmt: skip
        self._leaves: list[Any] = []
        self._at: list[int] = []
        self._structure: Any = None

        def of_tensors(*tensors: torch.Tensor) -> list[torch.Tensor]:
            filled = list(leaves)
            for i, tensor in zip(at, tensors):
                filled[i] = tensor
            self._leaves, self._structure = tree.flatten_with_spec(function(*structure.unflatten(filled)))
            self._at = [i for i, leaf in enumerate(self._leaves) if _is_dynamic(leaf)]
            found = [as_tensor(self._leaves[i]) for i in self._at]
            for i in self._at:
                self._leaves[i] = None
            return found

        with torch.no_grad(), tracing_a_program(replayed=lower is not None):
            graph = make_fx(of_tensors, tracing_mode="fake", _allow_non_fake_inputs=True)(*_distinct(tensors))
        self._constants = _lift_constants(graph)
        self._run = (lower or lowered)(graph)

    def __call__(self, tensors: list[torch.Tensor]) -> Tree:
        with torch.no_grad():
            results = self._run(*_distinct([*self._constants, *tensors]))
        leaves = list(self._leaves)
        for i, result in zip(self._at, results):
            leaves[i] = result
        return self._structure.unflatten(leaves)


def _distinct(tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return `tensors` as different objects: one that comes twice would be traced as one input, for all later calls."""
    if len(set(map(id, tensors))) == len(tensors):
        return tensors
    first = {id(x): i for i, x in reversed(list(enumerate(tensors)))}
    return [x if first[id(x)] == i else x.detach() for i, x in enumerate(tensors)]


def _lift_constants(graph: torch.fx.GraphModule) -> list[torch.Tensor]:
    """Make the tensors that the trace met, and that are no arguments, the first inputs; return them."""
    found: dict[str, torch.Tensor] = {}
    nodes = [node for node in graph.graph.nodes if node.op == "get_attr"]
    first = next(iter(graph.graph.nodes))
    inputs: dict[str, Any] = {}
    for node in nodes:
        name = str(node.target)
        value = getattr(graph, name)
        if not isinstance(value, torch.Tensor):
            continue
        if name not in inputs:
            found[name] = value.detach()
            with graph.graph.inserting_before(first):
                inputs[name] = graph.graph.placeholder(f"constant_{len(found)}")
        node.replace_all_uses_with(inputs[name])
        graph.graph.erase_node(node)
    graph.recompile()
    return list(found.values())


def lowered(graph: torch.fx.GraphModule) -> Program:
    """Return `graph` by `torch.compile`, which works at the first call; the graph itself where it has no C++ compiler.

    Dynamo sees nothing but the flat graph. Of its guards those on globals are left out, where PyTorch can: they ask
    for each operator at every call whether it still is itself. `forward`, since each graph's has code of its own:
    Dynamo counts and limits what it compiles for one.
    """
    unguarded = getattr(torch.compiler, "skip_guard_on_globals_unsafe", None)
    options = {"guard_filter_fn": unguarded} if unguarded else None
    chosen: list[Program] = []

    def run(*inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        if chosen:
            return chosen[0](*inputs)
        try:
            program = torch.compile(graph.forward, fullgraph=True, dynamic=False, backend="inductor", options=options)
            results = program(*inputs)
        except Exception as error:
            if not (reason := _no_compiler(error)):
                raise
            errors.warn_once(
                "PyTorch's compiler needs a C++ compiler and found none that works, so programs run uncompiled "
                f"({reason}). On Debian and Ubuntu: apt install g++."
            )
            program, results = graph.forward, graph.forward(*inputs)
        chosen.append(program)
        return results

    return run


def _no_compiler(error: BaseException | None) -> str:
    """Return the name of the error under `error` that says that nothing can be compiled here; "" if it is another."""
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    while error is not None:  # Dynamo wraps what its backend raises
        if isinstance(error, (InvalidCxxCompiler, CppCompileError, FileNotFoundError)):
            return type(error).__name__
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
    return ""
