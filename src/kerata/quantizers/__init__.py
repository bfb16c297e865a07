"""Quantizers: floats as numbers of few bits, and the configs that say how a model is to be quantized."""

from __future__ import annotations

from typing import Any

from kerata.core.registry import Vocabulary
from kerata.quantizers.absmax import (
    AbsMaxQuantizer,
    Quantizer,
    abs_max_quantize,
    abs_max_quantize_grouped_with_zero_point,
)
from kerata.quantizers.configs import (
    AWQConfig,
    Float8QuantizationConfig,
    GPTQConfig,
    Int4QuantizationConfig,
    Int8QuantizationConfig,
    QuantizationConfig,
)
from kerata.quantizers.int4 import pack_int4, unpack_int4
from kerata.quantizers.simulated import (
    compute_float8_amax_history,
    compute_float8_scale,
    fake_quant_with_min_max_vars,
    quantize_and_dequantize,
)

__all__ = [
    "AWQConfig", "AbsMaxQuantizer", "Float8QuantizationConfig", "GPTQConfig", "Int4QuantizationConfig",
    "Int8QuantizationConfig", "QuantizationConfig", "Quantizer", "abs_max_quantize",
    "abs_max_quantize_grouped_with_zero_point", "compute_float8_amax_history", "compute_float8_scale", "deserialize",
    "fake_quant_with_min_max_vars", "get", "pack_int4", "quantize_and_dequantize", "serialize", "unpack_int4",
]  # fmt: skip

_vocabulary = Vocabulary("quantizer", __name__, Quantizer)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Return the quantizer for a name, a config, a class or a function; None for None.

    Example:
        >>> kerata.quantizers.get("AbsMaxQuantizer", axis=0).axis
        (0,)
    """
    found = _vocabulary.names.get(identifier) if isinstance(identifier, str) else identifier
    return found(**kwargs) if isinstance(found, type) and kwargs else _vocabulary.get(identifier)


def serialize(initializer: Any) -> Any:
    """Return a quantizer as data; the parameter has this name in Keras."""
    return _vocabulary.serialize(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the quantizer that `serialize` described."""
    return _vocabulary.deserialize(config, custom_objects)
