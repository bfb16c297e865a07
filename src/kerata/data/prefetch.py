"""Making things ready in the background, while others are worked on."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from kerata import engine

__all__ = ["prefetched"]

STUCK_SECONDS = 1.0
"""How long the end of a thread is waited for: one may hang in what the user has written."""


def prefetched(make: Callable[[], Iterator[Any]], depth: int = 2) -> Iterator[Any]:
    """Yield from `make()`, run by a thread that keeps up to `depth` results ready.

    The thread ends with the generator: when it is used up, closed, or fails. An exception of the thread is raised
    here, with the frames that it had there.
    """
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    active = engine.name()

    def put(item: Any) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            with engine.using(active), _closing(make()) as results:
                for result in results:
                    put((result, None))
                    if stop.is_set():
                        return
            put((None, _END))
        except BaseException as error:
            put((None, error))

    thread = threading.Thread(target=work, name="kerata-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            result, error = ready.get()
            if error is _END:
                return
            if error is not None:
                raise error
            yield result
    finally:
        stop.set()
        thread.join(STUCK_SECONDS)


_END: Any = object()


@contextlib.contextmanager
def _closing(results: Iterator[Any]) -> Iterator[Iterator[Any]]:
    try:
        yield results
    finally:
        if hasattr(results, "close"):
            results.close()  # type: ignore[attr-defined]
