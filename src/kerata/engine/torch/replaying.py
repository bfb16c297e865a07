"""Recordings: a function is run once on tensors without values, and from then on its operations alone are run.

What Python does around the operations (layers, scopes, autograd's own graph) takes longer than a small operation
itself. A recording is a straight list of calls of PyTorch's kernels, those of the gradients among them, so it needs no
compiler and gives the numbers that the function gives.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch.fx import GraphModule, Node

__all__ = ["replayed"]

aten = torch.ops.aten

_ALIASES = {aten.detach.default, aten.alias.default}
_RESHAPES = {aten.view.default, aten._unsafe_view.default}
_VIEWS = {aten.permute.default, aten.transpose.int, aten.squeeze.dim, *_RESHAPES}
_IN_PLACE = {
    aten.relu.default: aten.relu_.default, aten.tanh.default: aten.tanh_.default,
    aten.sigmoid.default: aten.sigmoid_.default, aten.neg.default: aten.neg_.default,
    aten.add.Tensor: aten.add_.Tensor, aten.sub.Tensor: aten.sub_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor, aten.div.Tensor: aten.div_.Tensor,
    aten.index_add.default: aten.index_add_.default, aten.scatter_add.default: aten.scatter_add_.default,
}  # fmt: skip
# Whose results are memory of their own, which nothing else refers to; no gradient of theirs asks for them.
_FRESH = {
    aten.mm.default, aten.addmm.default, aten.bmm.default, aten.convolution.default, aten.native_batch_norm.default,
    aten.new_zeros.default, aten.sum.dim_IntList, aten.tanh_backward.default, aten.threshold_backward.default,
    *_IN_PLACE, *_IN_PLACE.values(),
}  # fmt: skip


def _lstm_with_workspace(*args: Any) -> Any:
    """oneDNN's LSTM; it keeps what its gradient asks for only where PyTorch would take one."""
    with torch.enable_grad():
        return aten.mkldnn_rnn_layer(*(x.detach() if isinstance(x, torch.Tensor) else x for x in args))


def _unless_all(chosen: torch.Tensor, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """What `where` gives, but `x` itself where it is all chosen: rows looked up are nearly always there."""
    return x.contiguous() if chosen.all() else torch.where(chosen, x, other)


_CALLED: dict[Any, Any] = {aten.mkldnn_rnn_layer.default: _lstm_with_workspace}


def replayed(graph: GraphModule) -> Callable[..., list[torch.Tensor]]:
    """Return a function that runs the operations of `graph`, in fewer passes over memory where that is the same."""
    for node in list(graph.graph.nodes):
        if node.target in _ALIASES:
            node.replace_all_uses_with(cast(Node, node.args[0]))
        elif node.target == aten.permute.default:
            _there_and_back(node)
        elif node.target == aten.add.Tensor and not node.kwargs:
            _with_bias(node)
        elif node.target == aten.where.self and _chooses_rows(*(x.meta.get("val") for x in (node, *node.args))):
            node.target = _unless_all
        elif node.target == aten._fused_adam_.tensor_lr:
            node.args = (*node.args[:2], *([*map(_without_copy, slots)] for slots in node.args[2:5]), *node.args[5:])
    graph.graph.eliminate_dead_code()
    for node in graph.graph.nodes:
        if node.target in _IN_PLACE and _may_overwrite(node):
            node.target = _IN_PLACE[node.target]
    return _written_out(graph.graph.nodes)


def _there_and_back(node: Any) -> None:
    """Leave out two permutations of axes of which the second undoes the first."""
    before, order = node.args
    if getattr(before, "target", None) == aten.permute.default:
        source, first = before.args
        if [first[axis] for axis in order] == [*range(len(order))]:
            node.replace_all_uses_with(source)


def _with_bias(node: Any) -> None:
    """Let a matrix product or a convolution add the vector that `node` adds to its last axis, or to its channels."""
    product, bias = node.args
    chain = []
    while getattr(product, "target", None) in _VIEWS and len(product.users) == 1:
        chain.append(product)
        product = product.args[0]
    if isinstance(bias, Node) and bias.target in _RESHAPES:
        bias = bias.args[0]  # (F) as (1, 1, F)
    if not all(isinstance(x, Node) for x in (product, bias)) or len(product.users) != 1 or not bias < product:
        return
    nodes: list[Any] = [node, node.args[0], product, bias]
    result, first, output, vector = (n.meta.get("val") for n in nodes)
    if not all(isinstance(x, torch.Tensor) for x in (result, first, output, vector)) or result.shape != first.shape:
        return
    features = result.shape[-1:]
    if vector.shape != features or node.args[1].meta["val"].shape[-1:] != features or vector.dtype != output.dtype:
        return
    is_matrix = output.shape[-1:] == features and all(n.target in _RESHAPES for n in chain)
    if product.target == aten.mm.default and is_matrix:
        product.target, product.args = aten.addmm.default, (bias, *product.args)
    elif product.target == aten.convolution.default and product.args[2] is None and _take_channels_to_the_end(chain):
        product.args = (*product.args[:2], bias, *product.args[3:])
    else:
        return
    node.replace_all_uses_with(chain[0] if chain else product)


def _take_channels_to_the_end(views: list[Any]) -> bool:
    return len(views) == 1 and views[0].target == aten.permute.default and views[0].args[1][-1] == 1


def _chooses_rows(result: Any, chosen: Any, x: Any, other: Any) -> bool:
    """Return whether there is far less to choose by than to choose, on a CPU, which need not be waited for."""
    if not all(isinstance(y, torch.Tensor) for y in (result, chosen, x, other)):
        return False
    alike = (result.shape, result.dtype) == (x.shape, x.dtype) and result.is_contiguous()
    return alike and result.device.type == "cpu" and other.ndim == 0 and 16 * chosen.numel() <= x.numel()


def _without_copy(slot: Node) -> Node:
    """Return the input that an optimizer's slot is a copy of, where that serves nothing else: its memory is ours."""
    if slot.target != aten.clone.default or (source := cast(Node, slot.args[0])).op != "placeholder":
        return slot
    given = source.meta.get("val")  # a constant that was made an input has none, and stays as it is
    if given is None or len(source.users) > 1 or given.stride() != slot.meta["val"].stride():
        return slot
    slot.replace_all_uses_with(source)
    return source


def _may_overwrite(node: Any) -> bool:
    """Return whether the first operand is of no use any more, and the result fits into its memory."""
    source: Any = node.args[0]
    if node.kwargs or not hasattr(source, "users"):
        return False
    result, operand = node.meta.get("val"), source.meta.get("val")
    if not isinstance(result, torch.Tensor) or not isinstance(operand, torch.Tensor):
        return False
    if (result.shape, result.stride(), result.dtype) != (operand.shape, operand.stride(), operand.dtype):
        return False
    while len(source.users) == 1 and source.target in _VIEWS:
        source = source.args[0]
    if len(source.users) == 1 and source.target is operator.getitem and source.args[1] == 0:
        return source.args[0].target in _FRESH
    return len(source.users) == 1 and source.target in _FRESH


def _written_out(nodes: Iterable[Node]) -> Callable[..., list[torch.Tensor]]:
    """Return the operations as a function in Python, which forgets each tensor after its last use."""
    nodes = list(nodes)
    last_use = {source: node for node in nodes for source in node.all_input_nodes}
    known: dict[str, Any] = {}
    inputs: list[str] = []
    lines: list[str] = []

    def written(x: Any) -> str:
        if isinstance(x, Node):
            return x.name
        if isinstance(x, (list, tuple)):
            return f"[{', '.join(map(written, x))}]"
        if x is None or isinstance(x, (bool, int)):
            return repr(x)
        known[name := f"constant_of_{len(known)}"] = x
        return name

    for node in nodes:
        if node.op == "placeholder":
            inputs.append(node.name)
        elif node.op == "output":
            lines.append(f"return {written(node.args[0])}")
        elif node.target is operator.getitem:
            lines.append(f"{node.name} = {node.args[0]}[{node.args[1]}]")
        else:
            known[name := f"call_{node.name}"] = _CALLED.get(node.target) or getattr(node.target, "_op", node.target)
            given = [written(x) for x in node.args] + [f"{key}={written(x)}" for key, x in node.kwargs.items()]
            lines.append(f"{node.name} = {name}({', '.join(given)})")
        done = [source.name for source in node.all_input_nodes if last_use[source] is node]
        if done and node.op != "output":
            lines.append(" = ".join(done) + " = None")
    body = "\n    ".join(lines)
    exec(f"def run({', '.join(inputs)}):\n    {body}", known)  # noqa: S102
    return known["run"]
