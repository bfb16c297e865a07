"""A program as OpenVINO reads it, by way of ONNX."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.core.packages import package
from kerata.export import onnx
from kerata.export.program import Program

__all__ = ["write"]


def write(program: Program, path: Path, **options: Any) -> None:
    """Write an `.xml` file, and the weights beside it in a `.bin` file, as they are and not in 16 bits.

    Args:
        options: for the way through ONNX.
    """
    where = "export(format='openvino')"
    openvino = package("openvino", where, otherwise="format='onnx', which OpenVINO reads")
    if path.suffix != ".xml":
        raise errors.InvalidArgument(
            "OpenVINO's files end with .xml.", where=where, got=str(path), hint=f"{str(path.with_suffix('.xml'))!r}"
        )
    if path.is_dir():
        raise errors.InvalidArgument("there is a folder of this name.", where=str(path))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        between = Path(folder, "model.onnx")
        onnx.write(program, between, **options)
        with program.explained("openvino", "format='onnx'"):
            openvino.save_model(openvino.convert_model(between), Path(folder, path.name), compress_to_fp16=False)
        for name in (path.with_suffix(".bin").name, path.name):
            Path(folder, name).replace(path.with_name(name))
