"""JAX devices by name: "cpu:0", "gpu:0", "tpu:0"."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax

from kerata import errors
from kerata.engine.protocol import Array

__all__ = ["names", "platform", "scope", "put", "profile"]


def names(kind: str | None = None) -> list[str]:
    kind = "gpu" if kind == "cuda" else kind
    found = jax.devices(kind) if kind else jax.devices()
    return [f"{device.platform}:{device.id}" for device in found]


def platform() -> str:
    """Return the kind of device that new programs run on."""
    chosen: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.default_backend() if chosen is None else getattr(chosen, "platform", str(chosen))


def scope(name: str) -> AbstractContextManager[Any]:
    kind, _, index = name.lower().partition(":")
    kind = "gpu" if kind == "cuda" else kind
    try:
        return jax.default_device(jax.devices(kind)[int(index or 0)])
    except (RuntimeError, IndexError, ValueError):
        raise errors.InvalidArgument(
            "there is no such device.", where="device", expected=names(), got=name,
            hint="JAX sees the devices above; nvidia-smi tells what the machine has",
        ) from None  # fmt: skip


def put(x: Any) -> Array:
    return jax.device_put(x, may_alias=True)


def profile(folder: str) -> AbstractContextManager[Any]:
    return jax.profiler.trace(folder)
