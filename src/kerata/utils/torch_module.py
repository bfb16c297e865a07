"""A kerata layer or model as a module of PyTorch."""

from __future__ import annotations

import copy
import weakref
from typing import Any

from kerata import engine, errors
from kerata.layers.base import Layer
from kerata.layers.wrapped.torch import TorchModuleWrapper, torch_modules

__all__ = ["as_torch_module"]


def as_torch_module(layer: Layer) -> Any:
    """Return a `torch.nn.Module` that is `layer`, a layer or model, to PyTorch.

    Its parameters are those that the layer has from the start, `[v.value for v in layer.trainable_variables]`, and its
    buffers the other weights, not copies: a loop in PyTorch trains the layer, `fit` trains the module, at any time and
    in turn. The view adds what belongs to a module: names, by the attributes or layers that hold the weights
    ("dense.kernel"), and the methods. Freezing on either side freezes both.
    `train()` and `eval()` set the `training` flag of the call, `to(device)` moves the weights, `state_dict()` and
    `copy.deepcopy` work as ever, and `module.losses` has what regularizers and `add_loss` add to a loss.

    A layer itself is no module and has no `parameters()`, because an engine can be changed at any time and only one of
    them is PyTorch; this view exists on demand, the same one for the same layer. Asked for on the torch engine, it goes
    on computing with PyTorch whatever engine is in use later.

    Args:
        layer: a built layer or model. The modules inside the view show its tree; call the outermost.

    Raises:
        Unsupported: on another engine.
        NotBuilt: for a layer that has no weights yet.

    Example:
        >>> import torch
        >>> with kerata.config.using_engine("torch"):
        ...     model = kerata.Sequential([kerata.Input((4,)), kerata.layers.Dense(3, name="dense")])
        ...     module = kerata.utils.as_torch_module(model)
        >>> optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        >>> loss = module(torch.ones(2, 4)).square().mean()
        >>> loss.backward()
        >>> optimizer.step()  # model has learnt
        >>> [name for name, _ in module.named_parameters()]
        ['dense.kernel', 'dense.bias']
    """
    if not isinstance(layer, Layer):
        raise errors.InvalidType(
            "this is no layer.", where="as_torch_module", expected="a kerata layer or model", got=type(layer).__name__
        )
    torch_modules("as_torch_module")
    if not layer.built:
        raise errors.NotBuilt(
            "a module's parameters are there from the start, and the layer has no weights yet.",
            where=f"as_torch_module: {layer.name!r}", hint="build it, or call it on data, first",
        )  # fmt: skip
    return _view(layer)


# A view is kept alive by the Variables that live in it, and by the view around it.
_views: weakref.WeakKeyDictionary[Layer, Any] = weakref.WeakKeyDictionary()


def _view(layer: Layer) -> Any:
    """Return the view of `layer`, with what the layer holds by now."""
    modules = torch_modules("as_torch_module")
    view = found() if (found := _views.get(layer)) is not None else None
    if view is None:
        view = modules.View(_Host(layer))
        _views[layer] = weakref.ref(view)
    if isinstance(layer, TorchModuleWrapper):
        view.show("module", layer.module)
        return view
    for variable in layer._own_weights():
        place: Any = variable.visible_place()
        if place is None:
            variable.keep_in(view.share(variable.name, variable.raw_value().clone()))
        elif not any(place.tensor is tensor for tensor in view.state_dict(keep_vars=True).values()):
            slot = view.share(variable.name, place.tensor)
            if not isinstance(place, modules.Slot):  # otherwise it belongs to another layer as well
                variable.keep_in(slot)
    names = {id(value): name for name, value in vars(layer).items() if not name.startswith("_")}
    for child in layer._sublayers():
        view.show(names.get(id(child), child.name), _view(child))
    return view


class _Host:
    """What the view of a layer asks of it."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    @property
    def title(self) -> str:
        return f"{type(self.layer).__name__} {self.layer.name!r}"

    def run(self, training: bool, args: tuple, kwargs: dict[str, Any]) -> Any:
        with engine.using("torch"):
            return self.layer(*args, **{"training": training, **kwargs})

    def losses(self) -> list[Any]:
        with engine.using("torch"):
            return self.layer.losses

    def copied(self, memo: dict[int, Any]) -> Any:
        with engine.using("torch"):
            return _view(copy.deepcopy(self.layer, memo))
