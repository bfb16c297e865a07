"""Names of dtypes and the rule by which two of them meet. Python's own numbers are weak: they adapt.

The lattice is JAX's (https://docs.jax.dev/en/latest/jep/9407-type-promotion.html): bool < integers < floats < complex,
a float never widens because an integer meets it.
"""

from __future__ import annotations

import functools
from typing import Any

from kerata import config, errors

__all__ = ["dtype_of", "is_float", "is_int", "limits", "result_type", "standardize"]

FLOATS = ("bfloat16", "float16", "float32", "float64")
FLOAT8 = ("float8_e4m3fn", "float8_e5m2")
SIGNED = ("int4", "int8", "int16", "int32", "int64")
UNSIGNED = ("uint4", "uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
ALLOWED = {*FLOATS, *FLOAT8, *SIGNED, *UNSIGNED, *COMPLEX, "bool", "string"}

_BITS = {name: int("".join(c for c in name if c.isdigit()) or 0) for name in ALLOWED - set(FLOAT8)}
_BITS.update(dict.fromkeys(FLOAT8, 8))
_NAMES: dict[Any, str] = {}
_PYTHON = {bool: "bool", int: "int32", float: None, complex: "complex64", str: "string"}


def standardize(dtype: Any) -> str:
    """Return the name of `dtype`: a name, a NumPy, JAX or PyTorch dtype, a Python type, or None for the default."""
    if dtype is None:
        return config.settings.floatx
    if isinstance(dtype, str) and dtype in ALLOWED:
        return dtype
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype] or config.settings.floatx
    if isinstance(dtype, str) and dtype in ("float", "int"):  # a str: NumPy's float64 equals "float"
        return config.settings.floatx if dtype == "float" else "int32"
    if (known := _NAMES.get(dtype)) is not None:
        return known
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or str(dtype)
    name = {"bool_": "bool", "str": "string"}.get(name, name).removeprefix("torch.")
    if name.startswith("str"):
        name = "string"
    if name not in ALLOWED:
        raise errors.UnknownName("dtype", name, ALLOWED)
    _NAMES[dtype] = name  # libraries have few dtypes, and they are asked for their names at every step
    return name


def dtype_of(x: Any) -> str:
    """Return the name of the dtype of an array, a Variable, a symbolic tensor or a Python number."""
    dtype = getattr(x, "dtype", None)
    return standardize(type(x) if dtype is None else dtype)


def is_float(dtype: Any) -> bool:
    """Return whether `dtype` is a float dtype."""
    return "float" in standardize(dtype)


def is_int(dtype: Any) -> bool:
    """Return whether `dtype` is an integer dtype, signed or not."""
    return "int" in standardize(dtype)


def result_type(*dtypes: Any) -> str:
    """Return the dtype in which values of `dtypes` meet; the Python types int, float and complex are weak.

    Example:
        >>> from kerata.core.dtypes import result_type
        >>> result_type("int64", "bfloat16")
        'bfloat16'
        >>> result_type("int8", float)
        'float32'
    """
    if not dtypes:
        raise errors.InvalidArgument("needs at least one dtype.", where="result_type")
    weak = {float: "float", int: "int", complex: "complex"}
    return _result_type(tuple(weak.get(d) or standardize(d) for d in dtypes), config.settings.floatx)


@functools.lru_cache(maxsize=4096)
def _result_type(names: tuple[str, ...], floatx: str) -> str:
    result = functools.reduce(lambda a, b: _join(a, b, floatx), names)
    return {"float": floatx, "int": "int32", "complex": "complex64"}.get(result, result)


def _kind(name: str) -> int:
    for rank, word in enumerate(("bool", "int", "float", "complex")):
        if word in name:
            return rank
    raise errors.InvalidArgument("strings do not mix with numbers.", where="dtype", got=name)


def _join(a: str, b: str, floatx: str) -> str:
    if a == b:
        return a
    if _kind(a) > _kind(b):
        a, b = b, a
    low, high = _kind(a), _kind(b)
    if low < high:
        if high == 3 and a == "float64":
            return "complex128"
        if b == "complex":
            return "complex128" if a == "float64" else "complex64"
        return floatx if b == "float" and low < 2 else b
    weak = [name for name in (a, b) if name in ("int", "float", "complex")]
    if weak:
        return b if weak[0] == a else a
    if high == 1 and a.startswith("u") != b.startswith("u"):
        unsigned, signed = (a, b) if a.startswith("u") else (b, a)
        bits = max(_BITS[signed], 2 * _BITS[unsigned])
        if _BITS[unsigned] == 32:  # nothing becomes 64 bits wide by itself
            bits = max(_BITS[signed], 32)
        return f"int{max(bits, 8)}" if bits <= 64 else floatx
    if {a, b} == {"bfloat16", "float16"} or (_BITS[a] == _BITS[b] and a != b):
        return "float32" if high == 2 and _BITS[a] == 16 else "float16"
    return a if _BITS[a] > _BITS[b] else b


def limits(dtype: Any) -> tuple[Any, Any]:
    """Return the smallest and largest finite value of a real dtype."""
    import ml_dtypes
    import numpy as np

    name = standardize(dtype)
    if name == "bool":
        return 0, 1
    kind = np.dtype(getattr(ml_dtypes, name, name))
    found: Any = ml_dtypes.finfo(kind) if is_float(name) else ml_dtypes.iinfo(kind)
    return (float if is_float(name) else int)(found.min), (float if is_float(name) else int)(found.max)
