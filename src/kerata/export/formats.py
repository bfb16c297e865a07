"""The formats by name, and the way from a model to a file in one of them."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.export.program import of_model

__all__ = ["FORMATS", "export_model"]

FORMATS = {
    "tf_saved_model": "saved_model", "onnx": "onnx", "openvino": "openvino", "litert": "litert", "torch": "torch",
    "stablehlo": "stablehlo",
}  # fmt: skip
"""The name of each format, and the file here that writes it by `write(program, path, **options)`."""


def export_model(
    model: Any, filepath: Any, format: str, verbose: Any = None, input_signature: Any = None, **options: Any
) -> None:
    """Write what `model` computes outside of training to `filepath`; see `Model.export`."""
    if format not in FORMATS:
        raise errors.UnknownName("format", format, FORMATS, where="export")
    program = of_model(model, input_signature)
    path = Path(os.fspath(filepath)).expanduser()
    if not path.absolute().parent.is_dir():
        raise errors.InvalidArgument(
            "the folder does not exist.", where=str(path), hint=f"os.makedirs({str(path.parent)!r}, exist_ok=True)"
        )
    importlib.import_module(f"kerata.export.{FORMATS[format]}").write(program, path, **options)
    if verbose:
        print(f"Saved as {format!r} at {str(path)!r}.")
        for given in program.inputs:
            print(f"  input  {given.name}: {given.dtype} {given.shape}")
        for name in program.output_names():
            print(f"  output {name}")
