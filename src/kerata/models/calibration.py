"""Quantizing a model with samples that run through it: block after block, each with the inputs that it will get."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import errors, ops
from kerata.layers.quantization import Quantizable

__all__ = ["calibrate"]


def calibrate(config: Any, structure: Any, chosen: Callable[[Any], bool]) -> None:
    """Quantize the layers in the blocks of `structure` as `config`, of GPTQ or AWQ, says.

    Args:
        config: a `kerata.quantizers.GPTQConfig` or `AWQConfig`.
        structure: "pre_block_layers", which lead from tokens to the first block, and "sequential_blocks".
        chosen: says of a layer whether it is to be quantized.
    """
    if not structure or not structure.get("sequential_blocks"):
        raise errors.InvalidArgument(
            "the order of the model's blocks is not known.", where="quantize",
            expected='{"pre_block_layers": [layer, …], "sequential_blocks": [layer, …]}', got=structure,
            hint="give it as the config's `quantization_layer_structure`, or write "
            "`get_quantization_layer_structure` in the model's class",
        )  # fmt: skip
    states = [np.asarray(sample)[None] for sample in samples(config)]
    for layer in structure.get("pre_block_layers", ()):
        states = [layer(x) for x in states]
    for block in structure["sequential_blocks"]:
        layers = [layer for layer in block._flatten_layers() if _can(layer, config.mode) and chosen(layer)]
        statistics = [Statistics(layer) for layer in layers]
        for layer, seen in zip(layers, statistics):
            layer._observer = seen.note
        try:
            for x in states:
                block(x)
        finally:
            for layer in layers:
                layer._observer = None
        for layer, seen in zip(layers, statistics):
            layer.quantize(config.mode, config=config, type_check=False)
            layer._calibrate(seen, config)
        states = [block(x) for x in states]  # with the errors made so far


def _can(layer: Any, mode: str) -> bool:
    if not isinstance(layer, Quantizable) or mode not in layer._modes:
        return False
    try:
        layer._check_mode(mode)
    except errors.Unsupported as error:
        warnings.warn(str(error), stacklevel=4)
        return False
    return True


class Statistics:
    """What a layer's inputs x were like: the mean of x xᵀ, and the largest absolute value of each."""

    def __init__(self, layer: Quantizable) -> None:
        self.size = layer._rows_and_columns()[0]
        self.hessian, self.count = np.zeros((self.size, self.size)), 0
        self.largest = np.zeros(self.size)

    def note(self, inputs: Any) -> None:
        """Take inputs into account; the axes that a product sums over stand last."""
        x = np.asarray(ops.convert_to_numpy(inputs), "float64").reshape(-1, self.size)
        self.hessian = self.hessian * (self.count / (self.count + len(x))) + x.T @ x / (self.count + len(x))
        self.largest = np.maximum(self.largest, np.abs(x).max(axis=0))
        self.count += len(x)


def samples(config: Any) -> np.ndarray:
    """Return the data set's tokens as samples (num_samples, sequence_length), spread evenly over it."""
    pieces = []
    for item in [] if config.dataset is None else config.dataset:
        if isinstance(item, str) and config.tokenizer is None:
            raise errors.InvalidArgument("texts need a tokenizer.", where=type(config).__name__)
        tokens = config.tokenizer.tokenize(item) if isinstance(item, str) else item
        pieces.append(np.asarray(ops.convert_to_numpy(tokens)).reshape(-1))
    if not pieces:
        raise errors.InvalidArgument("there are no samples.", where=type(config).__name__, got="dataset")
    tokens = np.concatenate(pieces).astype("int32")
    length, count = config.sequence_length, config.num_samples
    tokens = np.tile(tokens, -(-length * count // len(tokens))) if len(tokens) < length * count else tokens
    starts = np.linspace(0, len(tokens) - length, count).astype(int)
    return np.stack([tokens[start : start + length] for start in starts])
