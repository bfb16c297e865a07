"""Results of a function in the order of its arguments, computed ahead by threads or processes."""

from __future__ import annotations

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["in_order"]


def in_order(
    function: Callable[[Any], Any], items: Iterable[Any], pool: concurrent.futures.Executor, ahead: int
) -> Iterator[Any]:
    """Yield `function(item)` for each item, with up to `ahead` of them under way in `pool`, which is closed after."""
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
