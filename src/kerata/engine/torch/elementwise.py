"""NumPy's functions of one element, or of pairs of them, over tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from kerata.engine.torch.tensors import as_tensor

__all__ = ["alike", "cbrt", "clip", "conjugate", "copy", "functions", "heaviside", "imag", "isclose", "isreal",
           "nan_to_num", "real", "round", "sign"]  # fmt: skip

_ONE = {
    name: getattr(torch, name)
    for name in (
        "abs", "angle", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "ceil", "cos", "cosh", "deg2rad",
        "exp", "exp2", "expm1", "floor", "i0", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "log", "log10",
        "log1p", "log2", "logical_not", "negative", "rad2deg", "reciprocal", "signbit", "sin", "sinc", "sinh", "sqrt",
        "square", "tan", "tanh", "trunc",
    )
} | {"absolute": torch.abs, "invert": torch.bitwise_not, "bitwise_not": torch.bitwise_not}  # fmt: skip

_TWO = {
    name: getattr(torch, name)
    for name in (
        "add", "arctan2", "bitwise_and", "bitwise_or", "bitwise_xor", "fmax", "fmin", "fmod", "gcd",
        "greater", "greater_equal", "hypot", "lcm", "ldexp", "less", "less_equal", "logaddexp",
        "logaddexp2", "logical_and", "logical_or", "logical_xor", "maximum", "minimum", "multiply", "nextafter",
        "not_equal", "subtract", "true_divide",
    )
} | {
    "divide": torch.true_divide, "equal": torch.eq,
    "floor_divide": functools.partial(torch.div, rounding_mode="floor"),  # torch.floor_divide has no slope
    "left_shift": torch.bitwise_left_shift, "mod": torch.remainder,
    "power": torch.pow, "remainder": torch.remainder, "right_shift": torch.bitwise_right_shift,
}  # fmt: skip


_COUNTING = {_TWO[name] for name in ("floor_divide", "fmod", "left_shift", "mod", "power", "right_shift")}
"""Of bools these make whole numbers."""
_UNSIGNED = (torch.uint16, torch.uint32)
_NUMBERS = (bool, int, float, complex)


def alike(*values: Any) -> list[torch.Tensor]:
    """Return tensors in the dtype in which `values` meet; a Python number takes that of the others."""
    if all(isinstance(v, torch.Tensor) and v.dtype is values[0].dtype for v in values):
        return list(values)
    known = [v if isinstance(v, torch.Tensor) else None if type(v) in _NUMBERS else as_tensor(v) for v in values]
    tensors = [t for t in known if t is not None] or [as_tensor(v) for v in values]
    dtype = functools.reduce(torch.promote_types, (t.dtype for t in tensors))
    one = torch.empty((1,), dtype=dtype, device="meta")
    for value, tensor in zip(values, known):
        if tensor is None:
            met = torch.result_type(one, value)
            dtype = torch.int32 if dtype == torch.bool and met == torch.int64 else torch.promote_types(dtype, met)
    where = tensors[0].device
    return [
        torch.full((), v, dtype=dtype, device=where) if t is None else t.to(dtype) for v, t in zip(values, known)
    ]  # fmt: skip


def _of_one(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any) -> torch.Tensor:
        x = as_tensor(x)
        if x.dtype == torch.bool and function in (torch.abs, torch.trunc, torch.square):
            return x.int() if function is torch.square else x
        return function(x)

    return call


def _of_two(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x1: Any, x2: Any) -> torch.Tensor:
        if not (isinstance(x1, torch.Tensor) and isinstance(x2, torch.Tensor) and x1.dtype == x2.dtype):
            x1, x2 = alike(x1, x2)
        if x1.dtype == torch.bool and function in _COUNTING:
            x1, x2 = x1.int(), x2.int()
        if x1.dtype in _UNSIGNED:  # PyTorch hardly computes with these
            result = function(x1.long(), x2.long())
            return result.to(x1.dtype) if result.dtype == torch.int64 else result
        return function(x1, x2)

    return call


functions = {name: _of_one(function) for name, function in _ONE.items()}
functions |= {name: _of_two(function) for name, function in _TWO.items()}


def sign(x: Any) -> torch.Tensor:
    x = as_tensor(x)
    return torch.where(torch.isnan(x), x, torch.sign(x)) if x.is_floating_point() else torch.sign(x)


def heaviside(x1: Any, x2: Any) -> torch.Tensor:
    x1, x2 = alike(x1, x2)
    return torch.where(torch.isnan(x1), x1, torch.heaviside(x1, x2))


def cbrt(x: Any) -> torch.Tensor:
    x = as_tensor(x)
    return torch.sign(x) * torch.abs(x) ** (1 / 3)


def clip(a: Any, min: Any = None, max: Any = None) -> torch.Tensor:
    a = as_tensor(a)
    if min is not None:
        a = torch.maximum(*alike(a, min))
    return a if max is None else torch.minimum(*alike(a, max))


def conjugate(x: Any) -> torch.Tensor:
    return torch.conj(as_tensor(x)).resolve_conj()


def copy(x: Any) -> torch.Tensor:
    return as_tensor(x).clone()


def imag(x: Any) -> torch.Tensor:
    x = as_tensor(x)
    return x.imag if x.is_complex() else torch.zeros_like(x)


def real(x: Any) -> torch.Tensor:
    return torch.real(as_tensor(x))


def isreal(x: Any) -> torch.Tensor:
    return torch.isreal(as_tensor(x))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> torch.Tensor:
    a, b = alike(a, b)
    near = torch.isfinite(b) & (torch.abs(a - b) <= atol + rtol * torch.abs(b)) if a.dtype != torch.bool else a == b
    near = near | (a == b)
    return near | (torch.isnan(a) & torch.isnan(b)) if equal_nan else near


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> torch.Tensor:
    return torch.nan_to_num(as_tensor(x), nan, posinf, neginf)


def round(a: Any, decimals: int = 0) -> torch.Tensor:
    a = as_tensor(a)
    return torch.round(a, decimals=decimals) if a.is_floating_point() else a
