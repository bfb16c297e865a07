"""The few functions of TensorFlow that Keras scripts use, over kerata.ops, with TensorFlow's argument names.

The table in `names.py` says which names `tensorflow` offers. What trains or reads data never belongs here.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random as python_random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from kerata import engine, errors, ops, utils
from kerata.core import dtypes

float16, bfloat16, float32, float64 = "float16", "bfloat16", "float32", "float64"
int8, int16, int32, int64, uint8 = "int8", "int16", "int32", "int64", "uint8"
bool, string, complex64 = "bool", "string", "complex64"


# Tensors ----------------------------------------------------------------------------------------------------


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """Return a tensor of `value`, in `shape` where given: one value fills it."""
    tensor = convert_to_tensor(value, dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, shape) if math.prod(tensor.shape) == 1 else ops.reshape(tensor, shape)


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """Return `value` as a tensor."""
    return ops.convert_to_tensor(value, dtype)


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """Return `x` in `dtype`."""
    return ops.cast(x, dtypes.standardize(dtype))


def reshape(tensor: Any, shape: Any, name: str | None = None) -> Any:
    """Return `tensor` in `shape`; -1 takes what is left."""
    return ops.reshape(tensor, shape)


def transpose(a: Any, perm: Any = None, conjugate: Any = False, name: str | None = None) -> Any:
    """Return `a` with its axes in the order `perm`, reversed without one."""
    return ops.transpose(a, perm)


def expand_dims(input: Any, axis: int, name: str | None = None) -> Any:
    """Return `input` with an axis of length 1 put in at `axis`."""
    return ops.expand_dims(input, axis)


def squeeze(input: Any, axis: Any = None, name: str | None = None) -> Any:
    """Return `input` without axes of length 1."""
    return ops.squeeze(input, axis)


def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """Join `values` along `axis`."""
    return ops.concatenate(values, axis)


def tile(input: Any, multiples: Any, name: str | None = None) -> Any:
    """Return `input` repeated `multiples` times along each axis."""
    return ops.tile(input, multiples)


def gather(params: Any, indices: Any, axis: int = 0, name: str | None = None) -> Any:
    """Return the slices of `params` at `indices` along `axis`."""
    return ops.take(params, indices, axis)


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """Return start, start + delta … below `limit`."""
    return ops.arange(start, limit, delta, dtype)


def one_hot(indices: Any, depth: int, axis: int = -1, dtype: Any = None, name: str | None = None) -> Any:
    """Return a row of `depth` cells for each of `indices`: 1 at the index, 0 elsewhere."""
    return ops.one_hot(indices, depth, axis, dtype)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """Return `t`, its cells kept between the two values."""
    return ops.clip(t, clip_value_min, clip_value_max)


def matmul(a: Any, b: Any, transpose_a: Any = False, transpose_b: Any = False, name: str | None = None) -> Any:
    """Return the matrix product of `a` and `b`."""
    a = ops.swapaxes(a, -1, -2) if transpose_a else a
    b = ops.swapaxes(b, -1, -2) if transpose_b else b
    return ops.matmul(a, b)


def argmax(input: Any, axis: int = 0, output_type: Any = "int64", name: str | None = None) -> Any:
    """Return the places of the largest values along `axis`, the first by default."""
    return ops.cast(ops.argmax(input, axis), dtypes.standardize(output_type))


def argmin(input: Any, axis: int = 0, output_type: Any = "int64", name: str | None = None) -> Any:
    """Return the places of the smallest values along `axis`, the first by default."""
    return ops.cast(ops.argmin(input, axis), dtypes.standardize(output_type))


def _reduction(op_name: str) -> Callable[..., Any]:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: Any = False, name: str | None = None) -> Any:
        return getattr(ops, op_name)(input_tensor, axis=axis, keepdims=keepdims)

    reduce.__name__ = reduce.__qualname__ = f"reduce_{op_name}"
    reduce.__doc__ = f"Return the {op_name} of `input_tensor` along `axis`, of all cells without one."
    return reduce


reduce_all, reduce_any, reduce_max, reduce_mean, reduce_min, reduce_prod, reduce_sum = map(
    _reduction, ("all", "any", "max", "mean", "min", "prod", "sum")
)


# The process ------------------------------------------------------------------------------------------------


def set_seed(seed: int) -> None:
    """Seed kerata's draws; those of Python and NumPy go on as they were, as with TensorFlow."""
    python_state, numpy_state = python_random.getstate(), np.random.get_state()
    utils.set_random_seed(seed)
    python_random.setstate(python_state)
    np.random.set_state(numpy_state)


def executing_eagerly() -> Any:
    """Return True: outside compiled functions, operations are computed at once."""
    return True


def get_logger() -> logging.Logger:
    """Return the logger of kerata."""
    return logging.getLogger("kerata")


class Device(NamedTuple):
    """A device, as TensorFlow names it."""

    name: str
    device_type: str


def _devices(device_type: str | None, prefix: str) -> list[Device]:
    kinds = [device_type] if device_type else ["CPU", "GPU", "TPU"]
    found = []
    for kind in kinds:
        try:
            names = engine.devices.names(kind.lower())
        except RuntimeError:  # how an engine says that it has none of the kind
            names = []
        found += [Device(f"{prefix}{kind.upper()}:{name.partition(':')[2] or 0}", kind.upper()) for name in names]
    return found


def list_physical_devices(device_type: str | None = None) -> list[Device]:
    """Return the devices of a type ("CPU", "GPU", "TPU"), or all."""
    return _devices(device_type, "/physical_device:")


def list_logical_devices(device_type: str | None = None) -> list[Device]:
    """Return the devices of a type as operations name them."""
    return _devices(device_type, "/device:")


get_visible_devices = list_physical_devices


def set_memory_growth(device: Any, enable: Any) -> None:
    """Do nothing: the engine sees to its memory."""


def is_gpu_available(cuda_only: Any = False, min_cuda_compute_capability: Any = None) -> Any:
    """Return whether there is a GPU."""
    return len(list_physical_devices("GPU")) > 0


def is_built_with_cuda() -> Any:
    """Return whether a GPU can be used."""
    return is_gpu_available()


def gpu_device_name() -> str:
    """Return the name of the first GPU, or an empty string."""
    return next((device.name for device in list_logical_devices("GPU")), "")


@contextlib.contextmanager
def device(device_name: str) -> Iterator[None]:
    """Place what is computed inside the block on "/GPU:0", "/device:CPU:0" …"""
    kind, _, index = str(device_name).removeprefix("/device:").strip("/").partition(":")
    if not kind:
        raise errors.InvalidArgument("a device is named.", where="tf.device", expected="'/GPU:0'", got=device_name)
    with engine.devices.scope(f"{kind.lower()}:{index or 0}"):
        yield
