"""Stateless draws in PyTorch: a generator that starts anew from each key.

The key is read on the host, which waits for a GPU; numbers differ from device to device, as PyTorch's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kerata.engine.protocol import Array
from kerata.engine.torch.tensors import as_dtype, as_tensor, device, is_traced, to_numpy

__all__ = [
    "uniform", "normal", "truncated_normal", "randint", "keep_mask", "categorical", "gamma", "beta", "binomial",
    "permutation",
]  # fmt: skip

_WORD = 2**64 - 1


def _generator(key: Array) -> torch.Generator:
    generator = torch.Generator(device())
    if not is_traced(key):  # else only shapes are asked for
        seed, counter = to_numpy(as_tensor(key)).tolist()
        generator.manual_seed(_mixed(seed << 32 | counter))
    return generator


def _mixed(word: int) -> int:
    """Return 64 well mixed bits (SplitMix64, https://doi.org/10.1145/2714064.2660195).

    Some of PyTorch's generators read only half of the seed, and neighbouring seeds must not give likely numbers.
    """
    word = (word + 0x9E3779B97F4A7C15) & _WORD
    word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _WORD
    return word ^ word >> 31


def _unit(key: Array, shape: Sequence[int], dtype: torch.dtype) -> Array:
    return torch.rand(tuple(shape), generator=_generator(key), dtype=dtype, device=device())


def uniform(key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array:
    return (low + (high - low) * _unit(key, shape, as_dtype(dtype))).to(as_dtype(dtype))


def normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return torch.randn(tuple(shape), generator=_generator(key), dtype=as_dtype(dtype), device=device())


def truncated_normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    widest = 0.9544997361036416  # of the normal distribution, this much lies within two deviations: erf(sqrt(2))
    kind = torch.float64 if as_dtype(dtype) == torch.float64 else torch.float32
    draws = torch.erfinv((2 * _unit(key, shape, kind) - 1) * widest) * 2**0.5
    return draws.clamp(-2, 2).to(as_dtype(dtype))


def randint(key: Array, shape: Sequence[int], low: Any, high: Any, dtype: str) -> Array:
    if isinstance(low, int) and isinstance(high, int):
        draws = torch.randint(low, high, tuple(shape), generator=_generator(key), device=device())
    else:
        draws = torch.floor(low + (high - low) * _unit(key, shape, torch.float64))
    return draws.to(as_dtype(dtype))


def keep_mask(key: Array, rate: Any, shape: Sequence[int]) -> Array:
    return _unit(key, shape, torch.float32) >= rate


def categorical(key: Array, logits: Array, num_samples: int, dtype: str) -> Array:
    weights = torch.softmax(logits, -1)
    return torch.multinomial(weights, num_samples, True, generator=_generator(key)).to(as_dtype(dtype))


def gamma(key: Array, shape: Sequence[int], dtype: str, alpha: Any) -> Array:
    return _gamma(_generator(key), shape, dtype, alpha)


def _gamma(generator: torch.Generator, shape: Sequence[int], dtype: str, alpha: Any) -> Array:
    alpha = as_tensor(alpha, torch.float32).to(generator.device)
    return torch._standard_gamma(alpha.expand(tuple(shape)), generator).to(as_dtype(dtype))


def beta(key: Array, shape: Sequence[int], dtype: str, alpha: Any, beta: Any) -> Array:
    generator = _generator(key)
    one, other = (_gamma(generator, shape, "float32", parameter) for parameter in (alpha, beta))
    return (one / (one + other)).to(as_dtype(dtype))


def binomial(key: Array, shape: Sequence[int], dtype: str, counts: Any, probabilities: Any) -> Array:
    generator = _generator(key)
    whole = (as_tensor(v, torch.float32).to(generator.device).expand(tuple(shape)) for v in (counts, probabilities))
    return torch.binomial(*whole, generator=generator).to(as_dtype(dtype))


def permutation(key: Array, x: Array, axis: int) -> Array:
    generator = _generator(key)
    order = torch.randperm(x.shape[axis], generator=generator, device=generator.device)
    return torch.index_select(x, axis, order.to(x.device))
