"""NumPy's namespace as the ops use it: its names and keywords, JAX's dtypes, PyTorch's functions."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import torch

from kerata.engine.torch.choosing import *  # noqa: F403
from kerata.engine.torch.elementwise import *  # noqa: F403
from kerata.engine.torch.elementwise import functions as _functions
from kerata.engine.torch.matrices import *  # noqa: F403
from kerata.engine.torch.reducing import *  # noqa: F403
from kerata.engine.torch.shaping import *  # noqa: F403
from kerata.engine.torch.tensors import as_dtype, as_tensor, dtype_name

globals().update(_functions)

pi, e, inf, nan, newaxis = np.pi, np.e, np.inf, np.nan, None
floating, inexact, integer, number = np.floating, np.inexact, np.integer, np.number
ndarray = torch.Tensor


def _window(name: str) -> Any:
    function = getattr(np, name)
    return lambda M, *args: as_tensor(function(M, *args))


for _name in ("bartlett", "blackman", "hamming", "hanning", "kaiser"):
    globals()[_name] = _window(_name)
for _name in ("bfloat16", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
              "uint32", "uint64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2"):  # fmt: skip
    globals()[_name] = getattr(torch, _name)
bool_ = torch.bool


def issubdtype(arg1: Any, arg2: Any) -> bool:
    kind = as_dtype(arg1)
    if arg2 in (np.floating, np.inexact, np.number) and kind.is_floating_point:
        return True
    return not kind.is_floating_point and np.issubdtype(np.dtype(dtype_name(kind)), arg2)


def finfo(dtype: Any) -> Any:
    return ml_dtypes.finfo(dtype_name(dtype))


def iinfo(dtype: Any) -> Any:
    return ml_dtypes.iinfo(dtype_name(dtype))
