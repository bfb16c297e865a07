"""JAX devices by name: "cpu:0", "gpu:0", "tpu:0"."""

from __future__ import annotations

import functools
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax

from kerata import errors
from kerata.engine.protocol import Array

__all__ = ["names", "platform", "options", "scope", "put", "profile"]

_WIDE = "xla_cpu_prefer_vector_width"


def names(kind: str | None = None) -> list[str]:
    kind = "gpu" if kind == "cuda" else kind
    found = jax.devices(kind) if kind else jax.devices()
    return [f"{device.platform}:{device.id}" for device in found]


def platform() -> str:
    """Return the kind of device that new programs run on."""
    chosen: Any = jax.config.jax_default_device  # type: ignore[attr-defined]
    return jax.default_backend() if chosen is None else getattr(chosen, "platform", str(chosen))


def options() -> dict[str, Any]:
    """Return what XLA is to be told of this CPU: to take vectors of 512 bits, where that is faster and nobody chose."""
    return {_WIDE: 512} if _computes_on_512_bits() and _WIDE not in os.environ.get("XLA_FLAGS", "") else {}


@functools.cache
def _computes_on_512_bits() -> bool:
    """AMD's do at once since Zen 5; Zen 4 takes two steps for it; for Intel's XLA's own choice, 256, stands."""
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        return False
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in first.splitlines())}
    is_new = told.get("vendor_id") == "AuthenticAMD" and int(told.get("cpu family", 0)) >= 26
    return is_new and "avx512f" in told.get("flags", "").split()


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
