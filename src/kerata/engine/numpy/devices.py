"""The one place where NumPy's arrays live: "cpu:0"."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any

from kerata import errors
from kerata.engine.numpy.arrays import as_array
from kerata.engine.protocol import Array

__all__ = ["names", "platform", "scope", "put", "profile"]


def names(kind: str | None = None) -> list[str]:
    return ["cpu:0"] if kind in (None, "cpu") else []


def scope(name: str) -> AbstractContextManager[Any]:
    if name.lower() not in ("cpu", "cpu:0"):
        raise errors.InvalidArgument("there is no such device.", where="device", expected=names(), got=name)
    return contextlib.nullcontext()


def platform() -> str:
    return "cpu"


def put(x: Any) -> Array:
    return as_array(x)


def profile(folder: str) -> AbstractContextManager[Any]:
    raise errors.Unsupported("the NumPy engine has no profiler.", hint="cProfile, of Python itself")
