"""What every room of this engine needs to know of a tensor: its dtype, its device, whether it has values yet.

Arrays are PyTorch's own tensors and nothing else, so that whatever is written for PyTorch takes them as they are.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch._C import _functorch  # type: ignore[attr-defined]
from torch._subclasses.fake_tensor import FakeTensor, unset_fake_temporarily
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

from kerata import config, errors

__all__ = [
    "NeedsValues", "as_dtype", "as_tensor", "being_recorded", "concrete", "device", "dtype_name", "is_traced",
    "nested_gradients", "on_device", "only_shapes", "takes_kernels", "taking_gradients", "taking_own_gradient",
    "to_numpy", "tracing_a_program", "valueless", "without_values",
]  # fmt: skip

_NARROW = {
    torch.int64: torch.int32, torch.uint64: torch.uint32, torch.float64: torch.float32,
    torch.complex128: torch.complex64,
}  # fmt: skip
_PYTHON = {bool: "bool", int: "int32", complex: "complex64"}
# NumPy has these only by ml_dtypes, which PyTorch does not know: their bits travel as integers.
_EXTENDED = {
    torch.bfloat16: (torch.int16, ml_dtypes.bfloat16),
    torch.float8_e4m3fn: (torch.uint8, ml_dtypes.float8_e4m3fn),
    torch.float8_e5m2: (torch.uint8, ml_dtypes.float8_e5m2),
}

_NAMES = {
    dtype: str(dtype).removeprefix("torch.") for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)
}
_NAMED = {name: dtype for dtype, name in _NAMES.items()}

# Dtypes -----------------------------------------------------------------------------------------------------------


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype given as a name, a Python type, or a dtype of PyTorch or NumPy."""
    if isinstance(dtype, torch.dtype):
        return _NAMES[dtype]
    if dtype is float:
        return config.floatx()
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    return dtype if isinstance(dtype, str) else np.dtype(dtype).name


def as_dtype(dtype: Any) -> torch.dtype:
    """Return PyTorch's dtype for whatever names one."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if type(dtype) is str and (known := _NAMED.get(dtype)) is not None:
        return known
    found = getattr(torch, dtype_name(dtype), None)
    if not isinstance(found, torch.dtype):
        raise errors.Unsupported(f"the torch engine has no dtype {dtype_name(dtype)!r}.")
    return found


def _default(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which numbers from outside are kept: nothing becomes 64 bits wide by itself."""
    return dtype if config.floatx() == "float64" else _NARROW.get(dtype, dtype)


# Devices ----------------------------------------------------------------------------------------------------------


class _Local(threading.local):
    device: torch.device | None = None
    tracing: bool = False  # whether a program is being traced, which will be run with values
    replayed: bool = False  # and whether by the operations that are called now
    gradients: int = 0  # how many gradients are being taken around


_local = _Local()


def device() -> torch.device:
    """Return the device on which new tensors are made: a GPU where there is one."""
    return _local.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextlib.contextmanager
def on_device(chosen: torch.device) -> Iterator[None]:
    """Make new tensors on `chosen` inside the block."""
    previous, _local.device = _local.device, chosen
    try:
        yield
    finally:
        _local.device = previous


# Values -----------------------------------------------------------------------------------------------------------


def is_traced(x: Any) -> bool:
    """Return whether `x` is a tensor whose values a transform will supply later."""
    return isinstance(x, torch.Tensor) and (_functorch.is_functorch_wrapped_tensor(x) or isinstance(x, FakeTensor))


class NeedsValues(Exception):
    """Raised where a program cannot be traced, because what it does depends on values."""


@contextlib.contextmanager
def tracing_a_program(tracing: bool = True, replayed: bool = False) -> Iterator[None]:
    """Refuse inside the block to go on where only a result's shape would be right."""
    previous = _local.tracing, _local.replayed
    _local.tracing, _local.replayed = tracing, replayed
    try:
        yield
    finally:
        _local.tracing, _local.replayed = previous


def being_recorded() -> bool:
    """Return whether a function is run to note its operations, which are then replayed one by one."""
    return _local.replayed and without_values()


def takes_kernels(x: torch.Tensor) -> bool:
    """Return whether kernels that PyTorch wrote for whole formulas can be called with `x`, now or in a replay."""
    return not is_traced(x) or (_local.replayed and not _functorch.is_functorch_wrapped_tensor(x))


def valueless(x: Any) -> bool:
    """Return whether `x` has no values because only shapes are being worked out."""
    return isinstance(x, FakeTensor) and not _local.tracing


def only_shapes(x: Any) -> bool:
    """Return whether `x` has no values and just the shapes of results are asked for."""
    if not is_traced(x):
        return False
    if _local.tracing:
        raise NeedsValues("the number of steps, the choice or the shape of a result depends on values")
    return True


@contextlib.contextmanager
def taking_gradients() -> Iterator[None]:
    """Count the gradients that are taken, one within another."""
    _local.gradients += 1
    try:
        yield
    finally:
        _local.gradients -= 1


def taking_own_gradient() -> bool:
    """Return whether a gradient is being taken by kerata, and not by PyTorch's `backward`."""
    return _local.gradients > 0


def nested_gradients() -> bool:
    """Return whether a gradient is being taken of a gradient."""
    return _local.gradients > 1


def without_values() -> bool:
    """Return whether tensors that are made now have no values."""
    return isinstance(torch.empty(0), FakeTensor)


@contextlib.contextmanager
def concrete() -> Iterator[None]:
    """Compute values inside the block even while shapes are being worked out or a program is traced."""
    with disable_proxy_modes_tracing(), unset_fake_temporarily():
        yield


def as_tensor(x: Any, dtype: Any = None, shared: bool = False) -> torch.Tensor:
    """Return `x` as a tensor on the device in use; what is no tensor yet is copied, or may be `shared`."""
    if isinstance(x, torch.Tensor):
        return x if dtype is None or x.dtype is (wanted := as_dtype(dtype)) else x.to(wanted)
    if isinstance(x, (list, tuple)) and any(isinstance(part, torch.Tensor) for part in x):
        return as_tensor(torch.stack([as_tensor(part) for part in x]), dtype)
    array = np.asarray(x) if shared else np.array(x)  # a copy: nobody else can change it
    extended = next((pair for pair in _EXTENDED.values() if array.dtype == pair[1]), None)
    if array.dtype.kind not in "biufc" and extended is None:
        raise errors.InvalidType("this cannot be turned into a tensor.", got=f"{type(x).__name__}: {x!r:.80}")
    if extended is None:
        tensor = torch.from_numpy(array)
    else:
        bits, _ = extended
        tensor = torch.from_numpy(array.view(dtype_name(bits))).view(as_dtype(array.dtype.name))
    return tensor.to(device(), _default(tensor.dtype) if dtype is None else as_dtype(dtype))


def to_numpy(x: torch.Tensor) -> np.ndarray:
    """Return the values on the host."""
    with concrete() if not is_traced(x) else contextlib.nullcontext():
        x = x.detach().cpu().resolve_conj().resolve_neg()
        if x.dtype in _EXTENDED:
            bits, extended = _EXTENDED[x.dtype]
            return x.view(bits).numpy().view(extended)
        return x.numpy()
