"""The compiled loop: many steps in one call of the engine.

A `Program` is one of the model's step methods turned into `chunk(state, data, index, start, stop, logs)`, which runs
the steps from `start` to `stop` inside the engine and writes each step's result into `logs`. Both bounds are inputs of
the compiled program: one step or a thousand run the very same code, so results do not depend on the chunk's length.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core.op import convert
from kerata.core.scopes import StateScope
from kerata.core.variable import Variable
from kerata.data.sources import Block
from kerata.engine.protocol import Spec

__all__ = ["Program", "batch_of", "on_host", "run_block"]

REFRESH_SECONDS = 0.25
"""A chunk takes about this long, so that progress moves and Ctrl-C is heard."""


def batch_of(data: Any, rows: Any) -> Any:
    """Return those rows of each array."""
    return tree.map_structure(lambda a: None if a is None else engine.arrays.rows(a, rows), data)


def _spec(x: Any) -> Any:
    return Spec(tuple(x.shape), x.dtype) if hasattr(x, "shape") else x


class Program:
    """One step method, compiled for blocks of one shape.

    Args:
        step: takes a batch, reads and assigns Variables, returns a tree of arrays.
        variables: every Variable that the step may touch.
        compiled: whether to compile; otherwise steps run one by one in Python. "auto" compiles where the engine
            compiles whole loops; on an engine that does not, True compiles each step.
        learns: whether the step takes gradients.
    """

    def __init__(
        self, step: Callable[[Any], Any], variables: list[Variable], compiled: bool | str = True, learns: bool = True
    ) -> None:
        self.variables = variables
        self.compiled = bool(compiled) and engine.transforms.compiled
        self._steps_compiled = compiled is True and not engine.transforms.compiled
        self._learns = learns
        self._step = step
        self._logs: dict[Any, Any] = {}
        self._writes: dict[Any, list[Variable]] = {}
        self._written: list[Variable] = []
        self.names: list[str] = []
        known = set(variables)

        def pure_step(values: list[Any], batch: Any) -> tuple[Any, list[Any]]:
            with StateScope(zip(variables, values)) as scope:
                logs = _something(step(batch), step)
            self.created = [v for v in scope.created if v not in known]
            self.names = list(logs) if isinstance(logs, dict) else []  # engines sort the keys of a dict
            logs = tree.map_structure(engine.arrays.as_array, logs)
            written = set(scope.written()[0])
            self._written = [v for v in variables if v in written]
            return logs, [scope.values[v] for v in self._written]

        # The inner function is compiled too: its trace is made once and used for both the shapes and the loop.
        self._pure_step = engine.transforms.compile(pure_step)

        def chunk(
            written: list[Any], logs: Any, values: list[Any], data: Any, index: Any, start: Any, stop: Any
        ) -> tuple[Any, Any]:
            at = [i for i, value in enumerate(values) if value is None]

            def body(i: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
                state, (written, logs) = list(values), carry
                for place, value in zip(at, written):
                    state[place] = value
                new_logs, written = self._pure_step(state, batch_of(data, index[i]))
                logs = tree.map_structure(lambda buffer, x: engine.arrays.set_at(buffer, i, x), logs, new_logs)
                return written, logs

            return engine.transforms.fori_loop(start, stop, body, (written, logs))

        # Only what the steps write is given away: an array of a weight that someone holds stays theirs in `predict`.
        self._chunk = engine.transforms.compile(chunk, donate=(0, 1))
        self.created: list[Variable] = []

    def prepare(self, block: Block) -> bool:
        """Learn the shape of the logs; returns False when the step made Variables and must be planned anew."""
        key = (block.batch_size, block.steps)
        if not (self.compiled or self._steps_compiled) or key in self._logs:
            return True
        batch = tree.map_structure(
            lambda a: None if a is None else Spec((block.batch_size, *a.shape[1:]), a.dtype), block.data
        )
        values = [_spec(v.raw_value()) for v in self.variables]
        logs, _ = engine.transforms.abstract(self._pure_step, values, batch)
        self._logs[key] = tree.map_structure(lambda s: Spec((block.steps, *s.shape), s.dtype), logs)
        self._writes[key] = self._written
        return not self.created

    def empty_logs(self, block: Block) -> Any:
        """Return the buffers that the steps of `block` write their results into."""
        shapes = self._logs[block.batch_size, block.steps]
        return tree.map_structure(lambda s: engine.xp.zeros(s.shape, s.dtype), shapes)

    def log_values(self, logs: Any, step: int) -> dict[str, Any]:
        """Return what one step logged, as Python numbers, in the step's own order."""
        found = logs[step] if isinstance(logs, list) else {name: logs[name][step] for name in self.names}
        return {name: _number(value) for name, value in found.items()}

    def run(self, block: Block, logs: Any, start: int, stop: int) -> Any:
        """Run the steps from `start` to `stop` of `block` and return the logs."""
        if not self.compiled:
            with contextlib.nullcontext() if self._learns else engine.transforms.no_gradients():
                return [*(logs or []), *(self._one(batch_of(block.data, block.index[i])) for i in range(start, stop))]
        with _interrupts_deferred():
            writes = self._writes[block.batch_size, block.steps]
            written, fixed = [v.raw_value() for v in writes], set(self.variables) - set(writes)
            values = [v.raw_value() if v in fixed else None for v in self.variables]
            data, index = block.data, block.index
            written, logs = self._chunk(written, logs, values, data, index, np.int32(start), np.int32(stop))
            _store(writes, written)
        return logs

    def _one(self, batch: Any) -> Any:
        """Run one step by itself and return its logs."""
        if not self._steps_compiled:
            return tree.map_structure(engine.arrays.without_history, _something(self._step(batch), self._step))
        logs, values = self._pure_step([v.raw_value() for v in self.variables], batch)
        _store(self._written, values)
        return logs


def _something(logs: Any, step: Callable[[Any], Any]) -> Any:
    if logs is None:
        name = getattr(step, "__name__", "step")
        raise errors.InvalidType(
            f"`{name}` returned nothing.", where=getattr(step, "__qualname__", name), got="None",
            expected="the outputs" if "predict" in name else "a dict of what to log",
            hint="return y_pred" if "predict" in name else 'return {"loss": loss}, or self.get_metrics_result()',
        )  # fmt: skip
    return logs


def _store(variables: list[Variable], values: list[Any]) -> None:
    for variable, value in zip(variables, values):
        variable.assign_unchecked(value)


def on_host(x: Any) -> np.ndarray:
    """Return a tensor as a NumPy array, bfloat16 as float32."""
    array = np.asarray(engine.arrays.to_numpy(convert(x)))
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def _number(x: Any) -> Any:
    array = on_host(x)
    return float(array) if array.ndim == 0 else array


@contextlib.contextmanager
def _interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: the model then stands at a whole step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[Any] = []
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous):
        yield
        return
    signal.signal(signal.SIGINT, lambda *arguments: pressed.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pressed:
            previous(*pressed[-1])


class Pace:
    """Chooses how many steps go into one call, by the time that steps have taken."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact
        self._seconds_per_step: float | None = None
        self._first = True

    def next(self, remaining: int) -> int:
        """Return the number of steps of the next call."""
        if self.exact or self._first:
            return 1
        if self._seconds_per_step is None:
            return min(4, remaining)
        return max(1, min(remaining, int(REFRESH_SECONDS / max(self._seconds_per_step, 1e-7))))

    def took(self, steps: int, seconds: float) -> None:
        """Note that `steps` steps took `seconds`; the very first call compiles and does not count."""
        if self._first:
            self._first = False
            return
        self._seconds_per_step = seconds / steps


def run_block(
    program: Program, block: Block, pace: Pace, on_chunk: Callable[[int, int, Any], bool], limit: int | None = None
) -> Any:
    """Run every step of `block`, calling `on_chunk(start, stop, logs)` after each call of the engine.

    It stops early where `on_chunk` returns True. Returns the logs, stacked along a first axis of steps.
    """
    logs = program.empty_logs(block) if program.compiled else None
    step, last = 0, block.steps if limit is None else min(limit, block.steps)
    while step < last:
        count = pace.next(last - step)
        began = time.perf_counter()
        logs = program.run(block, logs, step, step + count)
        engine.transforms.block_until_ready(logs)
        pace.took(count, time.perf_counter() - began)
        step += count
        if on_chunk(step - count, step, logs):
            break
    return logs
