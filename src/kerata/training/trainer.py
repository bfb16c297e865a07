"""What a model can do with data: `fit`, `evaluate`, `predict` and single batches."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from kerata import config, engine, errors, tree
from kerata.core.op import convert
from kerata.core.rng import make_seed
from kerata.core.scopes import StateScope, around
from kerata.core.symbolic import KerasTensor
from kerata.core.variable import Variable
from kerata.data.sources import ArraySource, Block, KeptSource, Source
from kerata.layers.base import Layer
from kerata.training import advice, host_prefix, interrupts, memory
from kerata.training.epoch import EpochRunner, rows_of, stacked
from kerata.training.loop import Program, on_host, run_block
from kerata.training.recordings import settings_of
from kerata.training.state_passing import taking_data_only
from kerata.training.steps import Steps, unpack

__all__ = ["Trainer"]

MOST_ATTEMPTS = 4
"""A step that still makes Variables after so many plans of it will make them for ever."""


class Trainer(Steps):
    """The training half of `Model`."""

    # Programs ---------------------------------------------------------------------------------------------------

    def _state_variables(self, mode: str) -> list[Variable]:
        found = list(self.variables)
        if mode == "train" and self.optimizer is not None:
            found += self.optimizer.variables
        if mode != "predict":
            found += self.metrics_variables
        return list(dict.fromkeys(found))

    def _surroundings(self, mode: str) -> tuple[Any, ...]:
        """Return all that a program is made for beside shapes."""
        return mode, engine.name(), self.run_eagerly, around.autocast, config.floatx()

    def _program(self, mode: str, block: Block) -> Program:
        """Return the compiled program for blocks like `block`, making it when needed."""
        flags = tuple(v.trainable for v in self.variables) if mode == "train" else ()
        data, structure = tree.flatten_with_spec(block.data)
        shapes = tuple(None if a is None else (tuple(a.shape[2:]), a.dtype) for a in data)
        key = (*self._surroundings(mode), structure, shapes, flags)
        program = self._programs.get(key)
        attempts = 0
        while program is None or not program.prepare(block):
            attempts += 1
            if program is not None and attempts > MOST_ATTEMPTS:
                raise errors.StateError(
                    "each run of the step makes new Variables, so they never come to an end.",
                    where=f"model {self.name!r}: {mode} step", expected="layers made in `__init__`, weights in `build`",
                    got=f"made anew each time: {', '.join(v.path for v in program.created[:5])}",
                    hint="move `self.dense = layers.Dense(…)` to `__init__`, and call self.dense(x) in `call`",
                )  # fmt: skip
            # A step may make Variables at its first run (a metric that waits for shapes): they belong to the state.
            variables = self.trainable_variables if mode == "train" else []
            if variables and self.optimizer is not None and not self.optimizer.built:
                self.optimizer.build(variables)
            step = self._step(mode)
            compiled = not self.run_eagerly and self.jit_compile
            program = self._programs[key] = Program(
                step, self._state_variables(mode), compiled, mode == "train",
                lambda: settings_of(self, self.optimizer, getattr(self, f"{mode}_function")),
                self.optimizer.packs if mode == "train" and self.optimizer is not None else list,
            )  # fmt: skip
        return program

    def make_train_function(self, force: bool = False) -> Any:
        """Return `train_function`, which takes an iterator and learns from its next batch; `fit` runs it compiled.

        It is made once; `force` makes it anew. Override it to change what surrounds `train_step`.

        Example:
            >>> class Careful(kerata.Model):
            ...     def make_train_function(self, force=False):
            ...         step = super().make_train_function(force)
            ...         self.train_function = lambda iterator: {**step(iterator), "careful": 1.0}
            ...         return self.train_function
        """
        return self._make_function("train", force)

    def make_test_function(self, force: bool = False) -> Any:
        """Return `test_function`, which evaluates the next batch of an iterator; see `make_train_function`."""
        return self._make_function("test", force)

    def make_predict_function(self, force: bool = False) -> Any:
        """Return `predict_function`, which predicts the next batch of an iterator; see `make_train_function`."""
        return self._make_function("predict", force)

    def _make_function(self, mode: str, force: bool) -> Any:
        if force:
            self._programs = {}
        if force or getattr(self, f"{mode}_function") is None:
            step = getattr(self, f"{mode}_step")
            setattr(self, f"{mode}_function", lambda iterator: taking_data_only(self, step, mode)(next(iterator)))
        return getattr(self, f"{mode}_function")

    def _step(self, mode: str) -> Callable[[Any], Any]:
        """Return the step for one batch, as the user may have overridden it."""
        if getattr(self, f"{mode}_function") is None:
            getattr(self, f"make_{mode}_function")()
        function = getattr(self, f"{mode}_function")
        return functools.wraps(getattr(self, f"{mode}_step"))(lambda data: function(iter((data,))))

    def _ensure_built(self, source: Source, mode: str) -> None:
        """Make the weights and the metrics, from the shapes of the first batch."""
        needs_metrics = mode != "predict" and any(
            c is not None and not built
            for c, built in (
                (self._compiled_metrics, getattr(self._compiled_metrics, "built", True)),
                (self._compiled_loss, getattr(self._compiled_loss, "_parts", None) is not None),
            )
        )
        if not needs_metrics and (self.built or self._steps_by_itself()):
            return
        x, y, _ = unpack(source.first_batch())

        def symbol(a: Any) -> Any:
            return None if a is None else KerasTensor((None, *a.shape[1:]), str(a.dtype))

        outputs: Any = None
        overridden = type(self).call is Layer.call
        if not (overridden and self.built):
            try:
                outputs = getattr(self, "_graph", None) and self._graph._outputs_struct if self.built else None
                if outputs is None:
                    outputs = self(tree.map_structure(symbol, x))
            except errors.Unsupported:
                if type(self).train_step is Steps.train_step:
                    raise
                return  # the model has a step of its own and needs no `call`
            except errors.ValueUnknown:
                with StateScope():  # `call` asks for values: so let it have some
                    outputs = self(tree.map_structure(lambda a: None if a is None else convert(a), x))
        if y is None or outputs is None or not needs_metrics:
            return
        targets = tree.map_structure(symbol, y)
        if self._compiled_loss is not None and self._compiled_loss._parts is None:
            self._compiled_loss.build(targets, outputs)
        if self._compiled_metrics is not None and not self._compiled_metrics.built:
            self._compiled_metrics.build(targets, outputs)

    def _steps_by_itself(self) -> bool:
        """Return whether a step of the user's finds all layers built: what the data are to `call`, it alone knows."""
        parts = self._flatten_layers(include_self=False)
        own_step = type(self).train_step is not Steps.train_step
        return own_step and bool(parts) and all(layer.built for layer in parts)

    # Fit --------------------------------------------------------------------------------------------------------

    @errors.user_facing
    @interrupts.heeded()
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train the model and return its history.

        Args:
            x: arrays (or a nest of them), or an iterable of batches `(x, y)` or `(x, y, sample_weight)`.
            y: targets, when `x` is arrays.
            batch_size: rows in a step, 32 unless given; the last batch of an epoch may hold fewer.
            epochs: how often to go through the data; the last epoch's number when `initial_epoch` is given.
            verbose: 0 silent, 1 a progress bar, 2 one line an epoch; "auto" is 1.
            callbacks: callbacks, or one.
            validation_split: the fraction of the last rows to keep for validation.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or an iterable of batches. What a generator yields for
                the first validation is kept, and serves for all.
            shuffle: a new order of rows in each epoch.
            class_weight: weights by class number.
            sample_weight: a weight for each row.
            steps_per_epoch, validation_steps: how many batches to take; all of them by default.
            validation_freq: validate every so many epochs, or after the epochs in a list.

        Returns:
            A `History`: `history.history["loss"]` is a list with one number an epoch.
        """
        from kerata import callbacks as callbacks_module

        self._need_compiled("fit")
        _check_counts(
            "fit", batch_size=batch_size, epochs=epochs, initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps, validation_batch_size=validation_batch_size,
        )  # fmt: skip
        self.stop_training = False
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = host_prefix.split_validation(
                self, (x, y, sample_weight), validation_split
            )
        source = host_prefix.make_source(
            self, x, y, sample_weight, batch_size, steps_per_epoch, shuffle, class_weight, seed=make_seed(), where="fit"
        )  # fmt: skip
        self._ensure_built(source, "train")
        _look(self, source)
        validation = validation_source = None
        if validation_data is not None:
            vx, vy, vw = _unpack_validation(validation_data)
            rows = validation_batch_size or (getattr(source, "batch_size", None) or batch_size)
            validation_source = host_prefix.make_source(
                self, vx, vy, vw, rows, validation_steps, where="fit: validation_data"
            )
        most = config.max_epochs()
        if most is not None:
            epochs = min(epochs, initial_epoch + most)
        steps = _fewest(steps_per_epoch or source.steps, config.max_steps_per_epoch())
        watchers = callbacks_module.CallbackList.ensure(
            callbacks, model=self, add_history=True, verbose=verbose, epochs=epochs, steps=steps
        )
        runner = EpochRunner(self, "train", source, watchers, steps)
        self._initial_epoch = None
        if validation_source is not None:
            if validation_source.is_read_once:
                validation_source = KeptSource(validation_source)
            most = _fewest(validation_steps or validation_source.steps, config.max_steps_per_epoch())
            validation = EpochRunner(self, "test", validation_source, watchers, most)
        watchers.on_train_begin()
        if self._initial_epoch:  # a callback has put an earlier training's state back
            source.skip_epochs(self._initial_epoch - initial_epoch)
            initial_epoch = self._initial_epoch
        logs: dict[str, Any] = {}
        try:
            for epoch in range(initial_epoch, epochs):
                self.reset_metrics()
                watchers.on_epoch_begin(epoch)
                logs = runner.epoch()
                if runner.limit is None:  # the first epoch has shown how long an epoch is
                    runner.limit = runner.seen
                    watchers.set_steps(runner.seen)
                if validation is not None and _validates(epoch, validation_freq):
                    found = self._evaluate(validation)
                    logs.update({f"val_{name}": value for name, value in found.items()})
                watchers.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            watchers.finish()
        if self.optimizer is not None:
            self.optimizer.finalize_variable_values([v for v in self.optimizer._trainable_variables if v.trainable])
        watchers.on_train_end(logs)
        self.history = watchers.history
        return self.history

    def _evaluate(self, runner: EpochRunner) -> dict[str, Any]:
        self._ensure_built(runner.source, "test")
        self.reset_metrics()
        self.stop_evaluating = False
        runner.watchers.on_test_begin()
        logs = runner.epoch()
        runner.watchers.on_test_end(logs)
        return logs

    @errors.user_facing
    @interrupts.heeded()
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the loss and the metrics on data: a list (one number without metrics), or a dict by names.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> loss, mae = model.evaluate(numpy.ones((8, 2)), numpy.ones((8, 1)), verbose=0)
        """
        from kerata import callbacks as callbacks_module

        if kwargs:
            raise errors.InvalidType("unknown arguments.", where="evaluate", got=sorted(kwargs))
        self._need_compiled("evaluate")
        _check_counts("evaluate", batch_size=batch_size, steps=steps)
        source = host_prefix.make_source(self, x, y, sample_weight, batch_size, steps, where="evaluate")
        self._ensure_built(source, "test")
        _look(self, source)
        steps = _fewest(steps or source.steps, config.max_steps_per_epoch())
        watchers = callbacks_module.CallbackList.ensure(callbacks, model=self, verbose=verbose, epochs=1, steps=steps)
        try:
            logs = self._evaluate(EpochRunner(self, "test", source, watchers, steps))
        finally:
            watchers.finish()
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    @errors.user_facing
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for all of `x` as NumPy arrays.

        Example:
            >>> model = kerata.Sequential([kerata.layers.Dense(10, activation="softmax")])
            >>> model.predict(numpy.ones((100, 4)), verbose=0).shape
            (100, 10)
        """
        self.stop_predicting = False
        watched, kind = bool(callbacks or verbose), None
        if not watched and type(x) is np.ndarray and x.dtype.itemsize < 8:  # of longer ones the values are looked at
            kind = (*self._surroundings("predict"), x.shape, x.dtype, batch_size, steps)
            if (program := self._programs.get(kind)) is not None:  # such an array has been the only batch before
                return self._predict_only_batch(program, Block(x[None], 1))
        with interrupts.heeded():
            return self._predict(x, batch_size, verbose, steps, callbacks, watched, kind)

    def _predict(
        self, x: Any, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any, watched: bool, kind: Any
    ) -> Any:
        from kerata import callbacks as callbacks_module

        source = host_prefix.make_source(self, x, None, None, batch_size, steps, where="predict")
        self._ensure_built(source, "predict")
        if not watched and isinstance(source, ArraySource) and (block := source.only_batch()) is not None:
            program = self._program("predict", block)
            outputs = self._predict_only_batch(program, block)
            if kind is not None and source.batch[0] is x:
                self._programs[kind] = program
            return outputs
        limit = _fewest(steps or source.steps, config.max_steps_per_epoch())
        watchers = callbacks_module.CallbackList.ensure(callbacks, model=self, verbose=verbose, epochs=1, steps=limit)
        watchers.on_predict_begin()
        runner = EpochRunner(self, "predict", source, watchers, limit)
        try:
            runner.epoch()
        finally:
            watchers.finish()
        outputs = runner.outputs()
        watchers.on_predict_end()
        return outputs

    def _predict_only_batch(self, program: Program, block: Block) -> Any:
        try:
            outputs = program.run_only(block)
        except Exception as error:
            raise memory.explained(error, self, "predict", block) from None
        if engine.arrays.is_array(outputs):
            return rows_of([on_host(outputs)])
        return tree.map_structure(lambda a: rows_of([on_host(a)]), outputs)

    # One batch --------------------------------------------------------------------------------------------------

    @errors.user_facing
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Learn from one batch and return its loss and metrics."""
        self._need_compiled("train_on_batch")
        return self._on_batch("train", x, y, sample_weight, class_weight, return_dict)

    @errors.user_facing
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Return the loss and metrics of one batch."""
        self._need_compiled("test_on_batch")
        return self._on_batch("test", x, y, sample_weight, None, return_dict)

    @errors.user_facing
    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as NumPy arrays."""
        return self._on_batch("predict", x, None, None, None, True)

    def _on_batch(self, mode: str, x: Any, y: Any, weight: Any, class_weight: Any, return_dict: bool) -> Any:
        where = f"{mode}_on_batch"
        x, y, weight = host_prefix.computed(self, x, y, weight, where)
        source = ArraySource(x, y, weight, batch_size=2**31 - 1, class_weight=class_weight, where=where)
        self._ensure_built(source, mode)
        self.reset_metrics()
        block = (mode == "predict" and source.only_batch()) or next(source.blocks())
        program = self._program(mode, block)
        logs = run_block(program, block, lambda *_: False, exact=True)
        if mode == "predict":
            return tree.map_structure(lambda a: on_host(a)[0], stacked(logs, program))
        last = program.log_values(logs, 0)
        if return_dict:
            return last
        values = list(last.values())
        return values[0] if len(values) == 1 else values

    # State ------------------------------------------------------------------------------------------------------

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, dict[str, Any]]:
        """Return all state as a tree of arrays by kind and path."""
        form: Callable[[Variable], Any] = (lambda v: v.numpy()) if value_format == "numpy_array" else Variable.raw_value
        groups = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.optimizer is not None else [],
            "metrics_variables": self.metrics_variables,
        }
        return {group: {v.path: form(v) for v in variables} for group, variables in groups.items()}

    def set_state_tree(self, state_tree: dict[str, dict[str, Any]]) -> None:
        """Set all state from what `get_state_tree` returned."""
        groups = {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": self.optimizer.variables if self.optimizer is not None else [],
            "metrics_variables": self.metrics_variables,
        }
        for group, values in state_tree.items():
            by_path = {v.path: v for v in groups.get(group, [])}
            for path, value in values.items():
                if path not in by_path:
                    raise errors.UnknownName("Variable", path, by_path, where=f"set_state_tree: {group}")
                by_path[path].assign(value)


def _unpack_validation(data: Any) -> tuple[Any, Any, Any]:
    if isinstance(data, (tuple, list)) and len(data) in (2, 3) and not isinstance(data, str):
        return (*data, None)[:3]  # type: ignore[return-value]
    return data, None, None


def _fewest(*counts: int | None) -> int | None:
    known = [c for c in counts if c is not None]
    return min(known) if known else None


def _validates(epoch: int, frequency: Any) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else (epoch + 1) in frequency


def _look(model: Trainer, source: Source) -> None:
    """Look for mistakes on the host, where they can still be named; a compiled step cannot."""
    advice.look_at_data(model, source)
    advice.look_at_last_layers(model)


def _check_counts(where: str, **counts: Any) -> None:
    """Raise unless each is a whole number of at least the least that makes sense, or None."""
    for name, value in counts.items():
        least = 0 if "epoch" in name and "steps" not in name else 1
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if value is not None and not (whole and value >= least):
            kind = errors.InvalidArgument if isinstance(value, (int, float, np.number)) else errors.InvalidType
            raise kind(
                f"`{name}` is no such number.", where=where, expected=f"an int of at least {least}, or None",
                got=f"{name}={value!r}", hint=f"{name}=int(…)" if not whole else "print the number that it comes from",
            )  # fmt: skip
