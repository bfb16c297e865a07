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
_TRACED = 3, 24  # the batch and other open sizes of what is traced: neither 0 nor 1, which PyTorch would take for fixed
_TRIED = 2, 21  # those of what is tried then: an odd one after an even one


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
    open_sizes = tuple(
        {i: batch if size == "batch" else torch.export.Dim.DYNAMIC for i, size in enumerate(s) if isinstance(size, str)}
        for s, _ in inputs
    )
    with on_device(torch.device("cpu")):
        module = _Module(function, weights).eval()
    with torch.no_grad():
        program = torch.export.export(
            module, _examples(inputs, *_TRACED), **{"strict": False, "dynamic_shapes": (open_sizes,), **options}
        )
        if "dynamic_shapes" not in options:
            _try(program, module, _examples(inputs, *_TRIED))
    return program


def _examples(inputs: Sequence[tuple[Shape, str]], batch: int, other: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)

    def one(shape: Shape, dtype: torch.dtype) -> torch.Tensor:
        size = [n if isinstance(n, int) else batch if n == "batch" else other for n in shape]
        if dtype.is_floating_point:
            return torch.randn(size, generator=generator).to(dtype)
        return torch.zeros(size, dtype=dtype)

    return tuple(one(shape, as_dtype(dtype)) for shape, dtype in inputs)


def _try(program: torch.export.ExportedProgram, module: _Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Compare the program with the function at other sizes: Python that asks for a size can make it hold for some only,
    and not every format that it goes into keeps what PyTorch noted of that."""
    torch.testing.assert_close(
        program.module()(*inputs), module(*inputs), rtol=1e-3, atol=1e-4, equal_nan=True,
        msg=lambda told: f"at sizes {[tuple(x.shape) for x in inputs]} the program computes something else. {told}",
    )  # fmt: skip
