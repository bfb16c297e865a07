"""What becomes of memory that an engine frees on the CPU."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable

__all__ = ["give_back_freed_memory", "keep_freed_memory"]

# Parameters of mallopt(3), and what they are set to.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_KEPT_BYTES, _MAPPED_BYTES = 512 << 20, 32 << 20  # the second is the most that glibc takes


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is asked for next, at most 512 MB of it.

    A step frees its activations, and the next one asks for as many bytes again. By glibc's own rule these blocks go
    back to the system each time, which fills their pages with zeros when they come again: half the time that PyTorch
    takes for a convolutional network. What the environment says (`MALLOC_TRIM_THRESHOLD_`, …) is left alone.

    A compiler's threads leave holes in each of glibc's heaps, of which it makes up to eight for a core. Two and two
    more are enough; with one for a core, threads that compute wait for each other: tiny layers take a third longer.
    """
    if any(name.startswith("MALLOC_") for name in os.environ) or (mallopt := _of_glibc("mallopt")) is None:
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_ARENA_MAX, 2 * (os.cpu_count() or 1) + 2)


def give_back_freed_memory() -> None:
    """Give the system what was freed and kept, after work whose memory nothing will ask for again.

    XLA's compiler leaves 470 MB behind for a ResNet of 20 layers, on top of which training would take its own. It takes
    some 50 ms.
    """
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of glibc's; None where another C library is, or another allocator stands in its place."""
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
