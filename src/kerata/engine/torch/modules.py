"""PyTorch's modules: the same tensors seen as parameters of a module and as values of Variables.

Nothing above this floor imports PyTorch; what a module does and holds is asked for here.
"""

from __future__ import annotations

import base64
import binascii
import copy
import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from kerata import errors
from kerata.engine.torch.parameters import Home
from kerata.engine.torch.tensors import as_tensor, device, to_numpy

__all__ = ["Host", "Slot", "View", "load", "run", "save", "set_state", "slots", "state"]

Module = torch.nn.Module


class Slot(Home):
    """The place of a parameter or buffer in a module; whoever keeps a value there looks it up each time.

    For PyTorch may put another tensor there at any time: `module.to(device)` does.
    """

    def __init__(self, module: Module, name: str) -> None:
        path, _, self._name = name.rpartition(".")
        self._owner = module.get_submodule(path)

    @property
    def tensor(self) -> torch.Tensor:
        """The parameter or buffer itself; gradients flow to a parameter."""
        return getattr(self._owner, self._name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Slot | None:
        if isinstance(self._owner, View):
            return None  # the copy of a layer has no view of its own yet
        found = Slot.__new__(Slot)
        found._name, found._owner = self._name, copy.deepcopy(self._owner, memo)
        return found


# Layers as modules ------------------------------------------------------------------------------------------------


class Host(Protocol):
    """What a view shows."""

    title: str

    def run(self, training: bool, args: tuple, kwargs: dict[str, Any]) -> Any: ...
    def losses(self) -> list[Any]: ...
    def copied(self, memo: dict[int, Any]) -> Module: ...


class View(Module):
    """A module that holds the weights of something else, and calls it."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; gradients flow to the parameters."""
        return self._host.run(self.training, args, kwargs)

    @property
    def losses(self) -> list[Any]:
        """The terms that layers and regularizers add to the loss, as of the last call."""
        return self._host.losses()

    def share(self, name: str, tensor: torch.Tensor) -> Slot:
        """Hold this very tensor, which others may hold too; a name that is taken gets a "_" behind it."""
        name = self._free(name)
        if isinstance(tensor, torch.nn.Parameter):
            self.register_parameter(name, tensor)
        else:
            self.register_buffer(name, tensor)
        return Slot(self, name)

    def show(self, name: str, module: Module) -> None:
        """Hold `module`, once."""
        if not any(module is child for child in self._modules.values()):
            self.add_module(self._free(name), module)

    def _free(self, name: str) -> str:
        name = name.replace(".", "_")
        while hasattr(self, name):
            name += "_"
        return name

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> View:
        for name, tensor in (*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)):
            if (dtype := fn(torch.empty(0, dtype=tensor.dtype)).dtype) != tensor.dtype:
                raise errors.Unsupported(
                    "a layer keeps the dtype of its weights.", where=f"{self._host.title}, weight {name!r}",
                    expected=tensor.dtype, got=dtype, hint="give the layer a `dtype`, such as 'mixed_bfloat16'",
                )  # fmt: skip
        return super()._apply(fn, recurse)  # type: ignore[return-value]

    def __deepcopy__(self, memo: dict[int, Any]) -> Module:
        return self._host.copied(memo)

    def extra_repr(self) -> str:
        """Return what stands between the brackets: the layer."""
        return self._host.title


# Modules as layers ------------------------------------------------------------------------------------------------


def slots(module: Any) -> dict[str, Slot]:
    """Return the place of each parameter and buffer by its name; the module moves to the device in use.

    Raises:
        InvalidType: for what is no module.
        NotBuilt: for a lazy module that has not been called.
    """
    where = "TorchModuleWrapper: module"
    if not isinstance(module, Module):
        raise errors.InvalidType("it wraps a module.", where=where, expected="a torch.nn.Module", got=repr(module)[:80])
    module.to(device())
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in tensors.items():
        if torch.nn.parameter.is_lazy(tensor):
            raise errors.NotBuilt(
                "a lazy module has no weights yet.", where=where, got=f"{name} without a shape",
                hint="call the module on data once before wrapping it",
            )  # fmt: skip
    return {name: Slot(module, name) for name in tensors}


def run(
    module: Module, values: Mapping[str, torch.Tensor], changing: Iterable[str], training: bool | None, args: tuple,
    kwargs: dict[str, Any],
) -> tuple[Any, dict[str, torch.Tensor]]:  # fmt: skip
    """Call `module` with these values in the place of its own tensors; return its outputs and those of `changing`.

    None for `training` leaves each module in the mode in which it is.
    """
    # What the module writes into its buffers goes into copies.
    given = {name: x.clone() if name in changing else x for name, x in values.items()}
    modes = {inner: inner.training for inner in module.modules()}
    try:
        if training is not None:
            module.train(training)
        outputs = torch.func.functional_call(module, given, args, kwargs)
    finally:
        for inner, mode in modes.items():
            inner.training = mode
    return outputs, {name: given[name] for name in changing}


def state(module: Module) -> dict[str, np.ndarray]:
    """Return the arrays of `state_dict`."""
    return {name: to_numpy(x) for name, x in module.state_dict().items() if isinstance(x, torch.Tensor)}


def set_state(module: Module, arrays: Mapping[str, Any]) -> None:
    """Set the tensors of `module` from what `state` returned."""
    found = {name: as_tensor(x) for name, x in arrays.items()}
    try:
        module.load_state_dict(found)
    except RuntimeError as error:
        where = type(module).__name__
        raise errors.ShapeMismatch("the file does not fit the module.", where=where, got=error) from None


# Modules in files -------------------------------------------------------------------------------------------------


def save(module: Module) -> str:
    """Return `module` pickled, as text."""
    file = io.BytesIO()
    try:
        torch.save(module, file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise errors.Unsupported(
            "the module cannot be pickled, so it cannot be saved.", where=type(module).__name__, got=error,
            hint="define its class at the top of a file; save_weights saves the weights alone",
        ) from error  # fmt: skip
    return base64.b64encode(file.getvalue()).decode("ascii")


def load(text: str, known: Iterable[Any], trusted: bool = False) -> Module:
    """Return the module that `save` wrote.

    Unless the file is `trusted`, nothing but PyTorch's own modules and the classes in `known` is made from it.
    """
    where = "TorchModuleWrapper: module"
    try:
        file = io.BytesIO(base64.b64decode(text.encode("ascii"), validate=True))
    except (AttributeError, ValueError, binascii.Error):
        raise errors.CorruptFile("the pickled module is damaged.", where=where, got=f"{text!r:.40}") from None
    allowed = [*_own_modules(), *(x for x in known if isinstance(x, type) and issubclass(x, Module))]
    try:
        with torch.serialization.safe_globals(allowed):
            module = torch.load(file, map_location=device(), weights_only=not trusted)
    except pickle.UnpicklingError as error:
        name = str(error).partition("GLOBAL ")[2].partition(" ")[0]
        last = name.rpartition(".")[2] or "Net"
        raise errors.Unsupported(
            "the file holds a pickled module, and no file can make kerata run code: only PyTorch's own modules and "
            "classes that you name are made from it.", where=where, got=name or str(error).splitlines()[0],
            hint=f"if the class is yours: load_model(path, custom_objects={{{last!r}: {last}}}); "
            "if you trust whoever wrote the file: TorchModuleWrapper.from_config(config, safe_mode=False)",
        ) from None  # fmt: skip
    except Exception as error:  # whatever bytes that are no module lead to
        raise errors.CorruptFile("the pickled module is damaged.", where=where, got=error) from None
    if not isinstance(module, Module):
        raise errors.CorruptFile("this is no module.", where=where, got=type(module).__name__)
    return module


def _own_modules() -> list[type]:
    found = [x for x in vars(torch.nn).values() if isinstance(x, type) and issubclass(x, Module)]
    return [*found, torch.nn.modules.linear.NonDynamicallyQuantizableLinear]  # what MultiheadAttention holds
