"""A program as ONNX, by way of PyTorch."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerata import errors
from kerata.core.packages import package
from kerata.export import torch as of_torch
from kerata.export.program import Given, Program
from kerata.saving import files

__all__ = ["write"]

LARGEST = (1 << 31) - (1 << 20)  # what one file of Protocol Buffers can hold, less what is no weight


def write(program: Program, path: Path, opset_version: int | None = None, **options: Any) -> None:
    """Write one file, which ONNX's own checker has found right.

    Args:
        opset_version: of ONNX's operators; by default what PyTorch thinks best.
        options: for `torch.onnx.export`.
    """
    where = "export(format='onnx')"
    onnx = package("onnx", where, otherwise="format='stablehlo' needs JAX alone")
    package("onnxscript", where)
    torch: Any = package("torch", where)
    size = sum(value.nbytes for value in program.values())
    if size > LARGEST:
        raise errors.Unsupported(
            "one ONNX file holds 2 GiB at most.", where=where, got=f"{size} bytes of weights",
            hint="format='torch' or 'stablehlo' holds more",
        )  # fmt: skip
    exported = of_torch.traced(program, "onnx")
    with program.explained("onnx", "format='torch' or 'stablehlo'"), _quiet():
        options = {"opset_version": opset_version, "verbose": False, **options}
        written = torch.onnx.export(
            exported, dynamo=True, input_names=[given.name for given in program.inputs],
            output_names=program.output_names(), **options,
        )  # fmt: skip
        model = written.model_proto
        _name_sizes(model.graph, program.inputs)
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString()
    with files.atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _name_sizes(graph: Any, inputs: list[Given]) -> None:
    """Give the sizes that stay open our words, such as "batch", instead of PyTorch's."""
    words: dict[str, str] = {}
    for value, given in zip(graph.input, inputs):
        for dimension, size in zip(value.type.tensor_type.shape.dim, given.sizes):
            if dimension.dim_param:
                words.setdefault(dimension.dim_param, str(size))
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param:
                dimension.dim_param = re.sub(r"\w+", lambda m: words.get(m[0], m[0]), dimension.dim_param)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what PyTorch says of its own progress."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
