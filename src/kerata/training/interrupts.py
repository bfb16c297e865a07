"""Ctrl-C during a run: it waits until the model stands at a whole step, and is never lost."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["deferred", "heeded", "raise_lost"]


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield
        return
    pressed: list[Any] = []
    signal.signal(signal.SIGINT, lambda *arguments: pressed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pressed:
            previous(*pressed[-1])


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Keep each Ctrl-C that comes while Python runs a `__del__` or another callback, where it may not raise.

    Python only prints such an exception, and the run would go on for hours; `raise_lost` raises it after all.
    """
    previous = sys.unraisablehook
    if threading.current_thread() is not threading.main_thread() or previous is _keep_interrupts:
        yield
        return
    sys.unraisablehook, _keep_interrupts.previous, _keep_interrupts.has_lost_one = _keep_interrupts, previous, False
    try:
        yield
    finally:
        sys.unraisablehook = previous
    raise_lost()


class _Hook:
    """Takes the place of `sys.unraisablehook`."""

    def __init__(self) -> None:
        self.previous: Any = sys.__unraisablehook__
        self.has_lost_one = False

    def __call__(self, unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            self.has_lost_one = True
        else:
            self.previous(unraisable)


_keep_interrupts = _Hook()


def raise_lost() -> None:
    """Raise a Ctrl-C that could not be raised when it came."""
    if _keep_interrupts.has_lost_one and threading.current_thread() is threading.main_thread():
        _keep_interrupts.has_lost_one = False
        raise KeyboardInterrupt
