"""Programs for other processes: `torch.export`, with sizes that stay open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from kerata import engine
from kerata.engine.torch.tensors import as_dtype, as_tensor, on_device, tracing_a_program

__all__ = ["exported"]

Shape = tuple[int | str, ...]
_BATCH, _SIZE = 3, 24  # of the example that is traced: neither 0 nor 1, which PyTorch would take for fixed


class _Module(torch.nn.Module):
    """The function as a module: its weights are parameters and buffers, by their names."""

    def __init__(self, function: Callable[..., list[Any]], weights: Mapping[str, tuple[np.ndarray, bool]]) -> None:
        super().__init__()
        self._function = function
        self._places = [self._placed(name, *value) for name, value in weights.items()]

    def _placed(self, name: str, value: np.ndarray, trainable: bool) -> tuple[torch.nn.Module, str]:
        *path, last = name.split(".")
        place: torch.nn.Module = self
        for part in path:
            if part not in place._modules:
                place.add_module(part, torch.nn.Module())
            place = place.get_submodule(part)
        tensor = as_tensor(value)
        if trainable and tensor.is_floating_point():
            place.register_parameter(last, torch.nn.Parameter(tensor))
        else:
            place.register_buffer(last, tensor)
        return place, last

    def forward(self, *inputs: torch.Tensor) -> Any:
        weights = [getattr(place, name) for place, name in self._places]
        with engine.using("torch"), on_device(torch.device("cpu")), tracing_a_program():
            outputs = tuple(as_tensor(x) for x in self._function(weights, inputs))
        return outputs[0] if len(outputs) == 1 else outputs


def exported(
    function: Callable[[Sequence[Any], Sequence[Any]], list[Any]], weights: Mapping[str, tuple[np.ndarray, bool]],
    inputs: Sequence[tuple[Shape, str]], **options: Any,
) -> torch.export.ExportedProgram:  # fmt: skip
    """Return `function(weights, inputs)`, on a CPU; a word in an input's shape is a size that is known when it is
    called.

    Args:
        weights: by name, each with whether it is a parameter.
        options: for `torch.export.export`.
    """
    batch = torch.export.Dim("batch")
    sizes = [[size if isinstance(size, int) else _BATCH if size == "batch" else _SIZE for size in s] for s, _ in inputs]
    open_sizes = tuple(
        {i: batch if size == "batch" else torch.export.Dim.DYNAMIC for i, size in enumerate(s) if isinstance(size, str)}
        for s, _ in inputs
    )
    with on_device(torch.device("cpu")):
        module = _Module(function, weights).eval()
    examples = tuple(torch.zeros(size, dtype=as_dtype(dtype)) for size, (_, dtype) in zip(sizes, inputs))
    options = {"strict": False, "dynamic_shapes": (open_sizes,), **options}
    with torch.no_grad():
        return torch.export.export(module, examples, **options)
