"""`Value`: a NumPy array that is never written to, and `apply`, by which every function of this engine runs.

NumPy and JAX differ in their dtypes; here JAX's rule holds, so that the same program gives the same dtypes:

- without being asked, nothing becomes 64 bits wide (unless `config.floatx()` is "float64");
- an integer never widens a float that it meets;
- half-precision floats are computed in float32, and the result is rounded once.

The names of functions are none of this room's business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import ml_dtypes
import numpy as np

from kerata import config, errors, tree

__all__ = ["Value", "Placeholder", "apply", "as_dtype", "is_floating", "narrowed", "on_arrays", "value_of"]

_F = TypeVar("_F", bound=Callable[..., Any])

_NARROW = {
    np.dtype(wide): np.dtype(narrow)
    for wide, narrow in (
        ("int64", "int32"), ("uint64", "uint32"), ("float64", "float32"), ("complex128", "complex64")
    )
}  # fmt: skip
_EXTRA_FLOATS = {np.dtype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")}
_HALVES = {np.dtype("float16"), *_EXTRA_FLOATS}
_NAMES = {"bool", "complex64", "complex128", "float32", "float64"} | {dtype.name for dtype in _HALVES}
_NAMES |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def _as_type(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return x.astype(dtype)


_ELEMENTWISE = {_as_type, np.clip, np.full_like, np.nan_to_num, np.ones_like, np.round, np.where, np.zeros_like}


class Value(np.ndarray):
    """An array of this engine. Like one of JAX it never changes: `x += 1` gives a new one."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any):
        return apply(ufunc if method == "__call__" else getattr(ufunc, method), *inputs, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        return apply(np.ndarray.__getitem__, self, index)

    def astype(self, dtype: Any) -> Any:  # type: ignore[override]
        return apply(_as_type, self, as_dtype(dtype))

    def __repr__(self) -> str:
        return repr(np.asarray(self)).replace("array", "Array", 1)

    def __str__(self) -> str:
        return str(np.asarray(self))


class Placeholder(Value):
    """It stands for values to come, while shapes are worked out. What is computed from one is one."""


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)
    return lambda self, *args, **kwargs: apply(function, self, *args, **kwargs)


# These methods of ndarray do not pass through `__array_ufunc__`, or not as a whole.
for _name in (
    "all", "any", "argmax", "argmin", "argsort", "clip", "cumprod", "cumsum", "dot", "max", "mean", "min",
    "nonzero", "prod", "repeat", "round", "sort", "std", "sum", "take", "trace", "var",
):  # fmt: skip
    setattr(Value, _name, _method(_name))


def apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what `function` of NumPy arrays gives for arrays of this engine, by the rule above."""
    leaves, structure = tree.flatten_with_spec((args, kwargs))
    kind = Placeholder if any(isinstance(leaf, Placeholder) for leaf in leaves) else Value
    asked = any(_is_dtype(leaf) for leaf in leaves)
    leaves = [_plain(leaf) for leaf in leaves]
    dtypes = {leaf.dtype for leaf in leaves if isinstance(leaf, np.ndarray)}
    shape = None
    if kind is Placeholder and _is_elementwise(function):
        # The corner's dtype and the arguments' shapes tell all, in no memory.
        shape = np.broadcast_shapes(*(np.shape(leaf) for leaf in leaves))
        leaves = [leaf[(slice(1),) * leaf.ndim] if isinstance(leaf, np.ndarray) else leaf for leaf in leaves]
    float_dtype = _meeting_float(dtypes)
    bools_only = dtypes == {np.dtype("bool")}
    wide_ints = any(dtype in _NARROW and dtype.kind in "iu" for dtype in dtypes)

    def run(leaves: list[Any]) -> list[Any]:
        new_args, new_kwargs = structure.unflatten(leaves)
        with np.errstate(all="ignore"):  # inf and nan are values, as on other engines
            results, spec = tree.flatten_with_spec(function(*new_args, **new_kwargs))
        return [results, spec]

    def finish(result: Any) -> Any:
        if not isinstance(result, (np.ndarray, np.generic)) or result.dtype.kind in "OSU":
            return result
        target = result.dtype
        if not asked:
            if is_floating(target):
                target = float_dtype or _default(target)
            elif target.kind == "c":
                target = target if float_dtype == "float64" else _default(target)
            elif bools_only and target == np.int8:  # in which NumPy counts bools
                target = np.dtype("int32")
            elif not wide_ints:
                target = _default(target)
        result = result if target == result.dtype else np.asarray(result).astype(target)
        return value_of(result if shape is None else np.broadcast_to(result, shape), kind)

    results, spec = run([_widened(leaf) for leaf in leaves])
    if float_dtype is None and not asked and any(getattr(r, "dtype", None) == np.float16 for r in results):
        # NumPy takes the root of an int8 in float16; the default float is meant.
        results, spec = run([_as_float32(leaf) for leaf in leaves])
    return spec.unflatten([finish(result) for result in results])


def on_arrays(function: _F) -> _F:
    """Decorate a function written for NumPy arrays: it takes and gives arrays of this engine."""
    return functools.wraps(function)(functools.partial(apply, function))  # type: ignore[return-value]


def narrowed(x: np.ndarray) -> np.ndarray:
    """Return an array that came from outside in the dtype that it has here."""
    target = _default(x.dtype)
    return x if target == x.dtype else x.astype(target)


def as_dtype(dtype: Any) -> np.dtype:
    """Return a NumPy dtype for a name or a type; Python's own types mean the default widths."""
    return _default(np.dtype(dtype)) if dtype in (bool, int, float, complex) else np.dtype(dtype)


def no_tensor(x: Any) -> errors.InvalidType:
    """Return the error for something that holds no numbers."""
    return errors.InvalidType("this cannot be turned into a tensor.", got=f"{type(x).__name__}: {x!r:.80}")


def is_floating(dtype: Any) -> bool:
    """Return whether `dtype` holds real floats, those of ml_dtypes included."""
    dtype = np.dtype(dtype)
    return dtype.kind == "f" or dtype in _EXTRA_FLOATS


def value_of(x: Any, kind: type[Value]) -> Value:
    """Return a NumPy array, or scalar, as one of this engine."""
    value = np.asarray(x).view(kind)
    value.flags.writeable = False
    return value


def _is_dtype(x: Any) -> bool:
    """Return whether an argument is a dtype: then the caller has said what is wanted."""
    return isinstance(x, (np.dtype, type)) or (isinstance(x, str) and x in _NAMES)


def _default(dtype: np.dtype) -> np.dtype:
    return dtype if config.floatx() == "float64" else _NARROW.get(dtype, dtype)


def _plain(x: Any) -> Any:
    if isinstance(x, Placeholder):
        return _harmless(x)
    if isinstance(x, Value):
        return x.view(np.ndarray)
    if isinstance(x, type):
        return as_dtype(x) if x in (bool, int, float, complex) else x
    if isinstance(x, (np.ndarray, np.generic)) or (hasattr(x, "__array__") and not isinstance(x, np.dtype)):
        array = np.asarray(x)
        if array.dtype.kind in "OSU":
            raise no_tensor(x)
        return narrowed(array)
    return x


def _is_elementwise(function: Callable[..., Any]) -> bool:
    return function in _ELEMENTWISE or (isinstance(function, np.ufunc) and function.signature is None)


def _harmless(x: Placeholder) -> np.ndarray:
    """Return what a function can be tried on: a Placeholder's own values mean nothing.

    Ones, and identity matrices, so that weights sum to something and matrices have inverses; zeros as indices.
    """
    if x.dtype.kind in "iu":
        return np.broadcast_to(np.zeros((), x.dtype), x.shape)
    return np.broadcast_to(np.eye(*x.shape[-2:], dtype=x.dtype) if x.ndim > 1 else np.ones((), x.dtype), x.shape)


def _meeting_float(dtypes: Iterable[np.dtype]) -> np.dtype | None:
    """Return the float in which `dtypes` meet; None where none of them is inexact."""
    real = {np.dtype("complex64"): np.dtype("float32"), np.dtype("complex128"): np.dtype("float64")}
    floats = {d for d in (real.get(d, d) for d in dtypes) if is_floating(d)}
    if len(floats) <= 1:
        return next(iter(floats), None)
    return np.dtype("float64" if np.dtype("float64") in floats else "float32")


def _widened(x: Any) -> Any:
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype in _HALVES else x


def _as_float32(x: Any) -> Any:
    return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.kind in "biu" else x
