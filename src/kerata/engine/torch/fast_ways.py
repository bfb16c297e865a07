"""Ops and update rules for which PyTorch has a kernel of its own: fewer passes over memory than the op's formula.

Each has the signature of what it stands for, and returns NotImplemented where its kernel would give something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch._C import _functorch  # type: ignore[attr-defined]
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from kerata import config
from kerata.engine.protocol import Array
from kerata.engine.torch.tensors import as_tensor, is_traced, nested_gradients, takes_kernels

__all__ = ["fast_ways"]

# Activations ------------------------------------------------------------------------------------------------------


def relu(x: Array) -> Array:
    return torch.relu(x) if x.is_floating_point() else NotImplemented


def sigmoid(x: Array) -> Array:
    return torch.sigmoid(x)


def log_sigmoid(x: Array) -> Array:
    return F.logsigmoid(x)


def silu(x: Array) -> Array:
    return F.silu(x)


def gelu(x: Array, approximate: bool = True) -> Array:
    return F.gelu(x, approximate="tanh" if approximate else "none")


def softmax(x: Array, axis: int | Sequence[int] | None = -1) -> Array:
    return torch.softmax(x, axis) if isinstance(axis, int) else NotImplemented


def log_softmax(x: Array, axis: int | Sequence[int] | None = -1) -> Array:
    return torch.log_softmax(x, axis) if isinstance(axis, int) else NotImplemented


def divide_no_nan(x1: Array, x2: Array) -> Array:
    if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad):
        return NotImplemented  # the slope of what is not chosen would be NaN
    return torch.where(x2 == 0, 0.0, x1 / x2)


# Normalizations and cross-entropies -------------------------------------------------------------------------------


def layer_normalization(
    x: Array, gamma: Array = None, beta: Array = None, axis: int | Sequence[int] = -1, epsilon: float | None = None,
    **kwargs: Any,
) -> Array:  # fmt: skip
    axes = sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    shape = tuple(x.shape[axes[0] :])
    vectors = [v for v in (gamma, beta) if v is not None]
    trailing = axes == list(range(x.ndim - len(axes), x.ndim))
    if not trailing or not x.is_floating_point() or any(v.dtype != x.dtype for v in vectors):
        return NotImplemented
    gamma, beta = (None if v is None else v.reshape(shape) for v in (gamma, beta))
    return F.layer_norm(x, shape, gamma, beta, config.epsilon() if epsilon is None else epsilon)


def normalize_batch(
    x: Array, scale: Array = None, offset: Array = None, axis: int = -1, epsilon: float = 1e-3
) -> tuple[Array, Array, Array]:
    vectors = [v for v in (scale, offset) if v is not None]
    count = x.numel() // max(x.shape[axis], 1)
    wrapped = any(_functorch.is_functorch_wrapped_tensor(v) for v in (x, *vectors))
    if x.dtype != torch.float32 or x.ndim < 2 or count < 2 or wrapped or any(v.dtype != x.dtype for v in vectors):
        return NotImplemented
    # The kernel moves averages towards what it finds: in a single step when they have no momentum.
    mean, variance = (torch.zeros(x.shape[axis], device=x.device) for _ in range(2))
    y = torch.native_batch_norm(x.movedim(axis, 1), scale, offset, mean, variance, True, 1.0, epsilon)[0]
    return y.movedim(1, axis), mean, variance * ((count - 1) / count)  # it divides by count - 1


def sparse_categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Array:
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    axis = axis % output.ndim
    if target.shape != output.shape[:axis] + output.shape[axis + 1 :]:
        return NotImplemented
    target = target.long().unsqueeze(axis)
    classes = output.shape[axis]
    # Only what the label picks goes on to the logarithm.
    place = target.clamp(0, classes - 1)
    known = place == target
    if from_logits:
        picked = torch.log_softmax(output, axis).gather(axis, place)
    else:
        picked = output.gather(axis, place) / output.sum(axis, keepdim=True)
        picked = torch.log(torch.clamp(picked, config.epsilon(), 1 - config.epsilon()))
    return -torch.where(known, picked, 0.0).squeeze(axis)


# Attention --------------------------------------------------------------------------------------------------------


def dot_product_attention(
    query: Array, key: Array, value: Array, bias: Array = None, mask: Array = None, scale: float | None = None,
    is_causal: bool = False, flash_attention: bool | None = None, attn_logits_soft_cap: float | None = None,
) -> Array:  # fmt: skip
    forward_mode = any(_functorch.is_functorch_wrapped_tensor(x) for x in (query, key, value))
    # The kernel's gradient has no gradient.
    if attn_logits_soft_cap is not None or forward_mode or nested_gradients() or not value.is_floating_point():
        return NotImplemented
    added = None if bias is None else bias.to(query.dtype)
    seen = None if mask is None else mask.bool()
    if is_causal and (seen is not None or added is not None):
        before = torch.ones(query.shape[1], key.shape[1], dtype=torch.bool, device=query.device).tril()
        seen, is_causal = before if seen is None else seen & before, False
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    if seen is not None:
        some = seen.any(-1, keepdim=True)
        # What sees nothing takes the mean of all, and has no slope.
        added = torch.where(seen, 0.0 if added is None else added, torch.where(some, -torch.inf, 0.0)).to(query.dtype)
        query = torch.where(some, query, 0.0)
    grouped = query.shape[1] != key.shape[1]
    y = F.scaled_dot_product_attention(query, key, value, added, 0.0, is_causal, scale=scale, enable_gqa=grouped)
    return y.transpose(1, 2)


# Recurrent cells --------------------------------------------------------------------------------------------------


def _has_a_kernel(x: Array, *others: Array, when_recorded: bool = False) -> bool:
    """`when_recorded`: whether it is one call in a recording too; else PyTorch would unroll its steps there."""
    usable = all(takes_kernels(y) if when_recorded else not is_traced(y) for y in (x, *others))
    alike = all(y.dtype == x.dtype for y in others)
    # The kernels' gradients have no gradients.
    return usable and alike and x.dtype in (torch.float32, torch.float64) and x.numel() > 0 and not nested_gradients()


def lstm(
    cell: Any, x: Array, states: list[Array], kernel: Array, recurrent_kernel: Array, bias: Array, mask: Array = None
) -> tuple[Array, list[Array]]:
    by_one_dnn = x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    if mask is not None or not _has_a_kernel(x, *states, kernel, when_recorded=by_one_dnn):
        return NotImplemented
    weights = [kernel.T, recurrent_kernel.T, *([] if bias is None else [bias, torch.zeros_like(bias)])]
    first = tuple(s.unsqueeze(0) for s in states)
    y, h, c = torch.lstm(x, first, weights, bias is not None, 1, 0.0, True, False, False)
    return y, [h[0], c[0]]


def gru(
    cell: Any, x: Array, states: list[Array], kernel: Array, recurrent_kernel: Array, bias: Array, mask: Array = None
) -> tuple[Array, list[Array]]:
    if mask is not None or not _has_a_kernel(x, *states, kernel) or not cell.reset_after:
        return NotImplemented

    def in_their_order(w: Array) -> Array:
        z, r, g = w.chunk(3, -1)
        return torch.cat([r, z, g], -1)

    weights = [in_their_order(kernel).T, in_their_order(recurrent_kernel).T]
    weights += [] if bias is None else list(in_their_order(bias))
    y, h = torch.gru(x, states[0].unsqueeze(0), weights, bias is not None, 1, 0.0, True, False, False)
    return y, [h[0]]


# Update rules -----------------------------------------------------------------------------------------------------


Tensors = list[torch.Tensor]


def adam(
    rule: Any, w: Tensors, g: Tensors, lr: Array, t: Array, m: Tensors, v: Tensors, *largest: Tensors,
    may_overwrite: bool = False,  # the slots
) -> tuple[Tensors, ...]:  # fmt: skip
    tensors = [x for column in (w, g, m, v, *largest) for x in column]
    alike = all(x.dtype == torch.float32 and x.device == lr.device and takes_kernels(x) for x in tensors)
    if not alike or (torch.is_grad_enabled() and any(x.requires_grad for x in g)):
        return NotImplemented
    with torch.no_grad():
        # The kernel writes into what it is given; others may hold a weight.
        own = torch.Tensor.contiguous if may_overwrite else _cloned
        new = [[_cloned(x) for x in w], *([own(x) for x in column] for column in (m, v, *largest))]
        alpha = lr * torch.sqrt(1 - rule.beta_2**t) / (1 - rule.beta_1**t)
        # At an endless step the kernel corrects nothing; alpha has done that, and epsilon is added after it.
        endless = torch.full((), torch.inf, dtype=torch.float32, device=lr.device)
        torch._fused_adam_(
            new[0], [x.contiguous() for x in g], new[1], new[2], [x for column in new[3:] for x in column],
            [endless] * len(w), lr=alpha, beta1=rule.beta_1, beta2=rule.beta_2, weight_decay=0.0, eps=rule.epsilon,
            amsgrad=rule.amsgrad, maximize=False,
        )  # fmt: skip
    return tuple(new)


def _cloned(x: Array) -> Array:
    return x.clone(memory_format=torch.contiguous_format)


_SMALL = 1 << 16  # elements; of more, an operation takes far longer than its call, and copies would cost memory


def jointly(function: Callable[..., tuple[Any, ...]], rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    rows = [tuple(map(as_tensor, row)) for row in rows]
    groups: dict[Any, list[int]] = {}
    for i, row in enumerate(rows):
        first = row[0]
        alone = first.numel() > _SMALL or any(x.shape != first.shape or not takes_kernels(x) for x in row)
        groups.setdefault(i if alone else tuple((x.dtype, x.device) for x in row), []).append(i)
    results: list[tuple[Any, ...]] = [()] * len(rows)
    for places in groups.values():
        if len(places) == 1:
            results[places[0]] = function(*rows[places[0]])
            continue
        columns = list(zip(*(rows[i] for i in places)))
        new = function(*(_flatten_dense_tensors(column) for column in columns))
        for i, *parts in zip(places, *(_unflatten_dense_tensors(x, columns[0]) for x in new)):
            results[i] = tuple(parts)
    return results


fast_ways: dict[str, Callable[..., Any]] = {
    way.__name__: way
    for way in (
        divide_no_nan, relu, sigmoid, log_sigmoid, silu, gelu, softmax, log_softmax, layer_normalization,
        normalize_batch,        sparse_categorical_crossentropy, dot_product_attention,
    )
} | {
    "kerata.layers.recurrent_cells.LSTMCell": lstm, "kerata.layers.recurrent_cells.GRUCell": gru,
    "kerata.optimizers.adam.Adam.rule": adam, "kerata.optimizers.joining.jointly": jointly,
}  # fmt: skip
