"""Stateless draws in PyTorch: a generator that starts anew from each key.

The key is read on the host, which waits for a GPU; numbers differ from device to device, as PyTorch's do. In a compiled
program a draw is one operation of its own, `kerata::draw`, which gives the numbers that it gives outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch._C import _functorch  # type: ignore[attr-defined]

from kerata.engine.protocol import Array
from kerata.engine.torch.tensors import as_dtype, as_tensor, device, is_traced, to_numpy, without_values

__all__ = [
    "uniform", "normal", "truncated_normal", "randint", "keep_mask", "categorical", "gamma", "beta", "binomial",
    "permutation",
]  # fmt: skip

_WORD = 2**64 - 1


def seed(seed: int) -> None:
    """Seed PyTorch's generators, from which kerata never draws, but modules written for PyTorch do."""
    torch.manual_seed(seed)


def _generator(key: Array) -> torch.Generator:
    generator = torch.Generator(device())
    seed, counter = to_numpy(key).tolist()
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


# The distributions that PyTorch draws from ------------------------------------------------------------------------


def _unit(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype) -> Array:
    return torch.rand(shape, generator=generator, dtype=dtype, device=generator.device)


def _normal(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype) -> Array:
    return torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)


def _bernoulli(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, chance: Array) -> Array:
    draws = torch.empty(tuple(shape), dtype=dtype, device=generator.device)
    # A number is drawn by faster code than a tensor is.
    return draws.bernoulli_(float(chance) if chance.device.type == "cpu" else chance, generator=generator)


def _integers(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, low: Array, high: Array) -> Array:
    return torch.randint(int(low), int(high), tuple(shape), generator=generator, device=generator.device).to(dtype)


def _multinomial(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, weights: Array) -> Array:
    return torch.multinomial(weights, shape[-1], True, generator=generator).to(dtype)


def _gamma(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, alpha: Array) -> Array:
    return torch._standard_gamma(alpha.expand(tuple(shape)), generator).to(dtype)


def _beta(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, alpha: Array, beta: Array) -> Array:
    one, other = (_gamma(generator, shape, torch.float32, parameter) for parameter in (alpha, beta))
    return (one / (one + other)).to(dtype)


def _binomial(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype, n: Array, p: Array) -> Array:
    return torch.binomial(n.expand(tuple(shape)), p.expand(tuple(shape)), generator=generator).to(dtype)


def _order(generator: torch.Generator, shape: Sequence[int], dtype: torch.dtype) -> Array:
    return torch.randperm(shape[0], generator=generator, dtype=dtype, device=generator.device)


_DRAWS = {
    "unit": _unit, "normal": _normal, "bernoulli": _bernoulli, "integers": _integers, "multinomial": _multinomial,
    "gamma": _gamma, "beta": _beta, "binomial": _binomial, "order": _order,
}  # fmt: skip


@torch.library.custom_op(
    "kerata::draw", mutates_args=(),
    schema="(str kind, Tensor key, int[] shape, ScalarType dtype, Tensor[] parameters) -> Tensor",
)  # fmt: skip
def _operation(kind, key, shape, dtype, parameters):  # type: ignore[no-untyped-def]
    return _DRAWS[kind](_generator(key), shape, dtype, *parameters)


@_operation.register_fake
def _(kind, key, shape, dtype, parameters):  # type: ignore[no-untyped-def]
    return torch.empty(shape, dtype=dtype, device=device())


@_operation.register_vmap
def _(info, in_dims, kind, key, shape, dtype, parameters):  # type: ignore[no-untyped-def]
    _, key_axis, _, _, axes = in_dims

    def element(i: int) -> Array:
        own = [p if axis is None else p.select(axis, i) for p, axis in zip(parameters, axes or [])]
        return _operation(kind, key if key_axis is None else key.select(key_axis, i), shape, dtype, own)

    return torch.stack([element(i) for i in range(info.batch_size)]), 0


def _draw(kind: str, key: Array, shape: Sequence[int], dtype: torch.dtype, *parameters: Any) -> Array:
    key, parameters = as_tensor(key), tuple(as_tensor(p) for p in parameters)
    if without_values() or is_traced(key) or any(_functorch.is_batchedtensor(p) for p in parameters):
        return _operation(kind, key, list(shape), dtype, list(parameters))
    return _DRAWS[kind](_generator(key), shape, dtype, *parameters)


# The engine's draws -----------------------------------------------------------------------------------------------


def uniform(key: Array, shape: Sequence[int], dtype: str, low: Any, high: Any) -> Array:
    return (low + (high - low) * _draw("unit", key, shape, as_dtype(dtype))).to(as_dtype(dtype))


def normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    return _draw("normal", key, shape, as_dtype(dtype))


def truncated_normal(key: Array, shape: Sequence[int], dtype: str) -> Array:
    widest = 0.9544997361036416  # of the normal distribution, this much lies within two deviations: erf(sqrt(2))
    kind = torch.float64 if as_dtype(dtype) == torch.float64 else torch.float32
    draws = torch.erfinv((2 * _draw("unit", key, shape, kind) - 1) * widest) * 2**0.5
    return draws.clamp(-2, 2).to(as_dtype(dtype))


def randint(key: Array, shape: Sequence[int], low: Any, high: Any, dtype: str) -> Array:
    if isinstance(low, int) and isinstance(high, int):
        return _draw("integers", key, shape, as_dtype(dtype), torch.tensor(low), torch.tensor(high))
    return torch.floor(low + (high - low) * _draw("unit", key, shape, torch.float64)).to(as_dtype(dtype))


def keep_mask(key: Array, rate: Any, shape: Sequence[int]) -> Array:
    if isinstance(rate, (int, float)):
        return _draw("bernoulli", key, shape, torch.bool, torch.tensor(1 - rate, dtype=torch.float64))
    return _draw("unit", key, shape, torch.float32) >= rate


def categorical(key: Array, logits: Array, num_samples: int, dtype: str) -> Array:
    shape = [*logits.shape[:-1], num_samples]
    return _draw("multinomial", key, shape, as_dtype(dtype), torch.softmax(logits, -1))


def gamma(key: Array, shape: Sequence[int], dtype: str, alpha: Any) -> Array:
    return _draw("gamma", key, shape, as_dtype(dtype), as_tensor(alpha, torch.float32).to(device()))


def beta(key: Array, shape: Sequence[int], dtype: str, alpha: Any, beta: Any) -> Array:
    parameters = (as_tensor(v, torch.float32).to(device()) for v in (alpha, beta))
    return _draw("beta", key, shape, as_dtype(dtype), *parameters)


def binomial(key: Array, shape: Sequence[int], dtype: str, counts: Any, probabilities: Any) -> Array:
    parameters = (as_tensor(v, torch.float32).to(device()) for v in (counts, probabilities))
    return _draw("binomial", key, shape, as_dtype(dtype), *parameters)


def permutation(key: Array, x: Array, axis: int) -> Array:
    order = _draw("order", key, [x.shape[axis]], torch.int64)
    return torch.index_select(x, axis, order.to(x.device))
