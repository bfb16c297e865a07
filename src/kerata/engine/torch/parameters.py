"""Where Variables keep what PyTorch can train: in parameters, which stay the same ones for good."""

from __future__ import annotations

from typing import Any

import torch
from torch._C import _len_torch_dispatch_stack

from kerata.engine.torch.tensors import concrete, taking_own_gradient

__all__ = ["Home", "place"]


class Home:
    """The place of a tensor that belongs to one Variable."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    @property
    def tensor(self) -> torch.Tensor:
        """The parameter or buffer itself; gradients flow to a parameter."""
        return self._tensor

    @property
    def trainable(self) -> bool | None:
        """Whether the parameter asks for gradients; None for a buffer."""
        return self.tensor.requires_grad if isinstance(self.tensor, torch.nn.Parameter) else None

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.tensor.requires_grad_(value)

    def get(self) -> torch.Tensor:
        """Return the value; it shares the tensor's memory."""
        if not _len_torch_dispatch_stack():  # nothing is traced: the usual case, and asked for often
            return self.tensor.detach()
        with concrete():
            return self.tensor.detach()

    def reach(self) -> torch.Tensor:
        """Return the parameter itself, by which PyTorch takes gradients, unless kerata is taking its own."""
        if _len_torch_dispatch_stack():
            return self.get()
        tensor = self.tensor
        if isinstance(tensor, torch.nn.Parameter):
            return tensor.detach() if taking_own_gradient() else tensor
        return tensor.view_as(tensor)  # what a graph holds of it stays as it is when another value is set

    def set(self, array: torch.Tensor) -> None:
        """Make `array` the value of the very same parameter."""
        tensor = self.tensor
        if not _len_torch_dispatch_stack():
            tensor.data = array.detach()
        else:
            with concrete():
                tensor.data = array.detach()
        if isinstance(tensor, torch.nn.Parameter):
            torch.autograd.graph.increment_version(tensor)  # a graph that needs the old value says so in `backward`

    def __deepcopy__(self, memo: dict[int, Any]) -> Home | None:
        return None  # a copied Variable gets a parameter of its own


def place(x: torch.Tensor, trainable: bool) -> Home | None:
    if not (x.is_floating_point() or x.is_complex()):
        return None
    with concrete():
        return Home(torch.nn.Parameter(x.detach().clone(), requires_grad=trainable))
