"""What a `RematScope` does to the `call` of a layer that was made inside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerata import tree
from kerata.core.lifting import remat
from kerata.core.public_scopes import RematScope
from kerata.core.symbolic import infer

if TYPE_CHECKING:
    from kerata.layers.base import Layer

__all__ = ["rematerialized"]


def rematerialized(layer: Layer, scope: RematScope, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return `call` of `layer` as `scope` wants it computed for these arguments."""
    if scope.mode == "activations":
        return _with_activation(layer, call) if getattr(layer, "activation", None) is not None else call
    if scope.mode == "list_of_layers" and layer.name not in scope.layer_names:
        return call
    if scope.mode == "larger_than" and _size(layer, call, args, kwargs) <= scope.output_size_threshold:
        return call
    return call if scope.mode is None else _again(layer, call)


def _again(layer: Layer, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return `call` computed again for gradients; losses added inside come out as results, as they must."""
    again = remat(_with_losses(layer, call))

    def called(*args: Any, **kwargs: Any) -> Any:
        outputs, losses = again(*args, **kwargs)
        for part, added in zip(layer._flatten_layers(), losses):
            part._call_losses.extend(added)
        return outputs

    return called


def _with_losses(layer: Layer, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> tuple[Any, list[list[Any]]]:
        parts = layer._flatten_layers()
        before = [len(part._call_losses) for part in parts]
        outputs = call(*args, **kwargs)
        losses = [part._call_losses[n:] for part, n in zip(parts, before)]
        for part, n in zip(parts, before):
            del part._call_losses[n:]
        return outputs, losses

    return called


def _with_activation(layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        kept = layer.activation
        layer.activation = remat(kept)
        try:
            return call(*args, **kwargs)
        finally:
            layer.activation = kept

    return called


def _size(layer: Layer, call: Callable[..., Any], args: Any, kwargs: Any) -> int:
    """Return the number of elements of all outputs."""
    outputs, _ = infer(_with_losses(layer, call), *args, **kwargs)
    return sum(math.prod(d or 1 for d in x.shape) for x in tree.flatten(outputs) if hasattr(x, "shape"))
