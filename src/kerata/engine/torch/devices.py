"""PyTorch's devices by name: "cpu:0", "gpu:0"."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch

from kerata import errors
from kerata.engine.protocol import Array
from kerata.engine.torch.tensors import as_tensor, device, on_device

__all__ = ["names", "platform", "scope", "put", "profile"]


def names(kind: str | None = None) -> list[str]:
    gpus = [f"gpu:{i}" for i in range(torch.cuda.device_count())]
    found = {None: gpus or ["cpu:0"], "cpu": ["cpu:0"], "gpu": gpus, "cuda": gpus}
    return found.get(kind, [])


def scope(name: str) -> AbstractContextManager[Any]:
    kind, _, index = name.lower().partition(":")
    if f"{'gpu' if kind == 'cuda' else kind}:{index or 0}" not in names(kind):
        known = [*names("cpu"), *names("gpu")]
        raise errors.InvalidArgument("there is no such device.", where="device", expected=known, got=name)
    return on_device(torch.device("cpu" if kind == "cpu" else f"cuda:{index or 0}"))


def platform() -> str:
    return "gpu" if device().type == "cuda" else device().type


def put(x: Any) -> Array:
    return as_tensor(x, shared=True)


def profile(folder: str) -> AbstractContextManager[Any]:
    return torch.profiler.profile(on_trace_ready=torch.profiler.tensorboard_trace_handler(folder))
