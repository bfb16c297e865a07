"""What becomes of memory that an engine frees on the CPU."""

from __future__ import annotations

import ctypes
import os
import platform

__all__ = ["keep_freed_memory"]

# Parameters of mallopt(3), and what they are set to.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _MAPPED_BYTES = 512 << 20, 32 << 20  # the second is the most that glibc takes


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is asked for next, at most 512 MB of it.

    A step frees its activations, and the next one asks for as many bytes again. By glibc's own rule these blocks go
    back to the system each time, which fills their pages with zeros when they come again: half the time that PyTorch
    takes for a convolutional network. What the environment says (`MALLOC_TRIM_THRESHOLD_`, …) is left alone.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another allocator stands in its place
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
