"""A program of PyTorch with its weights, as `torch.export` writes them: a `.pt2` file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerata.core.packages import package
from kerata.export.program import Program
from kerata.saving import files

__all__ = ["traced", "write"]


def write(program: Program, path: Path, **options: Any) -> None:
    """Write what `torch.export.load(path).module()(*inputs)` computes; the inputs are flat, in the model's order.

    Args:
        options: for `torch.export.export`: `strict`, `dynamic_shapes`, …
    """
    torch = package("torch", "export(format='torch')")
    exported = traced(program, "torch", **options)
    with files.atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.export.save(exported, file)


def traced(program: Program, file_format: str, **options: Any) -> Any:
    """Return the ExportedProgram of PyTorch."""
    package("torch", f"export(format={file_format!r})", otherwise="format='stablehlo' needs JAX alone")
    from kerata.engine.torch import exporting

    weights = {
        name: (value, variable.trainable)
        for name, value, variable in zip(program.weight_names(), program.values(), program.variables)
    }
    with program.explained(file_format, "format='stablehlo' takes every model that JAX computes"):
        return exporting.exported(program, weights, program.specs(), **options)
