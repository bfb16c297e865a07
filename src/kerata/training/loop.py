"""The compiled loop: many steps in one call of the engine.

A `Program` is one of the model's step methods turned into `chunk(state, data, start, stop, logs)`, which runs the
steps from `start` to `stop` of a block inside the engine and writes each step's result into `logs`. Both bounds are
inputs of the compiled program: one step or a thousand run the very same code, so results do not depend on the chunk's
length. A block of one batch, whose step writes nothing, needs no loop and no buffers: the step runs as it is.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.core import dtypes
from kerata.core.op import convert
from kerata.core.packing import Packing
from kerata.core.scopes import StateScope
from kerata.core.tracking import remembered
from kerata.core.variable import Variable, raw_values, store
from kerata.data.sources import Block
from kerata.engine.heap import large_blocks_kept
from kerata.engine.picking import Picked
from kerata.engine.protocol import Spec
from kerata.training import interrupts
from kerata.training.recordings import Recordings

__all__ = ["Program", "on_host", "run_block"]

REFRESH_SECONDS = 0.25
"""A chunk takes about this long, so that progress moves and Ctrl-C is heard."""

SEVERAL, STILL_SECONDS = 16, 1.5
"""Slow steps: so many in a chunk, if it takes no longer than this. Each chunk asks for its memory anew, of whose pages
the system fills every one with zeros: a third of the time of a step that keeps half a gigabyte."""

UNTIMED = 4
"""Steps in the first chunk that is timed: the one before it compiled."""


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
        settings: what decides what the step does, see `settings_of`. Where "auto" does not compile, steps are recorded.
        packs: groups of small `variables` that a compiled loop keeps joined, see `Optimizer.packs`.
    """

    def __init__(
        self, step: Callable[[Any], Any], variables: list[Variable], compiled: bool | str = True, learns: bool = True,
        settings: Callable[[], Any] = lambda: None, packs: Callable[[], list[list[Variable]]] = list,
    ) -> None:  # fmt: skip
        self.variables = variables
        self.compiled = bool(compiled) and engine.transforms.compiled
        self._steps_compiled = compiled is True and not engine.transforms.compiled
        self._learns = learns
        self._step = step
        self._logs: dict[Any, Any] = {}
        self._spare: dict[Any, Any] = {}
        self._seconds: dict[Any, float | None] = {}
        self._writes: dict[Any, list[Variable]] = {}
        self._fixed: dict[Any, list[Variable | None]] = {}  # by position; None where the steps write
        self._written: list[Variable] = []
        self._is_closed = True  # whether a step reads and writes nothing but `variables`
        self.names: list[str] = []
        known = set(variables)

        def pure_step(values: list[Any], batch: Any) -> tuple[Any, list[Any]]:
            with StateScope(zip(variables, values), track_reads=True) as scope:
                logs = _something(step(batch), step)
            self.created = [v for v in scope.created if v not in known]
            self.names = list(logs) if isinstance(logs, dict) else []  # engines sort the keys of a dict
            logs = tree.map_structure(engine.arrays.as_array, logs)
            written = set(scope.written()[0])
            self._is_closed = written <= known and not scope.reads
            self._written = [v for v in variables if v in written]
            return logs, [scope.values[v] for v in self._written]

        self._recordings = None
        if compiled == "auto" and not engine.transforms.compiled:
            at = {v: i for i, v in enumerate(variables)}
            written = lambda: [at[v] for v in self._written] if self._is_closed else None  # noqa: E731
            self._recordings = Recordings(pure_step, written, settings)

        # The inner function is compiled too: its trace is made once and used for both the shapes and the loop.
        self._pure_step = engine.transforms.compile(pure_step, learns=learns)

        def chunk(
            written: list[Any], logs: Any, values: list[Any], data: Any, start: Any, stop: Any
        ) -> tuple[Any, Any]:
            at = [i for i, value in enumerate(values) if value is None]
            place_of = {v: place for place, v in enumerate(self._written)}
            groups = [[place_of[v] for v in group if v in place_of] for group in packs()]
            packing = Packing([tuple(value.shape) for value in written], groups)

            def body(i: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
                state, (packed, logs) = list(values), carry
                for place, value in zip(at, packing.unpack(packed)):
                    state[place] = value
                batch = tree.map_structure(lambda a: None if a is None else _batch(a, i), data)
                new_logs, written = self._pure_step(state, batch)
                logs = tree.map_structure(lambda buffer, x: engine.arrays.set_at(buffer, i, x), logs, new_logs)
                return packing.pack(written), logs

            packed, logs = engine.transforms.fori_loop(start, stop, body, (packing.pack(written), logs))
            return packing.unpack(packed), logs

        self._chunk = chunk
        self._chunks: dict[Any, Any] = {}

        def only_step(values: list[Any], data: Any) -> Any:
            logs, _ = self._pure_step(values, tree.map_structure(lambda a: None if a is None else a[0], data))
            return tree.map_structure(lambda a: a[None], logs)

        self._only_step = only_step
        self._only_steps: dict[Any, Any] = {}
        self.created: list[Variable] = []

    def prepare(self, block: Block) -> bool:
        """Learn the shape of the logs; returns False when the step made Variables and must be planned anew."""
        key = capacity, _ = block.shape
        if not (self.compiled or self._steps_compiled) or key in self._logs:
            return True
        batch = tree.map_structure(lambda a: None if a is None else Spec(tuple(a.shape[1:]), a.dtype), block.data)
        values = [_spec(v.raw_value()) for v in self.variables]
        logs, _ = engine.transforms.abstract(self._pure_step, values, batch)
        self._logs[key] = tree.map_structure(lambda s: Spec((capacity, *s.shape), s.dtype), logs)
        self._writes[key], written = self._written, set(self._written)
        self._fixed[key] = [None if v in written else v for v in self.variables]
        if self.created:
            return False
        if not self.compiled:
            return True
        if self._needs_no_loop(block):
            data = tree.map_structure(_spec, block.data)
            self._only_steps[key] = engine.transforms.compile(self._only_step, specs=(values, data))
            return True
        writes = [_spec(v.raw_value()) for v in self._written]
        fixed = [None if v in written else value for v, value in zip(self.variables, values)]
        specs = (writes, self._logs[key], fixed, block.data, np.int32(0), np.int32(0))
        # Only what the steps write is given away: an array of a weight that someone holds stays theirs in `predict`.
        self._chunks[key] = engine.transforms.compile(self._chunk, donate=(0, 1), specs=specs)
        return True

    def _needs_no_loop(self, block: Block) -> bool:
        return not self.compiled or block.shape[0] == 1 and not self._writes[block.shape]

    def empty_logs(self, block: Block) -> Any:
        """Return the buffers that the steps of `block` write their results into; None where they need none."""
        if self._needs_no_loop(block):
            return None
        if (spare := self._spare.pop(block.shape, None)) is not None:
            return spare
        shapes = self._logs[block.shape]
        return tree.map_structure(lambda s: engine.arrays.filled(s.shape, 0, dtypes.dtype_of(s)), shapes)

    def log_values(self, logs: Any, step: int) -> dict[str, Any]:
        """Return what one step logged, as Python numbers, in the step's own order."""
        if isinstance(logs, list):
            return {name: _number(on_host(value)) for name, value in logs[step].items()}
        return {name: _number(on_host(logs[name])[step]) for name in self.names}

    def reuse(self, block: Block, logs: Any) -> None:
        """Take the buffers of `empty_logs` back: what the steps wrote there is not needed any more."""
        if not self._needs_no_loop(block):
            self._spare[block.shape] = logs

    def steps_at_once(self, block: Block, remaining: int) -> int:
        """Return the number of steps of the next call, by the time that steps like those of `block` have taken."""
        if block.shape not in self._seconds:
            return 1
        seconds = self._seconds[block.shape]
        if seconds is None:
            return min(remaining, UNTIMED)
        seconds = max(seconds, 1e-7)
        several = min(SEVERAL, int(STILL_SECONDS / seconds))
        return min(remaining, max(1, several, int(REFRESH_SECONDS / seconds)))

    def took(self, block: Block, steps: int, seconds: float) -> None:
        """Note that a call of so many steps took `seconds`; the very first one compiles and does not count."""
        self._seconds[block.shape] = seconds / steps if block.shape in self._seconds else None

    def run(self, block: Block, logs: Any, start: int, stop: int) -> Any:
        """Run the steps from `start` to `stop` of `block` and return the logs."""
        if not self.compiled:
            with remembered(), contextlib.nullcontext() if self._learns else engine.transforms.no_gradients():
                return [*(logs or []), *self._each(block, start, stop)]
        if self._needs_no_loop(block):
            return self._only_steps[block.shape](raw_values(self.variables), block.data)
        with interrupts.deferred():
            writes = self._writes[block.shape]
            written = raw_values(writes)
            values = [None if v is None else v.raw_value() for v in self._fixed[block.shape]]
            chunk = self._chunks[block.shape]
            written, logs = chunk(written, logs, values, block.data, np.int32(start), np.int32(stop))
            store(writes, written)
        return logs

    def run_only(self, block: Block) -> Any:
        """Return the logs of a block of one step, stacked as those of several."""
        if (step := self._only_steps.get(block.shape)) is not None:
            return step(raw_values(self.variables), block.data)
        logs = self.run(block, self.empty_logs(block), 0, 1)
        return logs if self.compiled else tree.map_structure(lambda a: a[None], *logs)

    def _each(self, block: Block, start: int, stop: int) -> Iterator[Any]:
        """Yield what each step logs."""
        rows, known = block.shape[1], self._recordings
        recorded_from = stop if known is None else min(start + known.steps_before(rows, stop - start), stop)
        yield from (self._one(block.batch(i)) for i in range(start, recorded_from))
        if known is None or recorded_from == stop:
            return
        values = raw_values(self.variables)
        recording = known.find(rows, values, block.batch(recorded_from))
        if recording is None:
            yield from (self._one(block.batch(i)) for i in range(recorded_from, stop))
            return
        run, places = recording
        try:
            with large_blocks_kept():
                for i in range(recorded_from, stop):
                    with interrupts.deferred():
                        logs, written = run(values, block.batch(i))
                        for place, value in zip(places, written):
                            values[place] = value
                    yield logs
        finally:  # Ctrl-C leaves the model at a whole step
            store([self.variables[place] for place in places], [values[place] for place in places])

    def _one(self, batch: Any) -> Any:
        """Run one step by itself and return its logs."""
        if not self._steps_compiled:
            return tree.map_structure(engine.arrays.without_history, _something(self._step(batch), self._step))
        logs, values = self._pure_step(raw_values(self.variables), batch)
        store(self._written, values)
        return logs


def _batch(stack: Any, i: Any) -> Any:
    return stack[i] if isinstance(stack, Picked) else engine.arrays.row(stack, i)


def _something(logs: Any, step: Callable[[Any], Any]) -> Any:
    if logs is None:
        name = getattr(step, "__name__", "step")
        raise errors.InvalidType(
            f"`{name}` returned nothing.", where=getattr(step, "__qualname__", name), got="None",
            expected="the outputs" if "predict" in name else "a dict of what to log",
            hint="return y_pred" if "predict" in name else 'return {"loss": loss}, or self.get_metrics_result()',
        )  # fmt: skip
    return logs


def on_host(x: Any) -> np.ndarray:
    """Return a tensor as a NumPy array, bfloat16 as float32."""
    array = np.asarray(engine.arrays.to_numpy(convert(x)))
    is_foreign = array.dtype.kind == "V"  # not one of NumPy's own; to ask each for its name takes longer
    return array.astype(np.float32) if is_foreign and array.dtype.name == "bfloat16" else array


def _number(x: np.ndarray) -> Any:
    return float(x) if x.ndim == 0 else np.array(x)  # a copy: the buffer will hold others


def run_block(
    program: Program,
    block: Block,
    on_chunk: Callable[[int, int, Any], bool],
    limit: int | None = None,
    exact: bool = False,
) -> Any:
    """Run every step of `block`, calling `on_chunk(start, stop, logs)` after each call of the engine.

    It stops early where `on_chunk` returns True; `exact` makes each call one step. Returns the logs, stacked along a
    first axis of steps.
    """
    logs = program.empty_logs(block)
    step, last = 0, block.steps if limit is None else min(limit, block.steps)
    while step < last:
        count = 1 if exact else program.steps_at_once(block, last - step)
        began = time.perf_counter()
        logs = program.run(block, logs, step, step + count)
        engine.transforms.block_until_ready(logs)
        program.took(block, count, time.perf_counter() - began)
        step += count
        if on_chunk(step - count, step, logs):
            break
    return logs
