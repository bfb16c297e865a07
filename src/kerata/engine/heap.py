"""What becomes of memory that an engine frees on the CPU."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import platform
import threading
from collections.abc import Callable, Iterator

__all__ = ["give_back_freed_memory", "keep_freed_memory", "large_blocks_kept"]

# Parameters of mallopt(3), and what they are set to.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -3, -4, -8
_KEPT_BYTES, _MAPPED_BYTES = 512 << 20, 32 << 20  # the second is the most that glibc takes
_MAPPED_BLOCKS = 65_536  # what glibc begins with


def keep_freed_memory() -> None:
    """Let the C library keep what is freed for what is asked for next, at most 512 MB of it.

    A step frees its activations, and the next one asks for as many bytes again. By glibc's own rule these blocks go
    back to the system each time, which fills their pages with zeros when they come again: half the time that PyTorch
    takes for a convolutional network. What the environment says (`MALLOC_TRIM_THRESHOLD_`, …) is left alone.

    A compiler's threads leave holes in each of glibc's heaps, of which it makes up to eight for a core. Two and two
    more are enough; with one for a core, threads that compute wait for each other: tiny layers take a third longer.
    """
    if (mallopt := _mallopt()) is None:
        return
    mallopt(_MMAP_THRESHOLD, _MAPPED_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_ARENA_MAX, 2 * (os.cpu_count() or 1) + 2)


_lock = threading.Lock()
_runs = 0


@contextlib.contextmanager
def large_blocks_kept() -> Iterator[None]:
    """Meanwhile keep blocks of more than 32 MB as well, which glibc otherwise takes from the system each time.

    An LSTM's gradient asks for 50 MB, whose pages took 10 of the step's 30 ms. It is for work that asks for the same
    again and again: what is freed stays wherever something new lies above it, as a user's array of gigabytes would, or
    the blocks of sequences that are of another length in each batch (1.6 GB for an LSTM that needs 0.4).
    """
    global _runs
    if (mallopt := _mallopt()) is None:
        yield
        return
    with _lock:
        _runs += 1
        mallopt(_MMAP_MAX, 0)
    try:
        yield
    finally:
        with _lock:
            _runs -= 1
            if not _runs:
                mallopt(_MMAP_MAX, _MAPPED_BLOCKS)


def give_back_freed_memory() -> None:
    """Give the system what was freed and kept, after work whose memory nothing will ask for again.

    XLA's compiler leaves 470 MB behind for a ResNet of 20 layers, on top of which training would take its own. It takes
    some 50 ms.
    """
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


def _mallopt() -> Callable[..., int] | None:
    """Return mallopt(3); None where glibc has none, or the environment says what the heap is to do."""
    return None if any(name.startswith("MALLOC_") for name in os.environ) else _of_glibc("mallopt")


@functools.cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    """Return a function of glibc's; None where another C library is, or another allocator stands in its place."""
    if platform.libc_ver()[0] != "glibc":
        return None
    try:
        return getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
