"""Programs for other processes and devices: `jax.export`, with sizes that stay open."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import export
from jax.extend.mlir.dialects import stablehlo

from kerata import engine
from kerata.engine.jax import arrays, devices, nn

__all__ = ["compiled", "exported", "for_older_readers", "restored"]

Shape = tuple[int | str, ...]


def exported(
    function: Callable[[Sequence[Any], Sequence[Any]], list[Any]], weights: Sequence[np.ndarray],
    inputs: Sequence[tuple[Shape, str]], platforms: Sequence[str],
) -> export.Exported:  # fmt: skip
    """Return `function(weights, inputs)` as StableHLO; a word in an input's shape is a size of at least 1 that is
    known when it is called.

    The program holds for each platform, so nothing in it is this device's own: no kernel of cuDNN, no form that suits
    a CPU.
    """
    words = {size: None for shape, _ in inputs for size in shape if isinstance(size, str)}
    scope = export.SymbolicScope([f"{word} >= 1" for word in words])
    specs = [
        jax.ShapeDtypeStruct(export.symbolic_shape(", ".join(map(str, shape)), scope=scope), arrays._dtype(dtype))
        for shape, dtype in inputs
    ]
    values = [jax.ShapeDtypeStruct(x.shape, arrays._dtype(x.dtype.name)) for x in weights]

    def program(weights: list[Any], inputs: list[Any]) -> list[Any]:  # JAX names the module after it
        return [arrays.as_array(x) for x in function(weights, inputs)]

    with engine.using("jax"), nn.textbook(), devices.scope("cpu:0"):
        return export.export(jax.jit(program), platforms=tuple(platforms))(values, specs)


def restored(content: bytes) -> export.Exported:
    """Return what `exported` gave, from its bytes."""
    return export.deserialize(bytearray(content))


def compiled(program: export.Exported, weights: Sequence[np.ndarray]) -> Callable[[list[Any]], list[Any]]:
    """Return the program as a function of its inputs; the weights are put on the device once."""
    held = [arrays.as_array(x) for x in weights]
    run = jax.jit(program.call)
    return lambda inputs: run(held, inputs)


def for_older_readers(program: export.Exported) -> bytes:
    """Return the program's StableHLO for TensorFlow, which is months behind: in the oldest version that has all that
    is used, and with plain calls of what newer versions name as a whole, such as erf."""
    text = _COMPOSITE.sub(r"func.call \2(\1) :", program.mlir_module())
    try:
        return stablehlo.serialize_portable_artifact_str(text, _FIRST_STABLE)
    except (AttributeError, ValueError):
        return program.mlir_module_serialized


_COMPOSITE = re.compile(r'stablehlo\.composite "[^"]*" ([^{]*?) \{.*?decomposition = (@"?[\w.]+"?).*?\} :')
_FIRST_STABLE = "1.0.0"  # of StableHLO, since when each version reads what the earlier ones wrote
