"""One pass over a source: its blocks go through the model's step, and the callbacks hear of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerata import engine, errors, tree
from kerata.data.sources import ArraySource, Source
from kerata.training import interrupts, memory, nans
from kerata.training.loop import Program, on_host, run_block

__all__ = ["EpochRunner", "rows_of", "stacked"]

_ACTIVITIES = {"train": "training", "test": "evaluating", "predict": "predicting"}


class EpochRunner:
    """Runs epochs of one source through one of a model's steps.

    Args:
        model: the model; `mode` says which of its steps: "train", "test" or "predict".
        watchers: the callbacks. Where one of them acts between steps, steps are run one by one.
        limit: how many steps an epoch has; None until it is known.
    """

    def __init__(self, model: Any, mode: str, source: Source, watchers: Any, limit: int | None) -> None:
        self.model, self.mode, self.source, self.watchers, self.limit = model, mode, source, watchers, limit
        self.seen = 0
        self._epochs = 0
        self._reading: Any = None
        self._is_lost = False
        self._predictions: list[tuple[Any, int]] = []
        self._exact = watchers.needs_exact_steps(mode) or model.run_eagerly

    def epoch(self) -> dict[str, Any]:
        """Run one epoch and return its last logs."""
        try:
            return self._epoch()
        except BaseException:  # Ctrl-C too; the traceback would keep workers alive
            if self._reading is not None:
                self._reading.close()
            self.source.close()
            raise

    def _epoch(self) -> dict[str, Any]:
        self.seen, self._last = 0, {}
        self.source.on_epoch_begin()
        self._reading = self.source.blocks(self.limit)
        for block in self._reading:
            steps = block.steps if self.limit is None else min(block.steps, self.limit - self.seen)
            program = self.model._program(self.mode, block)
            try:
                logs = self._run(program, block, steps)
            except Exception as error:
                raise memory.explained(error, self.model, self.mode, block) from None
            self.seen += steps
            if self.mode == "predict":
                self._predictions.append((stacked(logs, program), steps))
            else:
                program.reuse(block, logs)
            if self.seen == self.limit or self._stopped:
                break
        else:
            if self.limit is not None and self.seen < self.limit:
                self._ended_early()
        self.source.on_epoch_end()
        self._epochs += 1
        return self._last

    @property
    def _stopped(self) -> bool:
        return getattr(self.model, f"stop_{_ACTIVITIES[self.mode]}")

    def _run(self, program: Program, block: Any, steps: int) -> Any:
        offset = self.seen

        def values(step: int) -> dict[str, Any]:
            if self.mode == "predict":
                at = step - offset
                return {"outputs": tree.map_structure(lambda a: a[at], logs) if program.compiled else logs[at]}
            return program.log_values(logs, step - offset)

        def on_chunk(start: int, stop: int, new_logs: Any) -> bool:
            nonlocal logs
            logs = new_logs
            self._last = {} if self.mode == "predict" else values(offset + stop - 1)
            if self.mode == "train" and not self._is_lost and nans.is_lost(self._last):
                self._is_lost = True
                nans.tell(self.model, self.source, block.batch(stop - 1))
            self.watchers.after_steps(self.mode, offset + start, offset + stop, self._last, values)
            interrupts.raise_lost()
            return self._stopped

        logs: Any = None
        if not self._exact:
            return run_block(program, block, on_chunk, steps)
        logs = program.empty_logs(block)
        for i in range(steps):
            self.watchers.before_step(self.mode, offset + i)
            if on_chunk(i, i + 1, program.run(block, logs, i, i + 1)):
                break
        return logs

    def _ended_early(self) -> None:
        if self.seen == 0 and self._epochs == 0:
            raise errors.InvalidArgument(
                "the data ended before the first step.", where=self.mode, expected=f"{self.limit} batches", got="none",
                hint="a generator can be used up only once: give an object that can be iterated again",
            )  # fmt: skip
        message = f"{self.mode}: in epoch {self._epochs + 1} the data ended after {self.seen} of {self.limit} steps"
        if isinstance(self.source, ArraySource):
            errors.warn(f"{message}; so did the epoch.")
            return
        errors.warn(
            f"{message}, so the run ends here. A generator for several epochs must go on for ever, or be an object "
            "that can be iterated again."
        )
        if self.mode == "train":
            self.model.stop_training = True

    def outputs(self) -> Any:
        """Return all predictions, batches joined along the first axis."""
        if not self._predictions:
            raise errors.InvalidArgument("there are no data.", where="predict: x")

        def joined(*parts: Any) -> np.ndarray:
            return rows_of([on_host(part)[:steps] for part, (_, steps) in zip(parts, self._predictions)])

        return tree.map_structure(joined, *[part for part, _ in self._predictions])


def rows_of(stacks: list[np.ndarray]) -> np.ndarray:
    """Return what all batches of some stacks hold, joined along the first axis; a step may give a number, too."""
    rows = [a.reshape(-1, *a.shape[2:]) if a.ndim > 1 else a for a in stacks]
    return np.concatenate(rows)  # also of one: what the engine holds may not be written to


def stacked(logs: Any, program: Program) -> Any:
    """Return eager results, a list with one tree for each step, stacked as compiled ones are."""
    return logs if program.compiled else tree.map_structure(lambda *a: engine.xp.stack(a), *logs)
